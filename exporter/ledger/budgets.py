"""What a policy's budget has spent, counted exactly in the transaction that wants to spend more.

Counted is every operation of a policy that was reserved, however it ended, a crash included;
rehearsals only among themselves. Not counted is one that was refused before its first write: it
gave its budget back when it closed (``progress.finish``). A person's operation spends nothing,
but starts the cooldown.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from exporter.ledger.tables import operation_items, operations
from exporter.ledger.texts import item_key
from exporter.model.decision import Mode
from exporter.model.operation import Budget, Request, Usage

_o = operations.c


def spent(
    connection: Connection, request: Request, budget: Budget, *, items: tuple[str, ...]
) -> Usage:
    """Count for one request. ``items`` are the keys that its plan acts on.

    Of each scope only as many moments are read as its largest limit: the newest decide.
    """
    depth = {
        scope: max((w.max for w in budget.windows if w.scope == scope), default=0)
        for scope in ("item", "target", "policy", "global")
    }
    ours = (_o.source == "policy", _same_kind(request.mode))
    here = (*ours, _o.target == request.target, _o.remedy == request.remedy)
    policy = request.policy.name if request.policy else None
    return Usage(
        item={key: _of_item(connection, depth["item"], key, *here) for key in items},
        target=_newest(connection, depth["target"], *here),
        policy=_newest(connection, depth["policy"], *ours, _o.policy == policy),
        everything=_newest(connection, depth["global"], *ours),
        last=_last(connection, request),
        own=_own(connection, *here, _o.policy == policy) if budget.own_cooldown else None,
    )


def _same_kind(mode: Mode) -> ColumnElement[bool]:
    return _o.mode == Mode.OBSERVE if mode is Mode.OBSERVE else _o.mode != Mode.OBSERVE


def _newest(
    connection: Connection, depth: int, *where: ColumnElement[bool]
) -> tuple[datetime, ...]:
    if depth < 1:
        return ()
    query = select(_o.counted_at).where(_o.counted_at.is_not(None), *where)
    moments = connection.scalars(query.order_by(_o.counted_at.desc()).limit(depth)).all()
    return tuple(reversed(moments))


def _of_item(
    connection: Connection, depth: int, key: str, *where: ColumnElement[bool]
) -> tuple[datetime, ...]:
    held = select(operation_items.c.operation_id).where(operation_items.c.key == item_key(key))
    return _newest(connection, depth, *where, _o.id.in_(held))


def _own(connection: Connection, *where: ColumnElement[bool]) -> datetime | None:
    newest: datetime | None = connection.scalar(select(func.max(_o.touched_at)).where(*where))
    return newest


def _last(connection: Connection, request: Request) -> datetime | None:
    by_person = and_(_o.source != "policy", _same_kind(Mode.ENFORCE))
    query = select(func.max(_o.touched_at)).where(
        _o.target == request.target,
        _o.remedy == request.remedy,
        or_(_same_kind(request.mode), by_person),
    )
    last: datetime | None = connection.scalar(query)
    return last
