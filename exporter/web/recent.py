"""How each target was in its last rounds: what a person wants to see before the present moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exporter.model.component import Component, Status, worst
from exporter.model.report import Report
from exporter.model.target import Target

ROUNDS = 40
"""That many are kept, in memory: ten minutes of rounds every 15 s."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one target, when it ended."""

    at: datetime
    statuses: Mapping[Component, Status]
    worst: Status
    """The worst of its components."""
    trouble: tuple[Component, ...]
    """The components that were not ok."""


@dataclass(frozen=True, slots=True)
class Since:
    """Since when a component has had its status, as far as this process has seen."""

    status: Status
    at: datetime
    begun: bool
    """Whether it was seen to begin; else it may have been so for longer."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of one target: its last rounds, oldest first."""

    rounds: tuple[Round, ...] = ()
    since: Mapping[Component, Since] = field(default_factory=dict)


class Recent:
    """Remembers the rounds of every target, by its name."""

    def __init__(self) -> None:
        self._rounds: dict[str, deque[Round]] = {}
        self._since: dict[str, dict[Component, Since]] = {}

    def note(self, target: Target, report: Report, at: datetime) -> None:
        """Remember how the components that are read were when a round ended."""
        statuses = {c: report.status(c, at) for c in Component if c in target.intervals}
        rounds = self._rounds.setdefault(target.name, deque(maxlen=ROUNDS))
        trouble = tuple(c for c, status in statuses.items() if status is not Status.OK)
        rounds.append(Round(at, statuses, worst(statuses.values()), trouble))
        before = self._since.get(target.name, {})
        self._since[target.name] = {
            c: _since(before.get(c), status, at) for c, status in statuses.items()
        }

    def of(self, target: str) -> Past:
        """What is remembered of a target; nothing before its first round."""
        return Past(tuple(self._rounds.get(target, ())), self._since.get(target, {}))

    def forget(self, target: str) -> None:
        """Drop a target that is another one now, or is gone."""
        self._rounds.pop(target, None)
        self._since.pop(target, None)


def _since(before: Since | None, status: Status, at: datetime) -> Since:
    if before is not None and before.status is status:
        return before
    seen = before is not None and before.status is not Status.UNKNOWN
    return Since(status, at, begun=seen)
