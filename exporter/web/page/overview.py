"""What the overview shows: counts, every target with its components, what policies want."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exporter.model.component import WORST_FIRST, Component, Status, worst
from exporter.model.decision import Result
from exporter.model.redact import redact_text
from exporter.model.target import Target
from exporter.web.page.words import ago, latency
from exporter.web.recent import Round
from exporter.web.status import StandingDecision, TargetStatus, WebStatus

MOST_TARGETS = 200
"""Shown at once; the filters find the others."""
MOST_DECISIONS = 100
UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Cell:
    """One component of one target."""

    component: Component
    status: Status
    detail: str
    """The reason or the latency, and how old the reading is."""
    error: str


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target. ``worst`` is its worst component's status."""

    target: Target
    cells: tuple[Cell, ...]
    worst: Status
    rounds: tuple[Round, ...]
    operation: str | None
    """The operation that is open on it."""

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to look at."""
        return self.worst in {Status.OK, Status.OFF}

    @property
    def strip(self) -> str:
        """The recent rounds in words."""
        counts = Counter(str(round_.worst) for round_ in self.rounds)
        told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return f"last {len(self.rounds)} rounds: {told}" if told else "no round yet"


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision that is not clear."""

    policy: str
    target: str
    item: str
    remedy: str
    result: str
    reason: str
    detail: str
    since: str
    since_iso: str
    proposal: str | None


@dataclass(frozen=True, slots=True)
class Tile:
    """A number, what it counts, and where that is shown."""

    count: int
    label: str
    look: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class TargetFilter:
    """Which targets to show: of a status (or ``unhealthy``), with a text in name or labels."""

    status: str = ""
    text: str = ""

    def takes(self, row: TargetRow) -> bool:
        """Whether this row is asked for."""
        if self.status == UNHEALTHY and row.healthy:
            return False
        if self.status not in {"", UNHEALTHY, str(row.worst)}:
            return False
        words = [row.target.name, *(f"{k}={v}" for k, v in row.target.labels.items())]
        return any(self.text.strip().lower() in word.lower() for word in words)


def columns(status: WebStatus) -> tuple[Component, ...]:
    """The components that are read anywhere; the others would be a column of ``off``."""
    read = {component for row in status.targets for component in row.target.intervals}
    return tuple(component for component in Component if component in read)


def target_rows(status: WebStatus) -> list[TargetRow]:
    """Every target, the worst first, then by name."""
    shown = columns(status)
    rows = [_target_row(target, shown, status) for target in status.targets]
    return sorted(rows, key=lambda r: (WORST_FIRST.index(r.worst), r.target.name))


def decision_rows(decisions: Iterable[StandingDecision], now: datetime) -> list[DecisionRow]:
    """Every decision that is not clear: what acts first, then what is held, oldest first."""
    rows = [s for s in decisions if s.decision.result is not Result.CLEAR]
    rows.sort(key=lambda s: (s.decision.result is not Result.ACT, s.since))
    return [decision_row(standing, now) for standing in rows]


def tiles(rows: Iterable[TargetRow], decisions: Iterable[DecisionRow]) -> list[Tile]:
    """The counts on top."""
    rows, decisions = list(rows), list(decisions)
    by_status = Counter(row.worst for row in rows)
    waiting = sum(row.reason == "awaiting_approval" for row in decisions)
    held = sum(row.result == Result.HOLD for row in decisions) - waiting
    troubles = (Status.UNREACHABLE, Status.DEGRADED, Status.UNKNOWN)
    return [
        *(Tile(by_status[s], str(s), str(s), f"?status={s}") for s in troubles),
        Tile(by_status[Status.OK], "ok", "ok", "?status=ok"),
        Tile(sum(row.operation is not None for row in rows), "operations running", "act"),
        Tile(held, "decisions held", "unknown", "#decisions"),
        Tile(waiting, "waiting for a yes", "degraded", "audit?phase=proposed"),
    ]


def cell(status: TargetStatus, component: Component, now: datetime) -> Cell:
    """How one component is, in words."""
    if component not in status.target.intervals:
        return Cell(component, Status.OFF, "", "")
    reading = status.report.readings.get(component)
    if reading is None:
        return Cell(component, Status.UNKNOWN, "not read yet", "")
    present = status.report.status(component, now)
    age = ago(reading.age(now))
    if present is Status.UNKNOWN:
        return Cell(component, present, f"last read {age}", "")
    if reading.reason is not None:
        error = redact_text(reading.error or "")
        return Cell(component, present, f"{reading.reason}, {age}", error)
    parts = filter(None, (latency(reading.latency_seconds), age))
    return Cell(component, present, ", ".join(parts), "")


def decision_row(standing: StandingDecision, now: datetime) -> DecisionRow:
    """A decision in words."""
    decision = standing.decision
    return DecisionRow(
        policy=decision.subject.policy,
        target=decision.subject.target,
        item=redact_text(decision.subject.item or ""),
        remedy=decision.remedy,
        result=str(decision.result),
        reason=str(decision.reason or ""),
        detail=redact_text(decision.detail),
        since=ago(now - standing.since),
        since_iso=standing.since.isoformat(timespec="seconds"),
        proposal=decision.proposal,
    )


def _target_row(
    target: TargetStatus, components: Iterable[Component], status: WebStatus
) -> TargetRow:
    cells = tuple(cell(target, component, status.now) for component in components)
    return TargetRow(
        target.target,
        cells,
        worst(one.status for one in cells if one.status is not Status.OFF),
        status.recent.get(target.target.name, ()),
        status.operations.get(target.target.name),
    )
