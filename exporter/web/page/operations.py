"""Operations as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exporter.model.operation import Operation, Phase
from exporter.model.redact import redact_text
from exporter.web.page.words import ago, length

_LOOKS = {"verified": "verified", "answered": "ok", "nothing_to_do": "ok"}
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
    at_iso: str
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
        at=ago(now - operation.created_at),
        at_iso=operation.created_at.isoformat(timespec="seconds"),
        took=length(ended - operation.created_at) if ended else "",
    )
