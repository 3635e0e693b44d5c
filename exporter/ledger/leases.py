"""Operations whose owner fell silent: closed if they may have written, else taken over.

An operation that was ``reserved`` or ``acting`` is never gone on with: nobody knows what its owner
still wrote. One that has ``acted`` only needs readings, so anybody may finish its verification.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select

from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal
from exporter.ledger.progress import change, interrupt, never_verified
from exporter.ledger.rows import Row
from exporter.ledger.tables import operations
from exporter.model.operation import Operation, Phase

_WRITING = (str(Phase.RESERVED), str(Phase.ACTING))
_READING = (str(Phase.ACTED), str(Phase.VERIFYING))


def sweep(journal: Journal, *, now: datetime, target: str | None = None) -> tuple[Operation, ...]:
    """Close what was reserved or acting and whose lease is over, where a target is locked or all.

    With all of them goes what locks nothing, even when it had acted: nobody takes it over.
    """
    where = () if target is None else (operations.c.locks == target,)
    rows = _expired(journal, _WRITING, now, *where)
    if target is None:
        rows += _expired(journal, _READING, now, operations.c.locks.is_(None))
    return tuple(interrupt(journal, row, now=now) for row in rows)


def give_up(journal: Journal, *, now: datetime, target: str) -> tuple[Operation, ...]:
    """Close a silent operation that has acted and that nobody verified, on one target.

    Without a daemon nobody takes it over, and it must not lock the target for ever.
    """
    rows = _expired(journal, _READING, now, operations.c.locks == target)
    return tuple(never_verified(journal, row, now=now) for row in rows)


def take_over(
    journal: Journal,
    *,
    owner: str,
    lease: timedelta,
    now: datetime,
    targets: Collection[str] | None = None,
) -> tuple[Operation, ...]:
    """Make every silent operation on these targets that has acted this owner's."""
    locks = operations.c.locks
    where = (locks.is_not(None) if targets is None else locks.in_(tuple(targets)),)
    taken = []
    for row in _expired(journal, _READING, now, *where):
        silent = row["lease_until"].isoformat()
        body = {"owner": owner, "from": row["owner"], "silent_since": silent}
        journal.append(EntryKind.TAKEN_OVER, row["id"], at=now, body=body)
        taken.append(change(journal, row, {"owner": owner, "lease_until": now + lease}))
    return tuple(taken)


def holder(journal: Journal, target: str) -> Row | None:
    """The open operation that locks a target."""
    query = select(operations).where(operations.c.locks == target)
    return journal.connection.execute(query).mappings().one_or_none()


def _expired(
    journal: Journal, phases: tuple[str, ...], now: datetime, *where: ColumnElement[bool]
) -> list[Row]:
    query = select(operations).where(
        operations.c.phase.in_(phases),
        operations.c.lease_until <= now,
        *where,
    )
    return list(journal.connection.execute(query.order_by(operations.c.seq)).mappings())
