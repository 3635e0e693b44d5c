"""Operations whose owner died: closed as interrupted, or verified by us if only that was left.

A lease that has run out is the only sign of death that counts (rule 5). Nothing is repeated: a
fresh report decides what is to be done next.
"""

from __future__ import annotations

import structlog

from exporter.app.engine import Engine
from exporter.model.errors import LedgerUnavailableError
from exporter.model.operation import Operation, Outcome
from exporter.remediate.execution import OnClosed
from exporter.remediate.verification import Verification, verification_of

_log = structlog.get_logger(__name__)


async def look_after(engine: Engine, on_closed: OnClosed) -> None:
    """Close what died before its last write, take over what died after it, and end what expired."""
    lease = engine.configuration.settings.lease
    try:
        for operation in await engine.ledger.sweep(engine.now()):
            _log.warning("operation.interrupted", operation=operation.id)
            on_closed(operation, None)
        for operation in await engine.ledger.expire(engine.now()):
            _log.info("operation.expired", operation=operation.id)
            on_closed(operation, None)
        for operation in await engine.ledger.take_over(
            owner=engine.owner, lease=lease, now=engine.now(), targets=tuple(engine.backends)
        ):
            _log.info("operation.taken_over", operation=operation.id)
            await _verify(operation, engine, on_closed)
        await engine.ledger.note_unwatched(frozenset(engine.backends), now=engine.now())
    except LedgerUnavailableError as error:
        _log.warning("ledger.unavailable", error=str(error))


async def _verify(operation: Operation, engine: Engine, on_closed: OnClosed) -> None:
    """Verify as its policy asks; without that very policy nobody knows what was asked."""
    verification: Verification | None = Verification()
    if operation.policy is not None:
        policy = next((p for p in engine.policies if p.ref == operation.policy), None)
        item = operation.items[0] if operation.items else None
        verification = verification_of(policy, item) if policy else None
    backend = engine.backends.get(operation.target)  # a reload may have dropped it just now
    if verification is not None and backend is not None:
        engine.remediator.resume(operation, backend, verification)
        return
    closed = await engine.ledger.finish(
        operation.id,
        Outcome.UNVERIFIED,
        owner=engine.owner,
        now=engine.now(),
        error="its policy or target is gone or has changed, so nothing tells what to verify",
    )
    on_closed(closed, None)
