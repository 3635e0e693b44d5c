"""Rows of ``operations`` and what they mean: from a request and its plan, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from exporter.ledger.ids import new_id
from exporter.ledger.texts import clean, clean_text, item_key
from exporter.model.decision import Mode
from exporter.model.operation import (
    ItemOutcome,
    Operation,
    Outcome,
    Phase,
    Plan,
    PolicyRef,
    Request,
)

Row: TypeAlias = Mapping[Any, Any]
"""One row, by column name."""


def draft(request: Request, plan: Plan | None, *, now: datetime) -> dict[str, Any]:
    """A new row: who, what and why, still without phase, owner and number."""
    if plan is not None and (plan.target, plan.remedy) != (request.target, request.remedy):
        msg = f"a plan to {plan.remedy} {plan.target} does not serve {request!r}"
        raise ValueError(msg)
    keys = (plan.items if plan else ()) or request.items
    return {
        "id": new_id(now),
        "target": request.target,
        "remedy": request.remedy,
        "source": request.source,
        "actor": clean_text(request.actor),
        "policy": request.policy.name if request.policy else None,
        "revision": request.policy.revision if request.policy else None,
        "mode": str(request.mode),
        "created_at": now,
        "arguments": clean(plan.arguments if plan else request.arguments),
        "item_keys": list(dict.fromkeys(item_key(key) for key in keys)),
        "values_seen": clean(request.values),
        "reason": clean_text(request.reason),
        "allowed": clean(plan.allowed if plan else sorted(request.allow)),
        "before": clean(plan.before if plan else {}),
        "after": {},
        "partial": False,
        "summary": clean_text(plan.summary if plan else ""),
        "error": None,
        "request_id": request.request_id and clean_text(request.request_id),
        "role": request.role,
        "route": request.route,
        "asked_at": request.asked_at,
    }


_IN_BODY = (
    *("target", "remedy", "source", "actor", "policy", "revision", "mode", "arguments"),
    *("item_keys", "values_seen", "reason", "allowed", "before", "summary", "request_id"),
    *("role", "route"),
)


def opening_body(row: Row, request: Request, plan: Plan | None) -> dict[str, Any]:
    """What the first entry of an operation says: the whole row, and the plan behind it."""
    body = {name: row[name] for name in _IN_BODY} | {"allow": clean(request.allow)}
    body |= {"asked_at": clean(request.asked_at), "true_since": clean(request.true_since)}
    if plan is not None:
        # What was asked for may say more than the plan that came of it.
        body["asked"] = clean(request.arguments) if request.by_person else {}
        body |= {"rests_on": clean(plan.rests_on), "steps": clean(plan.steps)}
    return body


def operation_of(row: Row) -> Operation:
    """The row as the rest of the program knows it."""
    return Operation(
        id=row["id"],
        target=row["target"],
        remedy=row["remedy"],
        source=row["source"],
        actor=row["actor"],
        mode=Mode(row["mode"]),
        phase=Phase(row["phase"]),
        created_at=row["created_at"],
        arguments=row["arguments"],
        policy=PolicyRef(row["policy"], row["revision"]) if row["policy"] else None,
        items=tuple(row["item_keys"]),
        values=row["values_seen"],
        reason=row["reason"],
        allowed=tuple(row["allowed"]),
        before=row["before"],
        after=row["after"],
        summary=row["summary"],
        owner=row["owner"],
        lease_until=row["lease_until"],
        acted_at=row["acted_at"],
        partial=row["partial"],
        finished_at=row["finished_at"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        error=row["error"],
        request_id=row["request_id"],
        approved_by=row["approved_by"],
        approved_at=row["approved_at"],
        relapsed_at=row["relapsed_at"],
        role=row["role"],
        route=row["route"],
        asked_at=row["asked_at"],
    )


def stored_item(outcome: ItemOutcome) -> ItemOutcome:
    """What became of an item, as it may be stored."""
    words = clean_text(outcome.outcome), clean_text(outcome.detail)
    return ItemOutcome(item_key(outcome.key), *words)
