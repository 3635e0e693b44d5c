"""Operations and plans as JSON, for the command line's ``--json`` and the read API alike."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from exporter.model.operation import Operation, Outcome, Phase, Source
from exporter.wire.body import Answer, moment, timestamp


class OperationBody(Answer):
    """One ledger row; moments in ISO 8601 with ``Z``, absent ones null."""

    id: str
    target: str
    remedy: str
    source: Source
    actor: str
    role: str | None
    route: str | None
    policy: str | None
    policy_revision: str | None
    mode: str
    phase: Phase
    outcome: Outcome | None
    asked_at: str | None
    created_at: str
    acted_at: str | None
    finished_at: str | None
    relapsed_at: str | None
    summary: str
    arguments: dict[str, Any]
    items: list[str]
    values: dict[str, Any]
    reason: str
    allowed: list[str]
    before: dict[str, Any]
    after: dict[str, Any]
    error: str | None
    request_id: str | None
    approved_by: str | None
    approved_at: str | None
    expires_at: str | None
    """Of a plan that waits for a person: until when it stands."""


class EntryBody(Answer):
    """One entry of the chain: what happened, and the hash that covers it and all before it."""

    seq: int
    at: str
    kind: str
    body: dict[str, Any]
    hash: str


class OperationDetail(OperationBody):
    """One row with everything that happened to it, in order."""

    entries: tuple[EntryBody, ...]


class OperationsAnswer(Answer):
    """Operations, newest first."""

    operations: tuple[OperationBody, ...]
    next_cursor: str | None = None


def operation_body(operation: Operation) -> OperationBody:
    """One ledger row."""
    return OperationBody(**_fields(operation))


def operation_detail(operation: Operation, entries: tuple[EntryBody, ...]) -> OperationDetail:
    """One ledger row and its entries."""
    return OperationDetail(**_fields(operation), entries=entries)


def entry_body(*, seq: int, at: datetime, kind: str, body: str, digest: str) -> EntryBody:
    """One entry; ``body`` is its canonical JSON."""
    return EntryBody(seq=seq, at=timestamp(at), kind=str(kind), body=json.loads(body), hash=digest)


def operation_json(operation: Operation) -> dict[str, Any]:
    """One ledger row as plain data."""
    return operation_body(operation).as_json()


def _fields(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "target": operation.target,
        "remedy": operation.remedy,
        "source": operation.source,
        "actor": operation.actor,
        "role": operation.role,
        "route": operation.route,
        "policy": operation.policy.name if operation.policy else None,
        "policy_revision": operation.policy.revision if operation.policy else None,
        "mode": str(operation.mode),
        "phase": operation.phase,
        "outcome": operation.outcome,
        "asked_at": moment(operation.asked_at),
        "created_at": timestamp(operation.created_at),
        "acted_at": moment(operation.acted_at),
        "finished_at": moment(operation.finished_at),
        "relapsed_at": moment(operation.relapsed_at),
        "summary": operation.summary,
        "arguments": dict(operation.arguments),
        "items": list(operation.items),
        "values": dict(operation.values),
        "reason": operation.reason,
        "allowed": list(operation.allowed),
        "before": dict(operation.before),
        "after": dict(operation.after),
        "error": operation.error,
        "request_id": operation.request_id,
        "approved_by": operation.approved_by,
        "approved_at": moment(operation.approved_at),
        "expires_at": moment(operation.lease_until) if operation.phase is Phase.PROPOSED else None,
    }
