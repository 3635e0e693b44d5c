"""What the overview shows: counts, every target with its components, what policies want."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from exporter.model.component import WORST_FIRST, Component, Status, worst
from exporter.model.decision import Result
from exporter.model.target import Target
from exporter.model.views import ServiceList, ServicesView
from exporter.web.page.cells import Bar, Cell, bars, cell
from exporter.web.page.decisions import DecisionRow, Group, decision_row, group_decisions
from exporter.web.page.operations import operation_row
from exporter.web.recent import ROUNDS, Past
from exporter.web.status import TargetStatus, WebStatus

MOST_TARGETS = 100
"""Shown at once; the filters find the others."""
MOST_DECISIONS = 50
_MOST_WANTED = 4
"""Of what policies want about one target, in its row."""
_MOST_MISSING = 8
_MOST_PLANS = 3
_MOST_PAUSES = 3
UNHEALTHY = "unhealthy"
STATUSES = ("", UNHEALTHY, *(str(s) for s in WORST_FIRST if s is not Status.OFF))


@dataclass(frozen=True, slots=True)
class Trouble:
    """Components of one target that are not ok for the same reason."""

    status: Status
    word: str
    components: str
    since: str
    since_at: str
    error: str
    """Of the first of them."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target as the grid shows it."""

    target: Target
    cells: tuple[Cell, ...]
    bars: tuple[Bar, ...]
    strip: str
    """The recent rounds in words."""
    troubles: tuple[Trouble, ...]
    missing: tuple[str, ...]
    """Expected services that are not registered, some of them."""
    more_missing: int
    operation: str | None
    """The operation that is open on it."""
    wanted: tuple[DecisionRow, ...]
    more_wanted: int


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

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> TargetFilter:
        """What an address asks for; a status that there is not is not asked for."""
        status = asked.get("status", "")
        return cls(status if status in STATUSES else "", asked.get("q", "")[:100])

    def takes(self, target: Target, present: Status, *, needs_a_look: bool) -> bool:
        """Whether a target is asked for."""
        if self.status == UNHEALTHY and not needs_a_look:
            return False
        if self.status not in {"", UNHEALTHY, str(present)}:
            return False
        text = self.text.strip().lower()
        words = (target.name, *(f"{k}={v}" for k, v in target.labels.items()))
        return any(text in word.lower() for word in words)


def overview_facts(now: WebStatus, chosen: TargetFilter) -> dict[str, Any]:
    """Everything that the template of the overview shows."""
    present = {row.target.name: _worst(row, now) for row in now.targets}
    groups = group_decisions(now.decisions)
    wanted: dict[str, list[Group]] = {}
    for group in groups:
        wanted.setdefault(group.first.subject.target, []).append(group)
    missing = {row.target.name: _missing(row, now) for row in now.targets}
    looks = {name for name, status in present.items() if _unhealthy(status) or missing[name]}
    fitting = [
        row
        for row in now.targets
        if chosen.takes(row.target, present[row.target.name], needs_a_look=row.target.name in looks)
    ]
    fitting.sort(key=lambda r: _urgency(r.target.name, present, looks, wanted))
    shown = columns(now)
    return {
        "headline": _headline(len(present), len(looks)),
        "lead": _lead(now),
        "plans": [operation_row(plan, now.now) for plan in now.plans[:_MOST_PLANS]],
        "more_plans": max(len(now.plans) - _MOST_PLANS, 0),
        "pauses": now.pauses[:_MOST_PAUSES],
        "more_pauses": max(len(now.pauses) - _MOST_PAUSES, 0),
        "count": len(now.targets),
        "rows": [_row(row, shown, missing, wanted, now) for row in fitting[:MOST_TARGETS]],
        "left_out": max(len(fitting) - MOST_TARGETS, 0),
        "columns": shown,
        "strip_width": ROUNDS * 4,
        "chosen": chosen,
        "statuses": STATUSES,
        "tiles": _tiles(present.values(), groups, now),
        "decisions": [decision_row(group, now.now) for group in groups[:MOST_DECISIONS]],
        "more_decisions": max(len(groups) - MOST_DECISIONS, 0),
        "clear": sum(s.decision.result is Result.CLEAR for s in now.decisions),
    }


def columns(status: WebStatus) -> tuple[Component, ...]:
    """The components that are read anywhere; the others would be a column of ``off``."""
    read = {component for row in status.targets for component in row.target.intervals}
    return tuple(component for component in Component if component in read)


