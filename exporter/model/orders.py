"""What a person ordered that outlives the command: pauses, and breakers that were reset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

PauseScope = Literal["global", "target", "policy"]


@dataclass(frozen=True, slots=True)
class Pause:
    """Policies do not act on everything, one target, or as one policy. ``id`` is its entry's."""

    id: int
    scope: PauseScope
    name: str
    """The target's or the policy's; empty for everything."""
    owner: str
    reason: str
    created_at: datetime
    expires_at: datetime | None = None
    """None: until somebody lifts it."""

    def in_force(self, now: datetime) -> bool:
        """Whether it has not run out."""
        return self.expires_at is None or now < self.expires_at

    def covers(self, *, policy: str, target: str) -> bool:
        """Whether it holds this policy on this target."""
        match self.scope:
            case "global":
                return True
            case "target":
                return self.name == target
            case "policy":
                return self.name == policy

    @property
    def what(self) -> str:
        """What is paused, for people: ``everything``, ``target prod``, ``policy heal``."""
        return what_rests(self.scope, self.name)


def what_rests(scope: PauseScope, name: str) -> str:
    """What a pause holds, for people."""
    return "everything" if scope == "global" else f"{scope} {name}"


@dataclass(frozen=True, slots=True)
class Reset:
    """A person closed breakers: of a remedy on a target, or of a policy everywhere."""

    seq: int
    """Its entry's number: what was opened after it counts, whatever the clock says."""
    at: datetime
    target: str = ""
    remedy: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class BreakerName:
    """Which breaker: of a remedy on a target, or of a policy everywhere; the rest is empty."""

    target: str = ""
    remedy: str = ""
    policy: str = ""

    def __str__(self) -> str:
        """``target:prod:force-redeploy`` or ``policy:heal``; no name has a colon in it."""
        return f"policy:{self.policy}" if self.policy else f"target:{self.target}:{self.remedy}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What ``str`` wrote; None when it is nothing of the kind."""
        match text.split(":"):
            case ["policy", policy] if policy:
                return cls(policy=policy)
            case ["target", target, remedy] if target and remedy:
                return cls(target, remedy)
            case _:
                return None

    @property
    def what(self) -> str:
        """For people: ``heal``, ``force-redeploy on prod``."""
        return self.policy or f"{self.remedy} on {self.target}"


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A policy that is stopped on a target because what it did there, or anywhere, did not help."""

    name: BreakerName
    """Which breaker stops it: the one that a person resets."""
    policy: str
    target: str
    remedy: str
    why: str
    until: datetime | None
    """When it closes by itself; None: only a person closes it."""
