"""From a committed ledger row to its outcome: act, verify, finish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from exporter.model.errors import (
    LeaseLostError,
    LedgerUnavailableError,
    RefusedElsewhereError,
    StoppedError,
)
from exporter.model.operation import ActResult, Operation, Outcome, Phase, Plan, Request
from exporter.remediate.endings import known_of, outcome_of, told
from exporter.remediate.lease_guard import LeaseGuard, StillAllowed, always_allowed
from exporter.remediate.preflight import context_of
from exporter.remediate.verification import Verification, Verifier

if TYPE_CHECKING:
    from exporter.backends.backend import Backend
    from exporter.fleet import Fleet
    from exporter.ledger.gateway import Ledger
    from exporter.remedies.remedy import Remedy

_log = structlog.get_logger(__name__)

OnClosed = Callable[[Operation, Request | None], None]
"""Told of every operation that ends here; the request is None for one taken over."""


@dataclass(frozen=True, slots=True)
class Job:
    """One operation that is under way, and everything it needs."""

    operation: Operation
    request: Request | None
    plan: Plan
    remedy: Remedy
    backend: Backend
    verification: Verification
    still_allowed: StillAllowed = always_allowed


class Execution:
    """Carries out what is reserved, under the row's lease."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        fleet: Fleet,
        verifier: Verifier,
        owner: str,
        lease: timedelta,
        now: Callable[[], datetime],
        on_closed: OnClosed,
    ) -> None:
        self._ledger = ledger
        self._fleet = fleet
        self._verifier = verifier
        self._owner = owner
        self._lease = lease
        self._now = now
        self._on_closed = on_closed

    async def carry_out(self, job: Job) -> Operation:
        """Act, verify, finish. An operation whose lease or ledger is lost is left to its lease."""
        guard = LeaseGuard(
            job.operation.id,
            ledger=self._ledger,
            owner=self._owner,
            lease=self._lease,
            now=self._now,
            still_allowed=job.still_allowed,
        )
        context = context_of(job.backend, self._fleet, self._now)
        try:
            result = await job.remedy.act(context, job.plan, guard)
        except (LeaseLostError, LedgerUnavailableError) as error:
            _log.error("operation.lost", operation=job.operation.id, error=str(error))
            raise
        except Exception as error:
            known = ActResult(after=known_of(error))
            closed = await self._finish(
                job,
                outcome_of(error, guard),
                known,
                error=told(error, operation=job.operation.id),
                refused_elsewhere=isinstance(error, RefusedElsewhereError),
            )
            if isinstance(error, StoppedError) and not guard.writes:
                raise
            return closed
        if result.failed:
            return await self._finish(job, Outcome.FAILED, result, error=result.failed)
        if result.nothing_to_do:
            return await self._finish(job, Outcome.NOTHING_TO_DO, result)
        acted = await self._ledger.mark_acted(
            job.operation.id, result, owner=self._owner, lease=self._lease, now=self._now()
        )
        return await self.verify(job, result, since=acted.acted_at or self._now())

    async def verify(self, job: Job, result: ActResult, *, since: datetime) -> Operation:
        """Wait until readings show that it helped, and close it."""
        await self._ledger.advance(
            job.operation.id, Phase.VERIFYING, owner=self._owner, lease=self._lease, now=self._now()
        )
        try:
            missing = await self._verifier.verify(
                job.backend.target,
                job.verification.about(item.key for item in result.items if item.done),
                needs=job.remedy.components,
                check=lambda report, now: job.remedy.check(
                    job.plan.arguments, result.after, report, now
                ),
                since=since,
            )
        except Exception as error:  # noqa: BLE001 - left open, it would be taken over for ever
            missing = told(error, operation=job.operation.id)
        if missing is not None:
            return await self._finish(job, Outcome.UNVERIFIED, result, error=missing)
        outcome = Outcome.PARTIAL if result.partial else Outcome.VERIFIED
        return await self._finish(job, outcome, result)

    async def _finish(
        self,
        job: Job,
        outcome: Outcome,
        result: ActResult,
        error: str | None = None,
        *,
        refused_elsewhere: bool = False,
    ) -> Operation:
        closed = await self._ledger.finish(
            job.operation.id,
            outcome,
            owner=self._owner,
            now=self._now(),
            after=result.after or None,
            error=error,
            refused_elsewhere=refused_elsewhere,
        )
        self.closed(closed, job.request)
        return closed

    def closed(self, closed: Operation, request: Request | None) -> None:
        """Tell of an operation that ended."""
        _log.info(
            "operation.closed",
            operation=closed.id,
            target=closed.target,
            remedy=closed.remedy,
            outcome=str(closed.outcome),
            error=closed.error,
        )
        self._on_closed(closed, request)
