"""The newest report of every target, and waiting for a fresher one.

Lives in memory only: after a restart everything is unknown until it is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from exporter.model.carry import carry_over
from exporter.model.component import Component
from exporter.model.report import Reading, Report
from exporter.model.target import Target


class Fleet:
    """Keeps one report per target. Used from one event loop."""

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}
        self._changed: dict[str, asyncio.Event] = {}

    def merge(self, target: Target, readings: Iterable[Reading], *, now: datetime) -> Report:
        """Take new readings in; one that began before the kept one of its component is dropped."""
        before = self.report(target.name)
        newest = {c: r for c, r in before.readings.items() if c in target.intervals}
        for reading in readings:
            kept = newest.get(reading.component)
            if kept is None or kept.started_at <= reading.started_at or kept.started_at > now:
                newest[reading.component] = reading
        report = Report(target.name, newest, before.carried)
        report = replace(report, carried=carry_over(report, target, now=now))
        self._reports[target.name] = report
        self._changed.pop(target.name, asyncio.Event()).set()
        return report

    def report(self, name: str) -> Report:
        """The newest report; an empty one (all unknown) for a target never read."""
        return self._reports.get(name) or Report(name)

    def restore(self, report: Report) -> None:
        """Take over a report as it was once, such as one from history."""
        self._reports[report.target] = report

    def names(self) -> frozenset[str]:
        """The targets that have reported."""
        return frozenset(self._reports)

    def forget(self, name: str) -> None:
        """Drop a target that is no longer configured."""
        self._reports.pop(name, None)

    async def fresher(
        self, name: str, components: Iterable[Component], *, after: datetime, timeout_seconds: float
    ) -> Report | None:
        """Wait until every component was read by a probe begun after ``after``; None: too late."""
        wanted = tuple(components)
        try:
            async with asyncio.timeout(max(timeout_seconds, 0)):
                while not all(self.report(name).begun_since(c, after) for c in wanted):
                    await self._changed.setdefault(name, asyncio.Event()).wait()
        except TimeoutError:
            return None
        return self.report(name)
