"""Running probes: together, each within its time, each ending as a reading whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

import structlog

from exporter.doctor.probe import Probe, ProbeContext, Unwell
from exporter.model.component import Component, Reason, Status
from exporter.model.errors import CallFailedError
from exporter.model.report import Reading
from exporter.model.views import View

PROBE_TIMEOUTS: Mapping[Component, timedelta] = MappingProxyType(
    {
        Component.INVOCATIONS: timedelta(seconds=90),  # several scans, perhaps after another's
        Component.DRIFT: timedelta(seconds=240),
    }
)
"""The limits of whole probes; each call within has its own."""
_OTHERS = timedelta(seconds=25)

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def probe_all(
    probes: Mapping[Component, Probe],
    due: Iterable[Component],
    *,
    context: ProbeContext,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float] = time.perf_counter,
    timeouts: Mapping[Component, timedelta] = PROBE_TIMEOUTS,
) -> tuple[Reading, ...]:
    """Run the probes of the components that are due, all at once, and return their readings.

    A component without a probe, or about which there is nothing to say yet, has no reading. A probe
    that fails is a failed reading and touches no other; only cancellation gets out.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                _Run(component, context, clock, monotonic).read(
                    probes[component], timeouts.get(component, _OTHERS)
                )
            )
            for component in dict.fromkeys(due)
            if component in probes
        ]
    return tuple(reading for task in tasks if (reading := task.result()) is not None)


class _Run:
    """One run of one probe."""

    def __init__(
        self,
        component: Component,
        context: ProbeContext,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._component = component
        self._context = context
        self._clock = clock
        self._monotonic = monotonic
        self._started_at = clock()
        self._began = monotonic()

    async def read(self, probe: Probe, limit: timedelta) -> Reading | None:
        """Run the probe and turn what comes out into a reading."""
        deadline = asyncio.timeout(limit.total_seconds())
        try:
            async with deadline:
                seen = await probe(self._context)
        except CallFailedError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - a crash is a failed reading, never a failed round
            if deadline.expired():
                return self._failed(
                    CallFailedError(Reason.TIMEOUT, f"not done within {limit.total_seconds():g} s")
                )
            return self._crashed(error)
        if seen is None:
            return None
        if isinstance(seen, Unwell):
            return self._reading(
                seen.reason.status,
                latency_seconds=self._elapsed(),
                view=seen.view,
                reason=seen.reason,
                error=seen.error,
            )
        return self._reading(Status.OK, latency_seconds=self._elapsed(), view=seen)

    def _crashed(self, error: Exception) -> Reading:
        _log.error(
            "probe.crashed",
            component=self._component.value,
            target=self._context.target.name,
            exc_info=error,
        )
        return self._failed(
            CallFailedError(Reason.INTERNAL, f"the probe crashed: {type(error).__name__}")
        )

    def _failed(self, error: CallFailedError) -> Reading:
        return self._reading(
            error.reason.status,
            latency_seconds=None if error.http_status is None else self._elapsed(),
            reason=error.reason,
            error=str(error),
            retry_after=error.retry_after,
        )

    def _elapsed(self) -> float:
        return self._monotonic() - self._began

    def _reading(
        self,
        status: Status,
        *,
        latency_seconds: float | None,
        view: View | None = None,
        reason: Reason | None = None,
        error: str | None = None,
        retry_after: timedelta | None = None,
    ) -> Reading:
        return Reading(
            component=self._component,
            status=status,
            started_at=self._started_at,
            finished_at=self._clock(),
            interval=self._context.interval(self._component),
            latency_seconds=latency_seconds,
            reason=reason,
            error=error,
            view=view,
            retry_after=retry_after,
        )
