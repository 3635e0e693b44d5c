"""How each target was in its last rounds: what a person wants to see before the present moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
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

    @property
    def worst(self) -> Status:
        """The worst of its components."""
        return worst(self.statuses.values())

    @property
    def trouble(self) -> tuple[Component, ...]:
        """The components that were not ok."""
        return tuple(c for c, status in self.statuses.items() if status is not Status.OK)


class Recent:
    """The last rounds by target, oldest first."""

    def __init__(self) -> None:
        self._rounds: dict[str, deque[Round]] = {}

    def note(self, target: Target, report: Report, at: datetime) -> None:
        """Remember how the components that are read were when a round ended."""
        statuses = {c: report.status(c, at) for c in Component if c in target.intervals}
        rounds = self._rounds.setdefault(target.name, deque(maxlen=ROUNDS))
        rounds.append(Round(at, statuses))

    def of(self, target: str) -> tuple[Round, ...]:
        """The rounds of a target that are remembered."""
        return tuple(self._rounds.get(target, ()))

    def forget(self, target: str) -> None:
        """Drop a target that is another one now, or is gone."""
        self._rounds.pop(target, None)
