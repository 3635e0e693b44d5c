"""Operations and plans as JSON, for the command line's ``--json`` and the read API alike."""

from __future__ import annotations

from typing import Any

from exporter.model.operation import Operation, Phase, Plan
from exporter.model.redact import sanitise
from exporter.wire.doctor import timestamp


def operation_json(operation: Operation) -> dict[str, Any]:
    """One ledger row in camel case; moments in ISO 8601 with ``Z``, absent ones null."""
    return {
        "id": operation.id,
        "target": operation.target,
        "remedy": operation.remedy,
        "source": operation.source,
        "actor": operation.actor,
        "role": operation.role,
        "route": operation.route,
        "policy": operation.policy.name if operation.policy else None,
        "policyRevision": operation.policy.revision if operation.policy else None,
        "mode": str(operation.mode),
        "phase": str(operation.phase),
        "outcome": str(operation.outcome) if operation.outcome else None,
        "askedAt": timestamp(operation.asked_at) if operation.asked_at else None,
        "createdAt": timestamp(operation.created_at),
        "actedAt": timestamp(operation.acted_at) if operation.acted_at else None,
        "finishedAt": timestamp(operation.finished_at) if operation.finished_at else None,
        "relapsedAt": timestamp(operation.relapsed_at) if operation.relapsed_at else None,
        "summary": operation.summary,
        "arguments": dict(operation.arguments),
        "items": list(operation.items),
        "values": dict(operation.values),
        "reason": operation.reason,
        "allowed": list(operation.allowed),
        "before": dict(operation.before),
        "after": dict(operation.after),
        "error": operation.error,
        "requestId": operation.request_id,
        "approvedBy": operation.approved_by,
        "approvedAt": timestamp(operation.approved_at) if operation.approved_at else None,
        "expiresAt": _expiry(operation),
    }


def _expiry(operation: Operation) -> str | None:
    if operation.phase is not Phase.PROPOSED or operation.lease_until is None:
        return None
    return timestamp(operation.lease_until)


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan that was not carried out, without secrets."""
    body: dict[str, Any] = sanitise(
        {
            "remedy": plan.remedy,
            "target": plan.target,
            "summary": plan.summary,
            "arguments": plan.arguments,
            "steps": plan.steps,
            "items": plan.items,
            "before": plan.before,
            "allowed": plan.allowed,
        }
    )
    return body
