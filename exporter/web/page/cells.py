"""One component of one target in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.model.component import Component, Status
from exporter.model.redact import redact_text
from exporter.web.page.words import ago, latency, length, moment
from exporter.web.recent import Past, Round
from exporter.web.status import TargetStatus

_WIDTH = 4
"""Of one round in a strip, in pixels; one of them is the gap before the next bar."""
_FULL = 20
_HEIGHTS = {Status.OK: 9, Status.UNKNOWN: 5, Status.DEGRADED: 15, Status.OFF: 2}


@dataclass(frozen=True, slots=True)
class Cell:
    """How it is now."""

    component: Component
    status: Status
    word: str
    """Why it is not ok: the reason's word, or what is missing; empty when it is ok."""
    detail: str
    """The latency, if it is ok, and how old the reading is."""
    error: str
    since: str
    """``for 12m``, or ``for at least 12m`` where the beginning was not seen; may be unknown."""
    since_at: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Rounds in a row that went alike, as one bar of a strip: place and size in pixels."""

    x: int
    y: int
    width: int
    height: int
    rounds: int
    status: Status
    told: str


def cell(row: TargetStatus, component: Component, past: Past, now: datetime) -> Cell:
    """How a component is."""
    if component not in row.target.intervals:
        return Cell(component, Status.OFF, "", "", "", "", "")
    reading, present = row.report.readings.get(component), row.report.status(component, now)
    since, since_at = _since(past, component, present, now)
    if reading is None:
        return Cell(component, Status.UNKNOWN, "not read yet", "", "", since, since_at)
    age = ago(reading.age(now))
    if present is Status.UNKNOWN:
        return Cell(component, present, f"last read {age}", "", "", since, since_at)
    if reading.reason is not None:
        error = redact_text(reading.error or "")
        return Cell(component, present, str(reading.reason), age, error, since, since_at)
    said = ", ".join(filter(None, (latency(reading.latency_seconds), age)))
    return Cell(component, present, "", said, "", since, since_at)


def bars(rounds: tuple[Round, ...], most: int, component: Component | None = None) -> list[Bar]:
    """The strip of a component, or of a target's worst one: the newest at its right end.

    As many bars as there were changes, and not as there were rounds: pages stay small.
    """
    kinds = [_kind(one, component) for one in rounds]
    found, begins = [], 0
    for at, kind in enumerate(kinds):
        if at + 1 == len(kinds) or kinds[at + 1] != kind:
            run = rounds[begins : at + 1]
            found.append(_bar(most - len(rounds) + begins, run, *kind))
            begins = at + 1
    return found


def _kind(one: Round, component: Component | None) -> tuple[Status, tuple[Component, ...]]:
    if component is None:
        return one.worst, one.trouble
    return one.statuses.get(component, Status.UNKNOWN), ()


def _bar(at: int, run: Sequence[Round], status: Status, trouble: Iterable[Component]) -> Bar:
    height = _HEIGHTS.get(status, _FULL)
    first, last = f"{run[0].at:%H:%M:%S}", f"{run[-1].at:%H:%M:%S}"
    times = first if first == last else f"{first} to {last}"
    what = ", ".join(trouble)
    return Bar(
        x=at * _WIDTH,
        y=_FULL - height,
        width=len(run) * _WIDTH - 1,
        height=height,
        rounds=len(run),
        status=status,
        told=f"{times} {status}: {what}" if what else f"{times} {status}",
    )


def _since(past: Past, component: Component, status: Status, now: datetime) -> tuple[str, str]:
    since = past.since.get(component)
    if since is None or since.status is not status:
        return "", ""
    lasted = length(now.replace(microsecond=0) - since.at.replace(microsecond=0))
    return f"for {lasted}" if since.begun else f"for at least {lasted}", moment(since.at)
