"""What people order, written down: each method is one transaction, as those of ``store``.

``attempt`` is the call that brought an order, where every call is to be a row of its own: the row
and what was ordered are there together, or neither is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from exporter.ledger import dispatches, keys, opening, orders, proposals
from exporter.ledger.dispatches import Dispatch
from exporter.ledger.journal import Journal, writing
from exporter.ledger.reads import Reads
from exporter.model.identity import Identity
from exporter.model.keys import ApiKey, Role
from exporter.model.operation import Fence, Operation, Request
from exporter.model.orders import BreakerName, Pause, PauseScope, Reset


class OrderStore(Reads):
    """Pauses, plans that are approved, breakers that are reset, identities, keys."""

    def pauses(self) -> tuple[Pause, ...]:
        """Every pause that nobody lifted, oldest first; some may have run out."""
        with self._engine.connect() as connection:
            return orders.not_lifted(connection)

    def pause(
        self,
        scope: PauseScope,
        name: str,
        *,
        owner: str,
        reason: str,
        now: datetime,
        expires_at: datetime | None = None,
        attempt: Request | None = None,
    ) -> Pause:
        """Hold policies from now on: everywhere, on a target, or one of them."""
        with writing(self._engine) as journal:
            return orders.pause(
                journal,
                scope,
                name,
                owner=owner,
                reason=reason,
                expires_at=expires_at,
                now=now,
                attempt=_row_of(journal, attempt, now),
            )

    def unpause(
        self, ids: Iterable[int], *, actor: str, now: datetime, attempt: Request | None = None
    ) -> tuple[Pause, ...]:
        """Lift pauses; returns those that were still there. If none is, nothing is written."""
        with writing(self._engine) as journal:
            there = {pause.id for pause in orders.not_lifted(journal.connection)}.intersection(ids)
            row = _row_of(journal, attempt, now) if there else None
            return orders.unpause(journal, there, actor=actor, now=now, attempt=row)

    def approve(
        self,
        operation_id: str,
        *,
        actor: str,
        reason: str,
        now: datetime,
        attempt: Request | None = None,
    ) -> Operation:
        """Let a plan that waits be carried out. RefusedError when it waits no more."""
        with writing(self._engine) as journal:
            _row_of(journal, attempt, now)
            return proposals.approve(journal, operation_id, actor=actor, reason=reason, now=now)

    def reject(
        self,
        operation_id: str,
        *,
        actor: str,
        reason: str,
        now: datetime,
        attempt: Request | None = None,
    ) -> Operation:
        """Close a plan that waits. RefusedError when it waits no more."""
        with writing(self._engine) as journal:
            _row_of(journal, attempt, now)
            return proposals.reject(journal, operation_id, actor=actor, reason=reason, now=now)

    def reset_breaker(
        self,
        name: BreakerName,
        *,
        actor: str,
        reason: str,
        now: datetime,
        attempt: Request | None = None,
    ) -> Reset:
        """Close the breaker of a remedy on a target, or of a policy everywhere."""
        with writing(self._engine) as journal:
            row = _row_of(journal, attempt, now)
            return orders.reset(journal, name, actor=actor, reason=reason, now=now, attempt=row)

    def note_identity(
        self,
        target: str,
        identity: Identity,
        *,
        now: datetime,
        accepted_by: str | None = None,
        reason: str = "",
    ) -> None:
        """Remember what a target is known by; ``accepted_by`` when a person says it is right."""
        with writing(self._engine) as journal:
            orders.identity(
                journal, target, identity, accepted_by=accepted_by, reason=reason, now=now
            )

    def begin_report(
        self,
        day: str,
        *,
        notifier: str,
        owner: str,
        fence: Fence,
        since: datetime,
        furthest: datetime,
        now: datetime,
    ) -> Dispatch | None:
        """Take the report of a day, to send it; None when it needs no sending. StoppedError."""
        with writing(self._engine) as journal:
            return dispatches.begin(
                journal,
                day,
                notifier=notifier,
                owner=owner,
                fence=fence,
                since=since,
                furthest=furthest,
                now=now,
            )

    def end_report(self, report: int, outcome: str, *, why: str, now: datetime) -> None:
        """Note what became of a report that was sent."""
        with writing(self._engine) as journal:
            dispatches.end(journal, report, outcome, why=why, now=now)

    def api_keys(self) -> tuple[ApiKey, ...]:
        """Every key, those that were revoked (and retention left) included, oldest first."""
        with self._engine.connect() as connection:
            return keys.known(connection)

    def add_key(self, name: str, role: Role, *, digest: str, actor: str, now: datetime) -> ApiKey:
        """Let whoever holds the key of this hash in. NameTakenError while the name is in use."""
        with writing(self._engine) as journal:
            return keys.add(journal, name, role, digest=digest, actor=actor, now=now)

    def revoke_key(self, name: str, *, actor: str, now: datetime) -> ApiKey | None:
        """End the valid key of that name, and return it; None when there is none."""
        with writing(self._engine) as journal:
            return keys.revoke(journal, name, actor=actor, now=now)


def _row_of(journal: Journal, attempt: Request | None, now: datetime) -> str | None:
    """Insert the row of a call, which did what it asked for; its id."""
    if attempt is None:
        return None
    operation = opening.answer(journal, attempt, after={}, now=now)
    journal.flush()
    return operation.id
