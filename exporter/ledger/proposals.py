"""Plans that wait for a person, and what becomes of them. Inside one transaction.

A proposal is an open operation that locks nothing and spends nothing. Its lease is how long it
stands. What a person approved is carried out only as it was written down: ``take`` compares.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import select

from exporter.ledger import opening
from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal
from exporter.ledger.progress import change, close, load
from exporter.ledger.rows import Row, draft, opening_body, operation_of
from exporter.ledger.tables import entries, operations
from exporter.ledger.texts import clean_text
from exporter.model.errors import RefusedError
from exporter.model.operation import Operation, Outcome, Phase, Plan, Request

STANDS_FOR = timedelta(hours=1)
"""How long a plan waits for a person."""
APPROVED_FOR = timedelta(minutes=10)
"""How long an approval stands at least: the round that acts on it may have to wait its turn."""
_SAME = {
    "remedy": "remedy",
    "target": "target",
    "policy": "policy",
    "revision": "the policy's text",
    "arguments": "arguments",
    "item_keys": "items",
    "allowed": "overrides",
}
"""Columns that must be the same when it is carried out, and what people call them."""


def propose(
    journal: Journal, request: Request, plan: Plan, *, owner: str, now: datetime
) -> Operation:
    """Insert a plan that waits, unless one of the same policy waits for these items already.

    One that waits under another text of the policy is withdrawn.
    """
    expire(journal, now=now, target=request.target)
    row = draft(request, plan, now=now)
    for other in _waiting(journal, request.target):
        if other["policy"] != row["policy"] or not _overlap(other, row):
            continue
        if other["revision"] == row["revision"]:
            return operation_of(other)
        close(journal, other, Outcome.WITHDRAWN, now=now, error="its policy was changed")
    until = now + STANDS_FOR
    row |= {"phase": str(Phase.PROPOSED), "owner": owner, "lease_until": until}
    body = opening_body(row, request, plan) | {"expires_at": until.isoformat(), "owner": owner}
    return opening.insert_row(journal, EntryKind.PROPOSED, row, body)


def approve(
    journal: Journal, operation_id: str, *, actor: str, reason: str, now: datetime
) -> Operation:
    """Say yes to it. RefusedError when it does not wait any more."""
    row = _waits(journal, operation_id, now)
    if row["approved_by"] is not None:
        msg = f"operation {operation_id} was approved already, by {row['approved_by']}"
        raise RefusedError("already-approved", msg)
    by, until = clean_text(actor), max(row["lease_until"], now + APPROVED_FOR)
    body = {"approved_by": by, "reason": clean_text(reason), "until": until.isoformat()}
    journal.append(EntryKind.APPROVED, row["id"], at=now, body=body)
    return change(journal, row, {"approved_by": by, "approved_at": now, "lease_until": until})


def reject(
    journal: Journal, operation_id: str, *, actor: str, reason: str, now: datetime
) -> Operation:
    """Say no to it. RefusedError when it does not wait any more; a yes may still be taken back."""
    row = _waits(journal, operation_id, now)
    by = clean_text(actor)
    told = f"rejected by {by}" + (f": {clean_text(reason)}" if reason else "")
    return close(journal, row, Outcome.REJECTED, now=now, error=told)


def end(
    journal: Journal, operation_id: str, outcome: Outcome, *, why: str, now: datetime
) -> Operation | None:
    """Close one that still waits, approved or not; None when it does not wait any more."""
    row = load(journal, operation_id)
    if row is None or row["phase"] != Phase.PROPOSED:
        return None
    return close(journal, row, outcome, now=now, error=why)


def expire(journal: Journal, *, now: datetime, target: str | None = None) -> tuple[Operation, ...]:
    """Close those that nobody answered in time, on one target or on all."""
    late = [row for row in _waiting(journal, target) if row["lease_until"] <= now]
    return tuple(
        close(journal, row, Outcome.EXPIRED, now=now, error=_too_late(row)) for row in late
    )


def take(
    journal: Journal,
    request: Request,
    plan: Plan,
    *,
    owner: str,
    lease: timedelta,
    now: datetime,
) -> Operation:
    """Begin what was approved. RefusedError unless the plan is the very one that was."""
    row = _waits(journal, str(request.proposal), now)
    if row["approved_by"] is None:
        raise RefusedError("not-approved", f"nobody has approved operation {row['id']}")
    fresh = draft(request, plan, now=now)
    body = opening_body(fresh, request, plan)
    proposed = _opening(journal, row)
    differs = [word for name, word in _SAME.items() if fresh[name] != row[name]]
    if body["rests_on"] != proposed["rests_on"]:
        differs.append("what it rests on")
    if differs:
        msg = f"the plan is another one than was approved ({', '.join(differs)}): {plan.summary}"
        raise RefusedError("changed", msg)
    return opening.reserve_row(journal, row, owner=owner, lease=lease, now=now)


def _too_late(row: Row) -> str:
    if row["approved_by"] is None:
        return "nobody approved it in time"
    return f"{row['approved_by']} approved it, and it could not begin in time"


def _waits(journal: Journal, operation_id: str, now: datetime) -> Row:
    row = load(journal, operation_id)
    if row is None:
        raise RefusedError("unknown-operation", f"there is no operation {operation_id}")
    if row["phase"] != Phase.PROPOSED:
        how = row["outcome"] or row["phase"]
        msg = f"operation {operation_id} does not wait for approval: it is {how}"
        raise RefusedError("not-waiting", msg)
    if row["lease_until"] <= now:
        msg = f"operation {operation_id} expired at {row['lease_until'].isoformat()}"
        raise RefusedError("expired", msg)
    return row


def _waiting(journal: Journal, target: str | None) -> list[Row]:
    query = select(operations).where(operations.c.phase == str(Phase.PROPOSED))
    if target is not None:
        query = query.where(operations.c.target == target)
    return list(journal.connection.execute(query.order_by(operations.c.seq)).mappings())


def _overlap(one: Row, other: Row) -> bool:
    mine, theirs = set(one["item_keys"]), set(other["item_keys"])
    return bool(mine & theirs) or not (mine or theirs)


def _opening(journal: Journal, row: Row) -> dict[str, object]:
    """The body of its first entry."""
    journal.flush()
    query = select(entries.c.body).where(entries.c.seq == row["seq"])
    body: dict[str, object] = json.loads(journal.connection.execute(query).scalar_one())
    return body
