"""Operations whose owner died: closed as interrupted, or verified by us if only that was left.

A lease that has run out is the only sign of death that counts (rule 5). Nothing is repeated: a
fresh report decides what is to be done next.
"""

from __future__ import annotations

import structlog

from exporter.app import Engine
from exporter.model.errors import LedgerUnavailableError
from exporter.model.operation import Operation, Outcome
from exporter.remediate import OnClosed

_log = structlog.get_logger(__name__)


async def look_after(engine: Engine, on_closed: OnClosed) -> None:
    """Close what died before its last write, and take over what died after it."""
    lease = engine.configuration.settings.lease
    try:
        for operation in await engine.ledger.sweep(engine.now()):
            _log.warning("operation.interrupted", operation=operation.id)
            on_closed(operation, None)
        mine = await engine.ledger.take_over(owner=engine.owner, lease=lease, now=engine.now())
        for operation in mine:
            await _verify(operation, engine, on_closed)
    except LedgerUnavailableError as error:
        _log.warning("ledger.unavailable", error=str(error))


async def _verify(operation: Operation, engine: Engine, on_closed: OnClosed) -> None:
    backend = engine.backends.get(operation.target)
    if backend is not None:
        _log.info("operation.taken_over", operation=operation.id)
        engine.remediator.resume(operation, backend)
        return
    closed = await engine.ledger.finish(
        operation.id,
        Outcome.UNVERIFIED,
        owner=engine.owner,
        now=engine.now(),
        error="its target is no longer configured, so nothing could be verified",
    )
    on_closed(closed, None)
