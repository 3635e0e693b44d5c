"""From a request to its outcome: preflight, reserve, act, verify, finish. The only path to a write.

Every write happens between a committed ledger row and its outcome (rule 1). An operation runs in
a task that nobody cancels; a crash leaves a row whose lease runs out (rule 5). What verification
waits for is in ``verification``; what a remedy does is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from exporter.model.decision import Mode, Subject
from exporter.model.errors import (
    CallFailedError,
    InFlightError,
    LeaseLostError,
    LedgerUnavailableError,
    LimitReachedError,
    MedicError,
    RefusedError,
    StoppedError,
)
from exporter.model.operation import ActResult, Fence, Operation, Outcome, Plan, Request
from exporter.remediate.endings import told
from exporter.remediate.execution import Execution, Job, OnClosed
from exporter.remediate.lease_guard import StillAllowed, always_allowed, kept_lease
from exporter.remediate.preflight import context_of, remedy_of
from exporter.remediate.refusals import Refusals
from exporter.remediate.tasks import Tasks
from exporter.remediate.verification import Verification, Verifier

if TYPE_CHECKING:
    from exporter.backends.backend import Backend
    from exporter.fleet import Fleet
    from exporter.ledger.gateway import Ledger

_log = structlog.get_logger(__name__)

_BY_PERSON = Verification()


class Remediator:
    """Runs operations: at most one at a time on a target, in this process and in the ledger."""

    def __init__(  # noqa: PLR0913 - two of them are whom to tell what happened
        self,
        *,
        ledger: Ledger,
        fleet: Fleet,
        verifier: Verifier,
        owner: str,
        lease: timedelta,
        now: Callable[[], datetime],
        on_closed: OnClosed = lambda _operation, _request: None,
        on_proposed: Callable[[Operation], None] = lambda _operation: None,
        fence: Callable[[], Fence | None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._fleet = fleet
        self._owner = owner
        self._lease = lease
        self._now = now
        self._on_proposed = on_proposed
        self._fence = fence
        self._tasks = Tasks()
        self._execution = Execution(
            ledger=ledger,
            fleet=fleet,
            verifier=verifier,
            owner=owner,
            lease=lease,
            now=now,
            on_closed=on_closed,
        )
        self._on_closed = on_closed
        self.refusals = Refusals()

    @property
    def busy(self) -> dict[str, str]:
        """By what it locks, the remedy that runs in this process now, preflight included."""
        return self._tasks.busy

    def submit(
        self,
        subject: Subject,
        request: Request,
        backend: Backend,
        verification: Verification,
        *,
        still_wanted: Callable[[], bool] = lambda: True,
        still_allowed: StillAllowed = always_allowed,
    ) -> None:
        """Start a policy's operation in a task of its own; nobody waits for it.

        ``still_wanted`` is asked after the preflight, which may take long, before it is reserved.
        """
        if request.lock not in self.busy:
            performing = self._perform(
                request,
                backend,
                verification,
                still_wanted=still_wanted,
                still_allowed=still_allowed,
            )
            work = self._run(subject, request, performing)
            self._tasks.start(work, lock=request.lock, remedy=request.remedy)

    def resume(
        self,
        operation: Operation,
        backend: Backend,
        verification: Verification = _BY_PERSON,
    ) -> None:
        """Finish the verification of an operation whose owner died after its last write."""
        if operation.target not in self.busy:
            work = self._resume(operation, backend, verification)
            self._tasks.start(work, lock=operation.target, remedy=operation.remedy)

    async def drain(self, timeout_seconds: float) -> bool:
        """Wait for running operations to finish. False when some were still running."""
        return await self._tasks.drain(timeout_seconds)

    async def perform(
        self,
        request: Request,
        backend: Backend,
        verification: Verification,
        *,
        confirmed: str | None = None,
        still_wanted: Callable[[], bool] = lambda: True,
        still_allowed: StillAllowed = always_allowed,
    ) -> Operation:
        """Carry out one request and return its closed ledger row.

        ``confirmed`` is the digest of the plan a person said yes to: another one is refused as
        ``changed``.
        ``still_allowed`` is asked before each write.

        RefusedError, StoppedError, InFlightError, LimitReachedError, CallFailedError and
        LedgerUnavailableError mean that nothing was written; what a person asked for is in the
        ledger all the same (``refused``).
        """
        operation, _ = await self._perform(
            request,
            backend,
            verification,
            confirmed=confirmed,
            still_wanted=still_wanted,
            still_allowed=still_allowed,
        )
        return operation

    async def perform_detached(
        self,
        request: Request,
        backend: Backend,
        verification: Verification,
        *,
        confirmed: str | None = None,
    ) -> Operation:
        """As ``perform``, in a task that ``drain`` waits for and that nobody's cancelling ends."""
        work = self.perform(request, backend, verification, confirmed=confirmed)
        return await self._tasks.shielded(work, target=request.target)

    async def _perform(
        self,
        request: Request,
        backend: Backend,
        verification: Verification,
        *,
        confirmed: str | None = None,
        still_wanted: Callable[[], bool],
        still_allowed: StillAllowed,
    ) -> tuple[Operation, Plan]:
        try:
            remedy = remedy_of(backend, request.remedy)
            context = context_of(backend, self._fleet, self._now)
            plan = await remedy.preflight(context, request)
            if confirmed not in {None, plan.digest}:
                msg = f"the plan is another one than you confirmed: {plan.summary}"
                raise RefusedError("changed", msg)
            if not still_wanted():
                msg = "the configuration changed, or the daemon stops"
                raise RefusedError("not-wanted", msg)
            if request.mode is Mode.OBSERVE:
                return await self._ledger.rehearse(request, plan, now=self._now()), plan
            if request.mode is Mode.APPROVE and request.proposal is None:
                return await self._propose(request, plan), plan
            operation = await self._ledger.reserve(
                request,
                plan,
                owner=self._owner,
                lease=self._lease,
                now=self._now(),
                fence=self._fence(),
            )
        except LedgerUnavailableError:
            raise
        except MedicError as error:
            if request.by_person:
                reason = str(getattr(error, "reason", "in-flight"))
                await self._ledger.refuse(
                    request, reason=reason, message=str(error), now=self._now()
                )
            if request.proposal and isinstance(error, RefusedError) and still_wanted():
                why = f"{error.reason}: {error}"
                await self.end_proposal(request.proposal, Outcome.REFUSED, why)
            raise
        _log.info("operation.reserved", operation=operation.id, plan=operation.summary)
        job = Job(operation, request, plan, remedy, backend, verification, still_allowed)
        async with kept_lease(
            operation.id, ledger=self._ledger, owner=self._owner, lease=self._lease, now=self._now
        ):
            return await self._execution.carry_out(job), plan

    async def _propose(self, request: Request, plan: Plan) -> Operation:
        now = self._now()
        proposed = await self._ledger.propose(request, plan, owner=self._owner, now=now)
        _log.info("operation.proposed", operation=proposed.id, plan=proposed.summary)
        if proposed.created_at == now:  # otherwise it had been waiting already
            self._on_proposed(proposed)
        return proposed

    async def end_proposal(self, operation_id: str, outcome: Outcome, why: str) -> None:
        """Close a plan that must not wait for a person any more, if it still does."""
        closed = await self._ledger.end_proposal(operation_id, outcome, why=why, now=self._now())
        if closed is not None:
            self._execution.closed(closed, None)

    async def _run(
        self,
        subject: Subject,
        request: Request,
        performing: Coroutine[Any, Any, tuple[Operation, Plan]],
    ) -> None:
        subjects = [replace(subject, item=key) for key in request.items] or [subject]
        try:
            closed, plan = await performing
        except (InFlightError, LimitReachedError) as error:
            # Another one was faster; the gates name both in the next round.
            _log.info("operation.not_reserved", target=subject.target, error=str(error))
            return
        except (LedgerUnavailableError, LeaseLostError, StoppedError):
            raise
        except MedicError as error:
            if request.proposal and isinstance(error, CallFailedError):
                _log.info("operation.not_read", target=subject.target, error=str(error))
                return  # what was approved is tried again as long as the approval stands
            self._refused(subjects, error)
            return
        except Exception as error:  # noqa: BLE001 - what crashes must not be tried in every round
            self._refused(subjects, RefusedError("internal", told(error, target=subject.target)))
            return
        left_out = {left.key: left for left in plan.left_out}
        for left in left_out.values():
            one = replace(subject, item=left.key)
            self._refused([one], RefusedError(left.reason, left.detail))
        subjects = [one for one in subjects if one.item not in left_out]
        if closed.outcome is Outcome.OBSERVED:
            self._on_closed(closed, request)
        if closed.outcome is Outcome.REFUSED:
            word = str(closed.after.get("reason", "changed"))
            self._refused(subjects, RefusedError(word, closed.error or "the world changed"))
        else:
            self.refusals.forget(subjects)

    def _refused(self, subjects: list[Subject], error: MedicError) -> None:
        for subject in subjects:
            refusal = self.refusals.note(subject, error, now=self._now())
            _log.info(
                "preflight.refused",
                policy=subject.policy,
                target=subject.target,
                item=subject.item,
                reason=refusal.reason,
                detail=refusal.detail,
                until=refusal.until.isoformat(),
            )

    async def _resume(
        self, operation: Operation, backend: Backend, verification: Verification
    ) -> None:
        plan = Plan(
            remedy=operation.remedy,
            target=operation.target,
            summary=operation.summary,
            arguments=operation.arguments,
        )
        remedy = remedy_of(backend, operation.remedy)
        job = Job(operation, None, plan, remedy, backend, verification)
        items = tuple(item for _, item in await self._ledger.items(operation.id) if item)
        result = ActResult(after=operation.after, items=items, partial=operation.partial)
        async with kept_lease(
            operation.id, ledger=self._ledger, owner=self._owner, lease=self._lease, now=self._now
        ):
            await self._execution.verify(job, result, since=self._now())
