"""What a policy decided about a target (or one item on it), and why.

A decision is made anew each round; only changes are recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from exporter.model.hold import HoldReason


class Mode(StrEnum):
    """How far a policy may go, lowest first. The lower of a policy's and ``max_mode`` wins."""

    OFF = "off"
    OBSERVE = "observe"
    APPROVE = "approve"
    ENFORCE = "enforce"

    @property
    def rank(self) -> int:
        """The position in the order off < observe < approve < enforce."""
        return _RANKS[self]


_RANKS = {mode: rank for rank, mode in enumerate(Mode)}


class Result(StrEnum):
    """``clear``: the condition is false, there is nothing to do. Unknown is never clear."""

    CLEAR = "clear"
    HOLD = "hold"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate said. ``detail`` is a sentence for people; ``until`` when it may open."""

    gate: HoldReason
    holds: bool
    detail: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a decision is about: one policy on one target, and for ``for_each`` one item."""

    policy: str
    target: str
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a condition has been true, and on how many distinct readings per component.

    ``readings`` maps each component's name to (start of the newest reading counted, how many).
    """

    since: datetime
    readings: Mapping[str, tuple[datetime, int]] = field(default_factory=dict)
    revision: str = ""
    """The text of the policy that was waiting: an edited one waits anew."""

    @property
    def distinct(self) -> int:
        """Readings of the component that has the fewest (a condition on no component has none)."""
        return min((count for _, count in self.readings.values()), default=0)


@dataclass(frozen=True, slots=True)
class Decision:
    """Act, hold with exactly one reason, or clear.

    ``verdicts`` are those of the gates that were asked: up to the first that holds, or all.
    """

    subject: Subject
    result: Result
    reason: HoldReason | None = None
    detail: str = ""
    mode: Mode = Mode.ENFORCE
    remedy: str = ""
    waiting: Waiting | None = None
    """Set while the condition is true."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The values the condition saw, by variable name."""
    verdicts: tuple[Verdict, ...] = ()
    proposal: str | None = None
    """The operation that waits for a person, was approved, or was rejected, if there is one."""

    @property
    def ready(self) -> bool:
        """Whether the remediator should take it: to act, or else to rehearse or to propose."""
        if self.reason is HoldReason.AWAITING_APPROVAL:
            return self.proposal is None
        return self.result is Result.ACT or self.reason is HoldReason.OBSERVING

    @property
    def standing(self) -> tuple[str, str]:
        """What is recorded when it changes: the result and the reason (empty when none)."""
        return str(self.result), str(self.reason or "")
