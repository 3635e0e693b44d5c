"""What people ask of a target, whichever way they came: command line or HTTP interface.

The only place where a person's operation is begun and a person's question is recorded. It takes
the same preflight, lock and ledger as a policy's; who may ask is the callers' to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from exporter.model.component import RECOVERY_API_COMPONENTS, Component
from exporter.model.errors import LedgerUnavailableError, MedicError, RefusedError
from exporter.model.operation import Operation, Plan, Request
from exporter.model.report import Report
from exporter.policy.words import no_such
from exporter.remediate.preflight import preview
from exporter.remediate.verification import Verification

if TYPE_CHECKING:
    from exporter.backends.backend import Backend
    from exporter.fleet import Fleet
    from exporter.ledger.gateway import Ledger
    from exporter.remediate.remediator import Remediator

STOPPING = "stopping"
_PATIENCE_SECONDS = 30.0
"""How long a call waits for fresh readings; what is late is told as it was last seen."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a target now came to. Together they are what was asked for."""

    report: Report
    read: frozenset[Component]
    waiting: frozenset[Component]
    """Asked for, and not there in time."""
    kept: frozenset[Component]
    """Not due yet, to spare the server: the last reading stands."""


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
        self.patience_seconds = _PATIENCE_SECONDS
        self.verification = Verification()
        """What must be seen of what was done, and within what time."""

    async def perform(self, request: Request, *, confirmed: str | None = None) -> Operation:
        """Carry it out, verify it at once, and return its closed row.

        It comes to its end even if the caller is cancelled. ``confirmed`` is the digest of the plan
        that the person said yes to. Raises as ``Remediator.perform``; what is refused is in the
        ledger too.
        """
        if not self.accepting:
            error = RefusedError(STOPPING, "the daemon is stopping: ask again in a minute")
            await self.refused(request, STOPPING, str(error))
            raise error
        return await self._remediator.perform_detached(
            request, self._backends()[request.target], self.verification, confirmed=confirmed
        )

    async def preview(self, request: Request, *, call: str | None = None) -> Plan:
        """The plan that would be carried out: reads only.

        With ``call`` it is written down, under that word, also when there is none.
        """
        try:
            plan = await preview(
                request, self._backend(request.target), fleet=self._fleet, now=self._now
            )
        except MedicError as error:
            if call is not None:
                word = str(getattr(error, "reason", "failed"))
                await self.refused(replace(request, remedy=call), word, str(error))
            raise
        if call is not None:
            asked = replace(request, remedy=call)
            await self._note(asked, {"remedy": request.remedy, "summary": plan.summary})
        return plan

    async def doctor(self, request: Request) -> Report:
        """Read the five components now, and return the newest report; it is written down.

        Whoever asks while a reading is under way shares the next one. Scans of invocations keep
        their share of the time all the same: when one is not due, the last one's answer stands.
        """
        report = (await self._read_now(request.target, RECOVERY_API_COMPONENTS)).report
        await self._answered(request, report, RECOVERY_API_COMPONENTS)
        return report

    async def check(self, request: Request, components: frozenset[Component]) -> Checked:
        """Read these components of a target now, in a round of its own; it is written down.

        The round decides and repairs as every other. Waits as ``doctor`` does. NotFoundError.
        """
        checked = await self._read_now(request.target, components)
        await self._answered(request, checked.report, components)
        return checked

    def hasten(self, target: str) -> frozenset[Component]:
        """Have the target's next round come at once; returns what it reads, which may be nothing.

        However often it is asked for, rounds of a target come one after the other. NotFoundError.
        """
        backend = self._backend(target)
        due = backend.due_now(frozenset(backend.target.intervals))
        if due:
            self._wake(target, due)
        return due

    def _backend(self, target: str) -> Backend:
        backends = self._backends()
        if target not in backends:
            raise no_such("target", target, backends)
        return backends[target]

    async def _read_now(self, target: str, components: Iterable[Component]) -> Checked:
        backend, began = self._backend(target), self._now()
        asked = frozenset(components) & backend.target.intervals.keys()
        known = self._fleet.report(target).readings.keys()
        due = backend.due_now(asked) | (asked - known)
        self._wake(target, due)
        await self._fleet.fresher(target, due, after=began, timeout_seconds=self.patience_seconds)
        report = self._fleet.report(target)
        read = frozenset(c for c in asked if report.begun_since(c, began))
        return Checked(report, read, due - read, asked - due - read)

    async def _answered(
        self, request: Request, report: Report, components: Iterable[Component]
    ) -> None:
        seen = {str(c): str(report.status(c, self._now())) for c in components}
        await self._note(request, seen)

    async def _note(self, request: Request, after: Mapping[str, str]) -> None:
        try:
            await self._ledger.record_answered(request, after=after, now=self._now())
        except LedgerUnavailableError as error:
            # Whoever looks why things are broken must see it even then: nothing is acted on.
            _log.warning("audit.not_recorded", remedy=request.remedy, error=str(error))

    async def refused(self, request: Request, reason: str, message: str) -> None:
        """Write down an attempt that was refused before it reached a target."""
        try:
            await self._ledger.refuse(request, reason=reason, message=message, now=self._now())
        except LedgerUnavailableError as error:
            _log.warning("audit.not_recorded", remedy=request.remedy, error=str(error))
