"""The newest reading of the configured Alertmanager, and its renewal. Nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from exporter.alertmanager.api import AlertmanagerApi
from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.policy.alarms import Alarms

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A configured Alertmanager. Two are the same when they are written the same."""

    written: object
    api: AlertmanagerApi
    interval: timedelta
    max_age: timedelta
    silences: bool
    refresh_secrets: Callable[[], None]


class AlertWatch:
    """Reads Alertmanager when it is due, and keeps what it told. Used from one loop."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        on_heard: Callable[[datetime | None], None] = lambda _at: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_heard`` is told when the newest reading was made, or that there is none any more."""
        self._now = now
        self._on_heard = on_heard
        self._clock = clock
        self._source: Source | None = None
        self._alarms: Alarms | None = None
        self._due = 0.0

    @property
    def alarms(self) -> Alarms | None:
        """What is known; None when no Alertmanager is configured."""
        return self._alarms

    def configure(self, source: Source | None) -> None:
        """Take over what is configured now. What another one told is forgotten."""
        before = self._source
        if before is not None and source is not None and before.written == source.written:
            before.refresh_secrets()
            return
        self._source = source
        self._alarms = (
            None if source is None else Alarms(source.max_age, silences_count=source.silences)
        )
        self._due = self._clock()
        self._on_heard(None)

    async def look(self) -> None:
        """Read it, if that is due. A failure keeps the last reading, which grows old."""
        source = self._source
        if source is None or self._clock() < self._due:
            return
        self._due = self._clock() + source.interval.total_seconds()
        try:
            heard = await source.api.read(self._now())
        except CallFailedError as error:
            if error.reason is Reason.UNAUTHORIZED:
                source.refresh_secrets()
            if self._source is source:
                self._failed(str(error))
            return
        if self._source is source and self._alarms is not None:
            if self._alarms.trouble or self._alarms.heard is None:
                _log.info("alertmanager.heard", alerts=len(heard.alerts))
            self._alarms = replace(self._alarms, heard=heard, trouble="")
            self._on_heard(heard.read_at)

    def _failed(self, trouble: str) -> None:
        if self._alarms is not None:
            if not self._alarms.trouble:
                _log.warning("alertmanager.failed", error=trouble)
            self._alarms = replace(self._alarms, trouble=trouble)
