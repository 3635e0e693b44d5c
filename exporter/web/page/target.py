"""What the page of one target shows, from the same bodies as the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.model.component import Component, Status
from exporter.model.duration import format_duration
from exporter.web.page.overview import Cell, cell
from exporter.web.recent import Round
from exporter.web.status import TargetStatus, WebStatus

_IN_OWN_TABLE = ("target.", "deployments.", "workers.")
_SHOWN = 30
"""Entries of a long list; the API has all."""


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """One component over time."""

    cell: Cell
    interval: str
    rounds: tuple[tuple[str, Status], ...]
    """Time of day and status."""

    @property
    def told(self) -> str:
        """The strip in words."""
        bad = sum(status is not Status.OK for _, status in self.rounds)
        return f"{bad} of the last {len(self.rounds)} rounds were not ok"


def component_rows(row: TargetStatus, status: WebStatus) -> list[ComponentRow]:
    """The components that are read, in their order."""
    rounds = status.recent.get(row.target.name, ())
    return [
        ComponentRow(
            cell(row, component, status.now),
            format_duration(row.target.intervals[component]),
            _strip(rounds, component),
        )
        for component in Component
        if component in row.target.intervals
    ]


def fact_groups(values: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The known values that no table shows, by component: name and value in words."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, value in sorted(values.items()):
        group, _, rest = name.partition(".")
        if name.startswith(_IN_OWN_TABLE) or rest in {"status", "reason", "age"}:
            continue
        groups.setdefault(group, []).append((rest, _said(value)))
    return groups


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(map(str, value[:_SHOWN])) or "none"
        return shown if len(value) <= _SHOWN else f"{shown} and {len(value) - _SHOWN} more"
    return str(value)


def _strip(rounds: tuple[Round, ...], component: Component) -> tuple[tuple[str, Status], ...]:
    return tuple(
        (f"{one.at:%H:%M:%S}", one.statuses[component])
        for one in rounds
        if component in one.statuses
    )
