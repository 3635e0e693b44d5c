"""How long a condition has been true, counted in distinct readings of what it reads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from exporter.model.component import Component
from exporter.model.decision import Waiting
from exporter.model.report import Report

ENOUGH_READINGS = 2
"""One reading is never enough to wait for: a condition must be seen true twice."""


def fresh_of(report: Report, now: datetime) -> frozenset[Component]:
    """The components that have a fresh reading."""
    return frozenset(c for c, reading in report.readings.items() if reading.fresh(now))


def wait_on(
    previous: Waiting | None,
    components: Iterable[Component],
    report: Report,
    now: datetime,
    revision: str = "",
) -> Waiting:
    """Count this round: a reading counts once, by when it began. All components must be fresh."""
    if previous is not None and previous.revision != revision:
        previous = None
    before = previous.readings if previous else {}
    counted: dict[str, tuple[datetime, int]] = {}
    for component in components:
        started_at = report.readings[component].started_at
        newest, count = before.get(str(component), (None, 0))
        if newest is None or started_at > newest:
            newest, count = started_at, count + 1
        counted[str(component)] = (newest, count)
    return Waiting(previous.since if previous else now, counted, revision)