def _troubles(cells: Iterable[Cell]) -> tuple[Trouble, ...]:
    """What is not ok, the worst first; what fails alike is told once."""
    read = [one for one in cells if one.status is not Status.OFF]
    groups: dict[tuple[Status, str], list[Cell]] = {}
    for one in read:
        if one.status is not Status.OK:
            groups.setdefault((one.status, one.word), []).append(one)
    ordered = sorted(groups.items(), key=lambda group: WORST_FIRST.index(group[0][0]))
    return tuple(_trouble(status, word, group, len(read)) for (status, word), group in ordered)


def _trouble(status: Status, word: str, group: Sequence[Cell], read: int) -> Trouble:
    oldest = min((one for one in group if one.since), key=lambda one: one.since_at, default=None)
    everything = len(group) == read and read > 1
    return Trouble(
        status=status,
        word=word,
        components="everything" if everything else ", ".join(one.component for one in group),
        since="" if oldest is None else oldest.since,
        since_at="" if oldest is None else oldest.since_at,
        error=next((one.error for one in group if one.error), ""),
    )


def _worst(row: TargetStatus, now: WebStatus) -> Status:
    return worst(row.report.status(component, now.now) for component in row.target.intervals)


def _missing(row: TargetStatus, now: WebStatus) -> tuple[str, ...]:
    """Expected services that are not registered; none while the list is not known to be right."""
    report, at = row.report, now.now
    known = report.view(Component.SERVICES, ServicesView, at)
    names = known or report.view(Component.SERVICES, ServiceList, at)
    return () if names is None else tuple(sorted(row.target.expected - names.names))


def _unhealthy(status: Status) -> bool:
    return status not in {Status.OK, Status.OFF}


def _urgency(
    name: str,
    present: Mapping[str, Status],
    looks: AbstractSet[str],
    wanted: Mapping[str, Sequence[Group]],
) -> tuple[int, bool, bool, str]:
    """The worst first; of those that are alike, first what a policy wants something of."""
    return WORST_FIRST.index(present[name]), name not in looks, name not in wanted, name


def _row(
    row: TargetStatus,
    shown: Iterable[Component],
    missing: Mapping[str, tuple[str, ...]],
    wanted: Mapping[str, Sequence[Group]],
    now: WebStatus,
) -> TargetRow:
    name = row.target.name
    past = now.recent.get(name, Past())
    cells = tuple(cell(row, component, past, now.now) for component in shown)
    mine = wanted.get(name, ())
    return TargetRow(
        target=row.target,
        cells=cells,
        bars=tuple(strip := bars(past.rounds, ROUNDS)),
        strip=_told(strip),
        troubles=_troubles(cells),
        missing=missing[name][:_MOST_MISSING],
        more_missing=max(len(missing[name]) - _MOST_MISSING, 0),
        operation=now.operations.get(name),
        wanted=tuple(decision_row(group, now.now) for group in mine[:_MOST_WANTED]),
        more_wanted=max(len(mine) - _MOST_WANTED, 0),
    )


def _told(strip: Sequence[Bar]) -> str:
    counts: Counter[str] = Counter()
    for bar in strip:
        counts[bar.status] += bar.rounds
    told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    return f"last {counts.total()} rounds: {told}" if told else "no round yet"


def _tiles(present: Iterable[Status], groups: Iterable[Group], now: WebStatus) -> list[Tile]:
    by_status = Counter(present)
    held = sum(group.held for group in groups)
    statuses = (Status.UNREACHABLE, Status.DEGRADED, Status.UNKNOWN, Status.OK)
    return [
        *(Tile(by_status[s], str(s), str(s), f"?status={s}") for s in statuses),
        Tile(len(now.plans), "waiting for a yes", "degraded", "audit?phase=proposed"),
        Tile(len(now.operations), "operations running", "act", "#targets"),
        Tile(held, "decisions held", "unknown", "#decisions"),
    ]


def _headline(count: int, unhealthy: int) -> str:
    if not count:
        return "No targets"
    if unhealthy:
        targets = "target" if count == 1 else "targets"
        return f"{unhealthy} of {count} {targets} {'needs' if unhealthy == 1 else 'need'} a look"
    return "The target is ok" if count == 1 else f"All {count} targets are ok"


def _lead(now: WebStatus) -> str:
    parts = []
    if not now.ready:
        parts.append(f"Waiting for the first round of {len(now.waiting_for)}.")
    policies = len(now.policies)
    parts.append(
        f"{policies} {'policy' if policies == 1 else 'policies'} in force,"
        f" up to mode {now.max_mode}."
    )
    return " ".join(parts)
