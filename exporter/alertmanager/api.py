"""One reading of an Alertmanager: whether it can know what fires, what fires, what is silenced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from exporter.alertmanager.bodies import (
    ALERTS,
    SILENCES,
    STATUS,
    StatusBody,
    alerts_of,
    read_as,
    silences_of,
)
from exporter.model.component import Reason
from exporter.model.duration import format_duration
from exporter.model.errors import CallFailedError
from exporter.policy.alarms import Heard
from exporter.policy.matchers import Matcher
from exporter.transport import Answer, TokenProvider, Transport

TIMEOUT: Final = timedelta(seconds=5)
"""Of each of the three calls."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of each answer; ten thousand alerts are about half of it."""
_STATUS = "/api/v2/status"
_ALERTS = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
_SILENCES = "/api/v2/silences"


class AlertmanagerApi:
    """Reads one Alertmanager. Errors are CallFailedErrors, without secrets."""

    def __init__(
        self,
        transport: Transport,
        *,
        url: str,
        authorization: TokenProvider = lambda: None,
        warm_up: timedelta,
        watchdog: tuple[Matcher, ...] = (),
        timeout: timedelta = TIMEOUT,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """``authorization`` is the whole header; ``watchdog`` an alert that must always fire."""
        self._http = transport.client(
            url,
            token=authorization,
            token_header="authorization",  # noqa: S106 - the name of a header
            timeout=timeout,
            max_bytes=max_bytes,
        )
        self._warm_up = warm_up
        self._watchdog = watchdog

    async def read(self, now: datetime) -> Heard:
        """Read everything. CallFailedError when any part of it is not known.

        In this order: a silence that an alert is said to be under is then among those read.
        """
        answer = await self._http.request("GET", _STATUS)
        self._check_started(answer, read_as(STATUS, answer), now)
        answer = await self._http.request("GET", _ALERTS)
        firing = read_as(ALERTS, answer)
        alerts = alerts_of(firing)
        if self._watchdog and not any(
            all(m.matches(alert.labels) for m in self._watchdog) for alert in alerts
        ):
            said = ", ".join(map(str, self._watchdog))
            raise _not_ready(answer, f"the watchdog {said} does not fire, so others may be missing")
        answer = await self._http.request("GET", _SILENCES)
        silences = read_as(SILENCES, answer)
        return Heard(now, alerts, silences_of(silences))

    def _check_started(self, answer: Answer, status: StatusBody, now: datetime) -> None:
        """It keeps alerts in memory only: right after its start it knows of none that fires."""
        age = _its_clock(answer, now) - status.uptime
        if age < self._warm_up:
            started, wanted = format_duration(max(age, timedelta(0))), self._warm_up
            message = f"it was started {started} ago, and what fires is sent to it again within"
            raise _not_ready(answer, f"{message} {format_duration(wanted)}")
        if status.cluster.status == "settling":
            raise _not_ready(answer, "its cluster is settling, so silences may be missing")


def _not_ready(answer: Answer, why: str) -> CallFailedError:
    return CallFailedError(Reason.REPORTED, f"{answer.place}: {why}", http_status=answer.status)


def _its_clock(answer: Answer, now: datetime) -> datetime:
    """What time it was there when it answered; ours, if it does not say."""
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, OverflowError):
        return now
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
