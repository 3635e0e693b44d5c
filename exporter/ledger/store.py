"""Writing the ledger, synchronously: each method is one transaction that is alone with it.

A method that raises a MedicError has changed nothing, with two exceptions that are said there.
Failures of the database come out as they are; ``gateway`` translates them. Times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, update

from exporter.ledger import leases, opening, ownership, progress, proposals, pruning
from exporter.ledger.decided import Decided
from exporter.ledger.engine import keys_of
from exporter.ledger.journal import writing
from exporter.ledger.order_store import OrderStore
from exporter.ledger.ownership import ShardLease
from exporter.ledger.rows import operation_of
from exporter.ledger.tables import head
from exporter.model.decision import Decision, Mode
from exporter.model.errors import LeaseLostError
from exporter.model.operation import (
    ActResult,
    Fence,
    ItemOutcome,
    Operation,
    Outcome,
    Phase,
    Plan,
    Request,
)
from exporter.model.relapse import Relapse
from exporter.policy.memory import Forever


class Store(OrderStore):
    """The ledger in a prepared database (``schema.prepare``). Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._decided = Decided(engine)

    def reserve(
        self,
        request: Request,
        plan: Plan,
        *,
        owner: str,
        lease: timedelta,
        now: datetime,
        fence: Fence | None = None,
    ) -> Operation:
        """Open an operation: the row, the lock and the budget at once, or none of them.

        What a person approved (``request.proposal``) goes on in its own row; RefusedError when that
        does not wait any more, or when the plan is another one than was approved. With a ``fence``
        a policy's operation begins only while its shard is in those hands (StoppedError).
        InFlightError or LimitReachedError when it may not be. Even then, an operation of a silent
        owner on this target has been closed: interrupted, or unverified when it had acted.
        """
        if request.mode not in {Mode.ENFORCE, Mode.APPROVE}:
            msg = f"mode {request.mode} writes nothing: rehearse it"
            raise ValueError(msg)
        with writing(self._engine) as journal:
            if fence is not None and not request.by_person:
                ownership.check(journal, fence)
            leases.sweep(journal, now=now, target=request.target)
            leases.give_up(journal, now=now, target=request.target)
            refusal = opening.refusal(journal, request, plan, now=now)
            if refusal is None:
                begin = opening.reserve if request.proposal is None else proposals.take
                return begin(journal, request, plan, owner=owner, lease=lease, now=now)
        raise refusal

    def rehearse(self, request: Request, plan: Plan, *, now: datetime) -> Operation:
        """Record what would have been done: closed, without a lock, within rehearsals' own budget.

        LimitReachedError when a reserved operation would have been refused so.
        """
        if request.mode is not Mode.OBSERVE:
            msg = f"mode {request.mode} is no rehearsal: reserve it"
            raise ValueError(msg)
        with writing(self._engine) as journal:
            refusal = opening.over_budget(journal, request, plan, now=now)
            if refusal is not None:
                raise refusal
            return opening.rehearse(journal, request, plan, now=now)

    def propose(self, request: Request, plan: Plan, *, owner: str, now: datetime) -> Operation:
        """Write a plan down for a person to approve; the one that waits already, if there is one.

        LimitReachedError when a reserved operation would have been refused so.
        """
        if request.mode is not Mode.APPROVE:
            msg = f"mode {request.mode} proposes nothing"
            raise ValueError(msg)
        with writing(self._engine) as journal:
            refusal = opening.over_budget(journal, request, plan, now=now)
            if refusal is not None:
                raise refusal
            return proposals.propose(journal, request, plan, owner=owner, now=now)

    def end_proposal(
        self, operation_id: str, outcome: Outcome, *, why: str, now: datetime
    ) -> Operation | None:
        """Close a plan that still waits; None when it does not wait any more."""
        with writing(self._engine) as journal:
            return proposals.end(journal, operation_id, outcome, why=why, now=now)

    def expire(self, now: datetime) -> tuple[Operation, ...]:
        """Close every plan that nobody approved in time."""
        with writing(self._engine) as journal:
            return proposals.expire(journal, now=now)

    def refuse(self, request: Request, *, reason: str, message: str, now: datetime) -> Operation:
        """Record an attempt that was refused before it was reserved. It counts for nothing."""
        with writing(self._engine) as journal:
            return opening.refuse(journal, request, reason=reason, message=message, now=now)

    def record_answered(
        self, request: Request, *, now: datetime, after: Mapping[str, Any] | None = None
    ) -> Operation:
        """Record a call that only read, such as a doctor's, and what it answered, if wanted."""
        with writing(self._engine) as journal:
            return opening.answer(journal, request, after=after or {}, now=now)

    def advance(
        self,
        operation_id: str,
        phase: Phase,
        *,
        owner: str,
        lease: timedelta,
        now: datetime,
        detail: str = "",
    ) -> Operation:
        """Before each write (``acting``) and when verification begins; renews the lease.

        LeaseLostError when the operation is closed, another's, or its lease is over: stop writing.
        """
        with writing(self._engine) as journal:
            row = progress.leased(journal, operation_id, owner, now)
            until = now + lease
            return progress.advance(journal, row, phase, until=until, now=now, detail=detail)

    def renew(self, operation_id: str, *, owner: str, lease: timedelta, now: datetime) -> Operation:
        """Keep an operation. It leaves no entry. LeaseLostError as for ``advance``."""
        with writing(self._engine) as journal:
            row = progress.leased(journal, operation_id, owner, now)
            return progress.change(journal, row, {"lease_until": now + lease})

    def note_item(
        self, operation_id: str, outcome: ItemOutcome, *, owner: str, now: datetime
    ) -> None:
        """Record what became of one item. Allowed when the lease has just run out (``finish``)."""
        with writing(self._engine) as journal:
            row = progress.ours(journal, operation_id, owner)
            progress.note_item(journal, row, outcome, now=now)

    def mark_acted(
        self,
        operation_id: str,
        result: ActResult,
        *,
        owner: str,
        lease: timedelta,
        now: datetime,
    ) -> Operation:
        """All writes are done. Allowed when the lease has just run out (``finish``)."""
        with writing(self._engine) as journal:
            row = progress.ours(journal, operation_id, owner)
            return progress.mark_acted(journal, row, result, until=now + lease, now=now)

    def finish(
        self,
        operation_id: str,
        outcome: Outcome,
        *,
        owner: str,
        now: datetime,
        after: Mapping[str, Any] | None = None,
        error: str | None = None,
        refused_elsewhere: bool = False,
    ) -> Operation:
        """Close it and free the target; again with the same outcome changes nothing.

        ``refused_elsewhere``: what was announced the other side refused, and wrote nothing.

        It is allowed when the lease has run out, as long as nobody has closed it or taken it over
        (LeaseLostError). When it was closed for its silence, what its owner says is kept as an
        entry all the same.
        """
        with writing(self._engine) as journal:
            row = progress.load(journal, operation_id)
            closed = row["outcome"] if row is not None and row["owner"] == owner else None
            if row is None or closed is None:
                row = progress.ours(journal, operation_id, owner)
                return progress.finish(
                    journal,
                    row,
                    outcome,
                    now=now,
                    after=after,
                    error=error,
                    refused_elsewhere=refused_elsewhere,
                )
            if closed == outcome:
                return operation_of(row)
            progress.said_late(journal, row, outcome, now=now, error=error)
        msg = f"operation {operation_id} was closed as {closed} before it could end {outcome}"
        raise LeaseLostError(msg)

    def note_relapse(self, relapse: Relapse, *, now: datetime) -> Operation | None:
        """Note that what an operation had helped is broken again; None when that is known."""
        with writing(self._engine) as journal:
            return progress.relapse(journal, relapse, now=now)

    def sweep(self, now: datetime) -> tuple[Operation, ...]:
        """Close every reserved or acting operation whose lease is over: ``interrupted``.

        So is what locks nothing, even when it had acted: it needs no readings.
        """
        with writing(self._engine) as journal:
            return leases.sweep(journal, now=now)

    def take_over(
        self, *, owner: str, lease: timedelta, now: datetime, targets: Collection[str] | None = None
    ) -> tuple[Operation, ...]:
        """Give this owner what acted (on these targets) and whose lease is over, to verify it."""
        with writing(self._engine) as journal:
            return leases.take_over(journal, owner=owner, lease=lease, now=now, targets=targets)

    def acquire(self, shard: str, *, holder: str, length: timedelta) -> ShardLease:
        """Take or keep a shard of the targets; returns whoever's lease it is then."""
        with writing(self._engine) as journal:
            return ownership.acquire(journal, shard, holder=holder, length=length)

    def release(self, shard: str, *, holder: str) -> None:
        """End the holder's lease on a shard."""
        with writing(self._engine) as journal:
            ownership.release(journal, shard, holder=holder)

    def note_changes(
        self, decisions: Iterable[Decision], now: datetime, *, of: str | None = None
    ) -> tuple[Decision, ...]:
        """Record the decisions whose result or reason changed, and return them.

        ``of`` a target: they are all on it, so whoever else was not clear is now.
        """
        return self._decided.note(decisions, now=now, of=of)

    def plan_pruning(self, *, keep: timedelta, rests: Forever, now: datetime) -> pruning.Plan:
        """Think out what is older than ``keep`` and may go. It reads a lot, and only reads."""
        return pruning.plan(self._engine, keep=keep, rests=rests, now=now)

    def prune(
        self, plan: pruning.Plan, step: pruning.Step, *, after: int, fence: Fence, now: datetime
    ) -> pruning.Pruned | None:
        """Remove what a step names; None when the plan does not hold any more: make another.

        StoppedError when somebody else acts.
        """
        with writing(self._engine) as journal:
            return pruning.carry_out(journal, plan, step, after=after, fence=fence, now=now)

    def note_unwatched(self, targets: Collection[str], now: datetime) -> tuple[Decision, ...]:
        """Record that nothing is known any more of who stands on other targets than these."""
        return self._decided.forget_others(targets, now=now)

    def seal(self) -> bool:
        """Have every entry from now on hashed with the key; False when they are already."""
        before = self.key_id()
        with writing(self._engine, sealing=True) as journal:
            current = keys_of(journal.connection).current
        return current is not None and current.id != before

    def probe(self) -> None:
        """Write without changing anything, to see whether the ledger can be written."""
        with writing(self._engine) as journal:
            journal.connection.execute(update(head).values(id=head.c.id))
