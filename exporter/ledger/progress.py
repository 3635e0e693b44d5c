"""What happens to an open operation: phases, items, leases, and its end. Inside one transaction.

The lease decides who may go on *writing* to the target (``advance``). What was already done may
be told even when the lease has just run out, as long as nobody else has closed the operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal
from exporter.ledger.rows import Row, operation_of, stored_item
from exporter.ledger.tables import operation_items, operations
from exporter.ledger.texts import clean, clean_text, item_key
from exporter.model.errors import LeaseLostError
from exporter.model.operation import HELPED, ActResult, ItemOutcome, Operation, Outcome, Phase
from exporter.model.relapse import Relapse

_ORDER = list(Phase)
_KINDS = {Phase.ACTING: EntryKind.ACTING, Phase.VERIFYING: EntryKind.VERIFYING}


def load(journal: Journal, operation_id: str) -> Row | None:
    """The row as it stands."""
    query = select(operations).where(operations.c.id == operation_id)
    return journal.connection.execute(query).mappings().one_or_none()


def change(journal: Journal, row: Row, values: Mapping[str, Any]) -> Operation:
    """Update the row and return what it then says."""
    where = operations.c.id == row["id"]
    journal.connection.execute(update(operations).where(where).values(dict(values)))
    return operation_of({**row, **values})


def ours(journal: Journal, operation_id: str, owner: str) -> Row:
    """The open row, if it is this owner's; LeaseLostError otherwise."""
    row = load(journal, operation_id)
    if row is None:
        raise LeaseLostError(f"operation {operation_id} is not in the ledger")
    if row["outcome"] is not None:
        raise LeaseLostError(f"operation {operation_id} is closed: {row['outcome']}")
    if row["owner"] != owner:
        raise LeaseLostError(f"operation {operation_id} is now {row['owner']}'s, not {owner}'s")
    return row


def leased(journal: Journal, operation_id: str, owner: str, now: datetime) -> Row:
    """The open row, if it is this owner's and its lease still runs; LeaseLostError otherwise."""
    row = ours(journal, operation_id, owner)
    if row["lease_until"] <= now:
        raise LeaseLostError(f"the lease of operation {operation_id} ended {row['lease_until']}")
    return row


def advance(
    journal: Journal, row: Row, phase: Phase, *, until: datetime, now: datetime, detail: str
) -> Operation:
    """Go on to ``acting`` (once before each write) or ``verifying``; never back."""
    if phase not in _KINDS or _ORDER.index(phase) < _ORDER.index(Phase(row["phase"])):
        msg = f"operation {row['id']} cannot go from {row['phase']} to {phase}"
        raise ValueError(msg)
    body = {"detail": clean_text(detail)} if detail else {}
    journal.append(_KINDS[phase], row["id"], at=now, body=body)
    touched = max(row["touched_at"], now) if phase is Phase.ACTING else row["touched_at"]
    values = {"phase": str(phase), "lease_until": until, "touched_at": touched}
    return change(journal, row, values)


def note_item(journal: Journal, row: Row, outcome: ItemOutcome, *, now: datetime) -> None:
    """Record what became of one item, planned or not."""
    item = stored_item(outcome)
    body = {"key": item.key, "outcome": item.outcome, "detail": item.detail}
    journal.append(EntryKind.ITEM, row["id"], at=now, body=body)
    _settle(journal, row, item, now=now)
    change(journal, row, {"touched_at": max(row["touched_at"], now)})


def _settle(journal: Journal, row: Row, item: ItemOutcome, *, now: datetime) -> None:
    values = {"outcome": item.outcome, "detail": item.detail, "at": now}
    mine = operation_items.c.operation_id == row["id"]
    known = update(operation_items).where(mine, operation_items.c.key == item.key).values(values)
    if not journal.connection.execute(known).rowcount:
        add_items(journal, row["id"], [item.key], first=len(row["item_keys"]))
        journal.connection.execute(known)


def add_items(journal: Journal, operation_id: str, keys: list[str], *, first: int = 0) -> None:
    """Insert items that nothing is known about yet."""
    rows = [
        {"operation_id": operation_id, "key": key, "position": position, "detail": ""}
        for position, key in enumerate(keys, first)
    ]
    if rows:
        journal.connection.execute(insert(operation_items), rows)


