"""What the page of one target shows, from the same bodies as the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.model.component import Component, Status
from exporter.model.decision import Result
from exporter.model.duration import format_duration
from exporter.web.api.present import in_full
from exporter.web.page.cells import Bar, Cell, bars, cell
from exporter.web.page.decisions import decision_row, group_decisions
from exporter.web.recent import ROUNDS, Past
from exporter.web.status import TargetStatus, WebStatus

_IN_OWN_TABLE = ("target.", "deployments.", "workers.")
_OF_THE_READING = {"status", "reason", "age"}


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """One component over time."""

    cell: Cell
    interval: str
    bars: tuple[Bar, ...]
    strip: str
    """The same in words."""


def target_facts(row: TargetStatus, now: WebStatus) -> dict[str, Any]:
    """Everything that the template of a target shows, but what the ledger knows."""
    name, detail = row.target.name, in_full(row, now)
    mine = [s for s in now.decisions if s.decision.subject.target == name]
    decisions = [decision_row(group, now.now) for group in group_decisions(mine)]
    held = {decision.policy for decision in decisions}
    return {
        "target": row.target,
        "detail": detail,
        "components": component_rows(row, now),
        "strip_width": ROUNDS * 4,
        "facts": fact_groups(detail.values),
        "decisions": decisions,
        "clear": sorted(
            {s.decision.subject.policy for s in mine if s.decision.result is Result.CLEAR} - held
        ),
        "pauses": [p for p in now.pauses if p.scope != "policy" and p.name in {"", name}],
    }


def component_rows(row: TargetStatus, status: WebStatus) -> list[ComponentRow]:
    """The components that are read, in their order."""
    past = status.recent.get(row.target.name, Past())
    return [
        ComponentRow(
            cell(row, component, past, status.now),
            format_duration(row.target.intervals[component]),
            tuple(bars(past.rounds, ROUNDS, component)),
            _told(past, component),
        )
        for component in Component
        if component in row.target.intervals
    ]


def fact_groups(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The known values that no table shows, by the component or subject they begin with."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in sorted(values.items()):
        group, _, rest = name.partition(".")
        if not name.startswith(_IN_OWN_TABLE) and rest not in _OF_THE_READING:
            groups.setdefault(group, {})[rest] = value
    return groups


def _told(past: Past, component: Component) -> str:
    rounds = [one.statuses[component] for one in past.rounds if component in one.statuses]
    bad = sum(status is not Status.OK for status in rounds)
    return f"{bad} of the last {len(rounds)} rounds were not ok" if rounds else "no round yet"
