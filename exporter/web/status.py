"""What the web side shows, handed over as facts whenever somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exporter.model.decision import Decision, Mode, Subject
from exporter.model.operation import Operation
from exporter.model.orders import Pause
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.policy import Policy
from exporter.web.recent import Past


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """A configured target and its newest report (an empty one when it was never read)."""

    target: Target
    report: Report


@dataclass(frozen=True, slots=True)
class StandingDecision:
    """A present decision, and since when its result and reason have been the same."""

    decision: Decision
    since: datetime


@dataclass(frozen=True, slots=True)
class Running:
    """How the process itself is."""

    started_at: datetime | None = None
    loaded_at: datetime | None = None
    """When the configuration in force was loaded."""
    problems: tuple[str, ...] = ()
    """Of the last reload, if it failed."""


@dataclass(frozen=True, slots=True)
class WebStatus:
    """Everything there is to show at one moment."""

    now: datetime
    ready: bool
    """Whether every target has had its first round; once true it stays true."""
    targets: tuple[TargetStatus, ...] = ()
    decisions: tuple[StandingDecision, ...] = ()
    waiting_for: tuple[str, ...] = ()
    """The targets without a first round, while not ready."""
    policies: tuple[Policy, ...] = ()
    max_mode: Mode = Mode.ENFORCE
    operations: Mapping[str, str] = field(default_factory=dict)
    """The id of the operation that is open on a target, by its name."""
    plans: tuple[Operation, ...] = ()
    """Those that wait for a person's yes or no, oldest first."""
    recent: Mapping[str, Past] = field(default_factory=dict)
    """The last rounds of each target, by its name."""
    pauses: tuple[Pause, ...] = ()
    """Those in force."""
    running: Running = Running()


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """How a reload went. ``problems`` (one line each: place, mend) means the old one was kept."""

    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the new configuration is in use."""
        return not self.problems


def follow(
    before: Mapping[Subject, StandingDecision], decisions: Iterable[Decision], at: datetime
) -> dict[Subject, StandingDecision]:
    """The decisions of a round, each keeping its ``since`` while result and reason are the same."""
    standing: dict[Subject, StandingDecision] = {}
    for decision in decisions:
        old = before.get(decision.subject)
        same = old is not None and old.decision.standing == decision.standing
        since = old.since if old is not None and same else at
        standing[decision.subject] = StandingDecision(decision, since)
    return standing
