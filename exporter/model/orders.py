"""What a person ordered that outlives the command: pauses, and breakers that were reset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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
        return "everything" if self.scope == "global" else f"{self.scope} {self.name}"


@dataclass(frozen=True, slots=True)
class Reset:
    """A person closed breakers: of a remedy on a target, or of a policy everywhere."""

    seq: int
    """Its entry's number: what was opened after it counts, whatever the clock says."""
    at: datetime
    target: str = ""
    remedy: str = ""
    policy: str = ""
