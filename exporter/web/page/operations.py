"""Operations as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exporter.model.operation import Operation, Phase
from exporter.model.redact import redact_text
from exporter.web.page.words import ago, length, moment
from exporter.wire.operation import OperationDetail

_LOOKS = {"answered": "ok", "nothing_to_do": "ok"}
"""How an outcome looks where that is not its own word."""


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation in a list."""

    id: str
    target: str
    remedy: str
    summary: str
    word: str
    """The outcome; the phase while it is open."""
    look: str
    error: str
    by: str
    source: str
    at: str
    ago: str
    took: str


def operation_row(operation: Operation, now: datetime) -> OperationRow:
    """One operation in words."""
    waiting = operation.phase is Phase.PROPOSED and operation.open
    word = str(operation.outcome or ("waiting for a yes" if waiting else operation.phase))
    if waiting and operation.approved_by:
        word = "approved"
    look = "waiting" if waiting else _LOOKS.get(word, word if operation.outcome else "act")
    ended = operation.finished_at
    by = operation.policy.name if operation.policy else operation.actor
    return OperationRow(
        id=operation.id,
        target=operation.target,
        remedy=operation.remedy,
        summary=redact_text(operation.summary),
        word=word,
        look=look,
        error=redact_text(operation.error or ""),
        by=redact_text(by),
        source=operation.source,
        at=moment(operation.created_at),
        ago=ago(now - operation.created_at),
        took=length(ended - operation.created_at) if ended else "",
    )


def operation_facts(operation: Operation, detail: OperationDetail, now: datetime) -> dict[str, Any]:
    """Everything that the page of one operation shows."""
    first = detail.entries[0].body if detail.entries else {}
    steps = first.get("steps")
    return {
        "row": operation_row(operation, now),
        "operation": operation,
        "entries": detail.entries,
        "steps": [str(step) for step in steps] if isinstance(steps, list) else [],
        "waits": operation.open
        and operation.phase is Phase.PROPOSED
        and operation.approved_by is None,
    }
