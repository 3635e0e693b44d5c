"""From a request to its outcome: preflight, reserve, act, verify, finish. The only path to a write.

Every write happens between a committed ledger row and its outcome (rule 1). An operation runs in
a task that nobody cancels; a crash leaves a row whose lease runs out (rule 5). What verification
waits for is in ``verification``; what a remedy does is its own affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from exporter.lease_guard import LeaseGuard, StillAllowed, always_allowed, kept_lease
from exporter.model.decision import Mode, Subject
from exporter.model.derive import derive
from exporter.model.errors import (
    CallFailedError,
    InFlightError,
    LeaseLostError,
    LedgerUnavailableError,
    LimitReachedError,
    MedicError,
    RefusedElsewhereError,
    RefusedError,
    StoppedError,
)
from exporter.model.operation import ActResult, Fence, Operation, Outcome, Phase, Plan, Request
from exporter.refusals import Refusals
from exporter.restate_api import DiscoveryFailedError
from exporter.verification import Verification, Verifier

if TYPE_CHECKING:
    from exporter.backends.backend import Backend
    from exporter.fleet import Fleet
    from exporter.ledger.gateway import Ledger
    from exporter.remedies.remedy import Remedy, TargetContext

_log = structlog.get_logger(__name__)

_BY_PERSON = Verification()
OnClosed = Callable[[Operation, Request | None], None]
"""Told of every operation that ends here; the request is None for one taken over."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One operation that is under way, and everything it needs."""

    operation: Operation
    request: Request | None
    plan: Plan
    remedy: Remedy
    backend: Backend
    verification: Verification
    still_allowed: StillAllowed = always_allowed


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
        self._verifier = verifier
        self._owner = owner
        self._lease = lease
        self._now = now
        self._on_closed = on_closed
        self._on_proposed = on_proposed
        self._fence = fence
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self.busy: dict[str, str] = {}
        """By what it locks, the remedy that runs in this process now, preflight included."""
        self.refusals = Refusals()

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
            self._start(work, lock=request.lock, remedy=request.remedy)

    def resume(
        self,
        operation: Operation,
        backend: Backend,
        verification: Verification = _BY_PERSON,
    ) -> None:
        """Finish the verification of an operation whose owner died after its last write."""
        if operation.target not in self.busy:
            work = self._resume(operation, backend, verification)
            self._start(work, lock=operation.target, remedy=operation.remedy)

    async def drain(self, timeout_seconds: float) -> bool:
        """Wait for running operations to finish. False when some were still running."""
        if not self._tasks:
            return True
        _, running = await asyncio.wait(tuple(self._tasks), timeout=timeout_seconds)
        for task in running:
            _log.warning("operation.abandoned", target=self._tasks.get(task))
        return not running

    async def perform(
        self,
        request: Request,
        backend: Backend,
        verification: Verification,
        *,
        confirmed: Plan | None = None,
        still_wanted: Callable[[], bool] = lambda: True,
        still_allowed: StillAllowed = always_allowed,
    ) -> Operation:
        """Carry out one request and return its closed ledger row.

        ``confirmed`` is the plan a person said yes to: another one is refused as ``changed``.
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
        confirmed: Plan | None = None,
    ) -> Operation:
        """As ``perform``, in a task that ``drain`` waits for and that nobody's cancelling ends."""
        work = self.perform(request, backend, verification, confirmed=confirmed)
        task = asyncio.ensure_future(work)
        self._tasks[task] = request.target
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            task.exception()  # it is known now, even if nobody waits for it any more

    async def _perform(
        self,
        request: Request,
        backend: Backend,
        verification: Verification,
        *,
        confirmed: Plan | None = None,
        still_wanted: Callable[[], bool],
        still_allowed: StillAllowed,
    ) -> tuple[Operation, Plan]:
        try:
            remedy = remedy_of(backend, request.remedy)
            context = context_of(backend, self._fleet, self._now)
            plan = await remedy.preflight(context, request)
            if confirmed is not None and (plan.arguments, plan.steps) != (
                confirmed.arguments,
                confirmed.steps,
            ):
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
        job = _Job(operation, request, plan, remedy, backend, verification, still_allowed)
        async with kept_lease(
            operation.id, ledger=self._ledger, owner=self._owner, lease=self._lease, now=self._now
        ):
            return await self._carry_out(job), plan

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
            self._closed(closed, None)

    async def _carry_out(self, job: _Job) -> Operation:
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
            known = ActResult(after=_known_of(error))
            closed = await self._finish(
                job,
                _outcome_of(error, guard),
                known,
                error=_told(error, operation=job.operation.id),
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
        return await self._verify(job, result, since=acted.acted_at or self._now())

    async def _verify(self, job: _Job, result: ActResult, *, since: datetime) -> Operation:
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
            missing = _told(error, operation=job.operation.id)
        if missing is not None:
            return await self._finish(job, Outcome.UNVERIFIED, result, error=missing)
        outcome = Outcome.PARTIAL if result.partial else Outcome.VERIFIED
        return await self._finish(job, outcome, result)

    async def _finish(
        self,
        job: _Job,
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
        self._closed(closed, job.request)
        return closed

    def _closed(self, closed: Operation, request: Request | None) -> None:
        _log.info(
            "operation.closed",
            operation=closed.id,
            target=closed.target,
            remedy=closed.remedy,
            outcome=str(closed.outcome),
            error=closed.error,
        )
        self._on_closed(closed, request)

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
            self._refused(subjects, RefusedError("internal", _told(error, target=subject.target)))
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
        job = _Job(operation, None, plan, remedy, backend, verification)
        items = tuple(item for _, item in await self._ledger.items(operation.id) if item)
        result = ActResult(after=operation.after, items=items, partial=operation.partial)
        async with kept_lease(
            operation.id, ledger=self._ledger, owner=self._owner, lease=self._lease, now=self._now
        ):
            await self._verify(job, result, since=self._now())

    def _start(self, work: Coroutine[Any, Any, None], *, lock: str, remedy: str) -> None:
        self.busy[lock] = remedy
        task = asyncio.ensure_future(self._guarded(work, lock))
        self._tasks[task] = lock
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _guarded(self, work: Coroutine[Any, Any, None], lock: str) -> None:
        try:
            await work
        except MedicError as error:
            _log.warning("operation.stopped", target=lock, error=str(error))
        except Exception:  # noqa: BLE001 - the task ends here; the row's lease tells the rest
            _log.exception("operation.crashed", target=lock)
        finally:
            self.busy.pop(lock, None)


async def preview(
    request: Request, backend: Backend, *, fleet: Fleet, now: Callable[[], datetime]
) -> Plan:
    """The plan a request would carry out: reads only (``--dry-run``)."""
    context = context_of(backend, fleet, now)
    return await remedy_of(backend, request.remedy).preflight(context, request)


def remedy_of(backend: Backend, name: str) -> Remedy:
    """The remedy of that name; RefusedError when the target does not support it."""
    remedy = backend.remedies.get(name)
    if remedy is None:
        msg = f"target {backend.target.name} cannot {name}"
        raise RefusedError("remedy-unsupported", msg)
    return remedy


def context_of(backend: Backend, fleet: Fleet, now: Callable[[], datetime]) -> TargetContext:
    """What a remedy works with, the newest findings included."""
    findings = derive(fleet.report(backend.target.name), backend.target, now=now())
    return backend.context(findings, now)


def _outcome_of(error: Exception, guard: LeaseGuard) -> Outcome:
    """How an act ended that did not return: refused, failed, or nobody knows."""
    untouched = isinstance(error, RefusedElsewhereError) or not guard.writes
    if isinstance(error, (RefusedError, StoppedError)) and untouched:
        return Outcome.REFUSED
    if isinstance(error, StoppedError):
        return Outcome.PARTIAL
    if isinstance(error, CallFailedError) and guard.writes and error.outcome_unknown:
        return Outcome.INDETERMINATE
    return Outcome.FAILED


def _known_of(error: Exception) -> dict[str, Any]:
    """A refusal's word and data, or what kind of call failed, for whoever reads the row."""
    if isinstance(error, RefusedError):
        return {"reason": error.reason, **error.data}
    call = error if isinstance(error, CallFailedError) else error.__cause__
    if not isinstance(call, CallFailedError):
        return {}
    return {"failure": "discovery" if isinstance(call, DiscoveryFailedError) else str(call.reason)}


def _told(error: Exception, **where: str) -> str:
    if isinstance(error, StoppedError):
        return f"{error.reason}: {error}"
    if isinstance(error, MedicError):
        return str(error)
    _log.error("operation.crashed", exc_info=error, **where)
    return f"internal error: {type(error).__name__}"