def mark_acted(
    journal: Journal, row: Row, result: ActResult, *, until: datetime, now: datetime
) -> Operation:
    """All writes are done: what they did, and from when on readings may verify it."""
    after = clean(result.after)
    items = [stored_item(item) for item in result.items]
    body = {
        "after": after,
        "items": [[item.key, item.outcome, item.detail] for item in items],
        "nothing_to_do": result.nothing_to_do,
        "partial": result.partial,
    }
    journal.append(EntryKind.ACTED, row["id"], at=now, body=body)
    for item in items:
        _settle(journal, row, item, now=now)
    values = {
        "phase": str(Phase.ACTED),
        "acted_at": now,
        "touched_at": max(row["touched_at"], now),
        "lease_until": until,
        "after": after,
        "partial": result.partial,
    }
    return change(journal, row, values)


def finish(
    journal: Journal,
    row: Row,
    outcome: Outcome,
    *,
    now: datetime,
    after: Mapping[str, Any] | None,
    error: str | None,
    refused_elsewhere: bool = False,
) -> Operation:
    """Close it and free the target.

    Refused while still ``reserved`` it has provably written nothing (each write is announced by
    ``acting``), and so has what the other side refused (``refused_elsewhere``): it gives back its
    budget and its cooldown. Otherwise a benign change of the world between plan and act could use
    up a limit ``per: forever``.
    """
    values: dict[str, Any] = {"error": clean_text(error)} if error else {}
    if after is not None:
        values["after"] = clean(after)
    unannounced = row["phase"] == Phase.RESERVED
    untouched = outcome is Outcome.REFUSED and (unannounced or refused_elsewhere)
    body = {"outcome": str(outcome), "counted": not untouched, **values}
    if untouched:
        values |= {"counted_at": None, "touched_at": None}
    elif row["phase"] == Phase.ACTING:
        values["touched_at"] = max(row["touched_at"], now)
    journal.append(EntryKind.CLOSED, row["id"], at=now, body=body)
    return change(journal, row, values | _closed(outcome, now))


def close(journal: Journal, row: Row, outcome: Outcome, *, now: datetime, error: str) -> Operation:
    """Close what never began: it counts for nothing."""
    text = clean_text(error)
    body = {"outcome": str(outcome), "counted": False, "error": text}
    journal.append(EntryKind.CLOSED, row["id"], at=now, body=body)
    return change(journal, row, {"error": text} | _closed(outcome, now))


def interrupt(journal: Journal, row: Row, *, now: datetime) -> Operation:
    """Close an operation whose owner fell silent. It counts; until when it wrote is not known."""
    silent = row["lease_until"]
    error = f"its owner {row['owner']} was silent since its lease ended at {silent.isoformat()}"
    body = {"phase": row["phase"], "owner": row["owner"], "silent_since": silent.isoformat()}
    values: dict[str, Any] = {"error": error}
    if row["phase"] == Phase.ACTING:
        values["touched_at"] = max(row["touched_at"], silent)
    journal.append(EntryKind.INTERRUPTED, row["id"], at=now, body=body)
    return change(journal, row, values | _closed(Outcome.INTERRUPTED, now))


def never_verified(journal: Journal, row: Row, *, now: datetime) -> Operation:
    """Close an operation that acted and whose owner fell silent before it was verified."""
    silent = row["lease_until"].isoformat()
    error = f"its owner {row['owner']} was silent since its lease ended at {silent}"
    body = {"outcome": str(Outcome.UNVERIFIED), "owner": row["owner"], "silent_since": silent}
    journal.append(EntryKind.CLOSED, row["id"], at=now, body=body | {"error": error})
    return change(journal, row, {"error": error} | _closed(Outcome.UNVERIFIED, now))


def relapse(journal: Journal, found: Relapse, *, now: datetime) -> Operation | None:
    """Note that an operation's success did not last; None when that is known, or it had none."""
    row = load(journal, found.operation_id)
    if row is None or row["outcome"] not in HELPED or row["relapsed_at"] is not None:
        return None
    body = {"items": [item_key(key) for key in found.items], "seen_at": clean(found.seen_at)}
    seq = journal.append(EntryKind.RELAPSED, row["id"], at=now, body=body)
    return change(journal, row, {"relapsed_at": found.seen_at, "relapsed_seq": seq})


def _closed(outcome: Outcome, now: datetime) -> dict[str, Any]:
    closed = str(Phase.CLOSED)
    return {"phase": closed, "outcome": str(outcome), "finished_at": now, "locks": None}


def said_late(
    journal: Journal, row: Row, outcome: Outcome, *, now: datetime, error: str | None
) -> None:
    """Keep an owner's word on an operation that was closed for its silence meanwhile."""
    body = {"outcome": str(outcome), "error": clean_text(error) if error else None}
    journal.append(EntryKind.LATE, row["id"], at=now, body=body)
