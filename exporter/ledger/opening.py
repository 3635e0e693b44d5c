"""New operations: reserved under lock and budget, or inserted closed. Inside one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from exporter.ledger import budgets, leases
from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal
from exporter.ledger.progress import add_items, change
from exporter.ledger.rows import Row, draft, opening_body, operation_of
from exporter.ledger.tables import operations
from exporter.ledger.texts import clean, clean_text
from exporter.model.errors import InFlightError, LimitReachedError
from exporter.model.operation import Operation, Outcome, Phase, Plan, Request
from exporter.policy.limits import exhausted


def refusal(
    journal: Journal, request: Request, plan: Plan, *, now: datetime
) -> InFlightError | LimitReachedError | None:
    """Why the request may not be reserved now: the target is busy, or its budget is spent."""
    holder = leases.holder(journal, request.target) if request.mends else None
    if holder is not None:
        msg = (
            f"operation {holder['id']} ({holder['remedy']} by {holder['actor']})"
            f" is {holder['phase']} on {request.target}"
        )
        return InFlightError(msg, operation_id=holder["id"])
    return over_budget(journal, request, plan, now=now)


def over_budget(
    journal: Journal, request: Request, plan: Plan, *, now: datetime
) -> LimitReachedError | None:
    """Which limit or cooldown forbids a policy's request. Nothing limits a person."""
    if request.budget is None or request.by_person:
        return None
    items = plan.items or request.items
    usage = budgets.spent(journal.connection, request, request.budget, items=items)
    found = exhausted(request.budget, usage, now=now, items=items)
    return LimitReachedError(str(found.reason), found.sentence) if found else None


def reserve(
    journal: Journal, request: Request, plan: Plan, *, owner: str, lease: timedelta, now: datetime
) -> Operation:
    """Insert it open: it locks the target and spends its budget from now on.

    What mends nothing locks nothing, and all it spends is its cooldown.
    """
    row = draft(request, plan, now=now) | _reserved(request.target, owner, lease, now)
    if not request.mends:
        row |= {"counted_at": None, "locks": None}
    extra = {"owner": owner, "lease_until": row["lease_until"].isoformat()}
    return insert_row(journal, EntryKind.RESERVED, row, opening_body(row, request, plan) | extra)


def reserve_row(
    journal: Journal, row: Row, *, owner: str, lease: timedelta, now: datetime
) -> Operation:
    """Let an operation that is already written down lock the target, and spend its budget."""
    values = _reserved(row["target"], owner, lease, now)
    body = {"owner": owner, "lease_until": values["lease_until"].isoformat()}
    body["approved_by"] = row["approved_by"]
    journal.append(EntryKind.RESERVED, row["id"], at=now, body=body)
    return change(journal, row, values)


def _reserved(target: str, owner: str, lease: timedelta, now: datetime) -> dict[str, Any]:
    return {
        "phase": str(Phase.RESERVED),
        "counted_at": now,
        "touched_at": now,
        "locks": target,
        "owner": owner,
        "lease_until": now + lease,
    }


def rehearse(journal: Journal, request: Request, plan: Plan, *, now: datetime) -> Operation:
    """Insert what would have been done. A policy's rehearsal spends the budget of rehearsals."""
    touched = None if request.by_person else now
    row = draft(request, plan, now=now) | _closed(Outcome.OBSERVED, now)
    row |= {"counted_at": touched if request.mends else None, "touched_at": touched}
    return insert_row(journal, EntryKind.OBSERVED, row, opening_body(row, request, plan))


def refuse(
    journal: Journal, request: Request, *, reason: str, message: str, now: datetime
) -> Operation:
    """Insert an attempt that was refused before anything was reserved. It counts for nothing."""
    row = draft(request, None, now=now) | _closed(Outcome.REFUSED, now)
    row["error"] = clean_text(f"{reason}: {message}")
    extra = {"refused": clean_text(reason), "error": row["error"]}
    return insert_row(journal, EntryKind.REFUSED, row, opening_body(row, request, None) | extra)


def answer(journal: Journal, request: Request, *, after: object, now: datetime) -> Operation:
    """Insert a call that only read, such as a doctor's. It counts for nothing."""
    row = draft(request, None, now=now) | _closed(Outcome.ANSWERED, now)
    row["after"] = clean(after)
    extra = {"after": row["after"]}
    return insert_row(journal, EntryKind.ANSWERED, row, opening_body(row, request, None) | extra)


def _closed(outcome: Outcome, now: datetime) -> dict[str, Any]:
    return {"phase": str(Phase.CLOSED), "outcome": str(outcome), "finished_at": now}


_ABSENT = dict.fromkeys(
    (*("outcome", "counted_at", "touched_at", "acted_at", "finished_at"), *("locks", "owner"))
) | dict.fromkeys(("lease_until", "approved_by", "approved_at", "relapsed_at", "relapsed_seq"))


def insert_row(journal: Journal, kind: EntryKind, row: dict[str, Any], body: object) -> Operation:
    """Insert a row and the entry that opens it."""
    row = _ABSENT | row | {"seq": journal.next_seq}
    journal.connection.execute(insert(operations), row)
    add_items(journal, row["id"], row["item_keys"])
    journal.append(kind, row["id"], at=row["created_at"], body=body)
    return operation_of(row)
