"""The doctor of a target behind a remote operator API: one call serves all five components."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from exporter.doctor.single_flight import SingleFlight
from exporter.model.component import RECOVERY_API_COMPONENTS, Component, Reason, Status
from exporter.model.errors import CallFailedError
from exporter.model.report import Reading
from exporter.model.target import Target
from exporter.operator_api import OperatorApi, Told
from exporter.wire.operator import Code

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class RemoteDoctor:
    """Asks one remote operator API, one call at a time; whatever comes of it is five readings."""

    api: OperatorApi
    target: Target
    clock: Callable[[], datetime]
    _flight: SingleFlight[tuple[Reading, ...]] = field(default_factory=SingleFlight)
    _wait_until: datetime | None = None

    def due_now(self, components: frozenset[Component]) -> frozenset[Component]:
        """Nothing while a call runs, or before the time that the other side asked us to wait."""
        waiting = self._wait_until is not None and self.clock() < self._wait_until
        return frozenset() if waiting or self._flight.running else components

    def ask_again(self) -> None:
        """Do not wait any longer: whom the other side told to wait came with another key."""
        self._wait_until = None

    async def probe(self, due: Iterable[Component]) -> tuple[Reading, ...]:
        """Read all five if one of them is due: it is the same call."""
        if not frozenset(due) & frozenset(RECOVERY_API_COMPONENTS):
            return ()
        return await self._flight.run(self._look)

    async def _look(self) -> tuple[Reading, ...]:
        began = self.clock()
        self._wait_until = None
        try:
            told = await self.api.doctor()
        except CallFailedError as error:
            if error.retry_after is not None:
                self._wait_until = self.clock() + error.retry_after
            return self._readings(
                began,
                dict.fromkeys(RECOVERY_API_COMPONENTS, _failed(error)),
                retry_after=error.retry_after,
            )
        except Exception as error:  # noqa: BLE001 - a crash is a failed reading, never a failed round
            _log.error("probe.crashed", target=self.target.name, exc_info=error)
            why = f"the probe crashed: {type(error).__name__}"
            crashed = Told(Status.DEGRADED, reason=Reason.INTERNAL, error=why)
            return self._readings(began, dict.fromkeys(RECOVERY_API_COMPONENTS, crashed))
        return self._readings(began, told)

    def _readings(
        self, began: datetime, told: dict[Component, Told], *, retry_after: timedelta | None = None
    ) -> tuple[Reading, ...]:
        ended = self.clock()
        return tuple(
            Reading(
                component=component,
                status=one.status,
                started_at=began,
                finished_at=ended,
                interval=self.target.intervals[component],
                latency_seconds=one.latency_seconds,
                reason=one.reason,
                error=one.error,
                view=one.view,
                retry_after=retry_after,
            )
            for component, one in told.items()
        )


def _failed(error: CallFailedError) -> Told:
    """One call that failed says the same of every component."""
    admin_down = error.code == Code.ADMIN_UNREACHABLE
    status = Status.UNREACHABLE if admin_down else error.reason.status
    return Told(status, reason=error.reason, error=str(error))
