"""What people ask of a target, whichever way they came: command line or HTTP interface.

The only place where a person's operation is begun and a person's question is recorded. It takes
the same preflight, lock and ledger as a policy's; who may ask is the callers' to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from exporter.model.component import RECOVERY_API_COMPONENTS, Component
from exporter.model.errors import LedgerUnavailableError, RefusedError
from exporter.model.operation import Operation, Plan, Request
from exporter.model.report import Report
from exporter.verification import Verification

if TYPE_CHECKING:
    from exporter.backends.backend import Backend
    from exporter.fleet import Fleet
    from exporter.ledger.gateway import Ledger
    from exporter.remediate.remediator import Remediator

STOPPING = "stopping"
_DOCTOR_SECONDS = 30.0
"""How long a doctor's call waits for fresh readings; what is late is told as it was last seen."""
_log = structlog.get_logger(__name__)


class People:
    """Carries out what people ask for, and writes down who asked."""

    def __init__(
        self,
        *,
        backends: Callable[[], Mapping[str, Backend]],
        remediator: Remediator,
        ledger: Ledger,
        fleet: Fleet,
        wake: Callable[[str, frozenset[Component]], None],
        now: Callable[[], datetime],
    ) -> None:
        self._backends = backends
        self._remediator = remediator
        self._ledger = ledger
        self._fleet = fleet
        self._wake = wake
        self._now = now
        self.accepting = True
        """False while the process stops: what is begun then could be cut off."""
        self.verification = Verification()
        """What must be seen of what was done, and within what time."""

    async def perform(self, request: Request, *, confirmed: Plan | None = None) -> Operation:
        """Carry it out, verify it at once, and return its closed row.

        It comes to its end even if the caller is cancelled. ``confirmed`` is the plan that the
        person said yes to. Raises as ``Remediator.perform``; what is refused is in the ledger too.
        """
        if not self.accepting:
            error = RefusedError(STOPPING, "the daemon is stopping: ask again in a minute")
            await self.refused(request, STOPPING, str(error))
            raise error
        return await self._remediator.perform_detached(
            request, self._backends()[request.target], self.verification, confirmed=confirmed
        )

    async def doctor(self, request: Request) -> Report:
        """Read the five components now, and return the newest report; it is written down.

        Whoever asks while a reading is under way shares the next one. Scans of invocations keep
        their share of the time all the same: when one is not due, the last one's answer stands.
        """
        backend, began = self._backends()[request.target], self._now()
        asked = frozenset(RECOVERY_API_COMPONENTS) & backend.target.intervals.keys()
        known = self._fleet.report(request.target).readings.keys()
        due = backend.due_now(asked) | (asked - known)
        self._wake(request.target, due)
        await self._fleet.fresher(request.target, due, after=began, timeout_seconds=_DOCTOR_SECONDS)
        report = self._fleet.report(request.target)
        seen = {str(c): str(report.status(c, self._now())) for c in RECOVERY_API_COMPONENTS}
        try:
            await self._ledger.record_answered(request, after=seen, now=self._now())
        except LedgerUnavailableError as error:
            # Whoever looks why things are broken must see it even then: nothing is acted on.
            _log.warning("audit.not_recorded", remedy=request.remedy, error=str(error))
        return report

    async def refused(self, request: Request, reason: str, message: str) -> None:
        """Write down an attempt that was refused before it reached a target."""
        try:
            await self._ledger.refuse(request, reason=reason, message=message, now=self._now())
        except LedgerUnavailableError as error:
            _log.warning("audit.not_recorded", remedy=request.remedy, error=str(error))
