"""The chore that sends each day's report, where one is wanted, once, by whoever acts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog

from exporter.app.engine import Engine
from exporter.ledger.dispatches import Dispatch
from exporter.model.errors import StoppedError
from exporter.model.message import Delivery
from exporter.report.gather import report
from exporter.report.message import to_message
from exporter.report.schedule import due_day
from exporter.settings.report import ReportSettings

_REACH = timedelta(days=7)
"""A report reaches back to the last one, but not further than this."""
_log = structlog.get_logger(__name__)


class Reporting:
    """Looks whether a report is due, and sends it."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self._done: str | None = None
        """The last day that needs no more looking at."""
        self._begun: tuple[str, Dispatch] | None = None
        """What this process has taken upon itself, and not sent yet."""

    async def look(self) -> None:
        """Send the report of the day if it is due, and come back when it is known what became."""
        engine = self._engine()
        wanted = engine.configuration.settings.report
        if wanted is None or not engine.ownership.owned:
            return
        day = due_day(wanted.time, wanted.zone, engine.now())
        if day is None or day == self._done:
            return
        try:
            dispatch = await self._begin(engine, wanted, day)
        except StoppedError:
            return  # somebody else acts by now
        if dispatch is not None:
            self._begun = day, dispatch
            await self._send(engine, wanted, day, dispatch)
        self._done, self._begun = day, None

    async def _begin(self, engine: Engine, wanted: ReportSettings, day: str) -> Dispatch | None:
        if self._begun is not None and self._begun[0] == day:
            return self._begun[1]
        now = engine.now()
        since = now - wanted.since
        return await engine.ledger.begin_report(
            day,
            notifier=wanted.notifier,
            owner=engine.owner,
            fence=engine.ownership.fence,
            since=since,
            furthest=min(since, now - _REACH),
            now=now,
        )

    async def _send(
        self, engine: Engine, wanted: ReportSettings, day: str, dispatch: Dispatch
    ) -> None:
        body = await report(
            engine.ledger,
            targets=engine.configuration.targets,
            policies=engine.policies,
            since=dispatch.since,
            now=engine.now(),
        )
        (receipt,) = await engine.notifier.deliver([wanted.notifier], to_message(body))
        log = _log.info if receipt.delivery is Delivery.DELIVERED else _log.error
        log("report.told", day=day, notifier=wanted.notifier, outcome=str(receipt))
        self._done = day
        if receipt.delivery is not Delivery.DROPPED:  # else the next process sends it
            await engine.ledger.end_report(
                dispatch.id, str(receipt.delivery), why=receipt.detail, now=engine.now()
            )
