"""The chore that checks whether the ledger is as it was written, and tells metrics and log."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from exporter.app.engine import Engine
from exporter.ledger.chain import Head
from exporter.ledger.integrity import inspect
from exporter.metrics.instruments import Instruments

CHECK_SECONDS = 3600.0
_log = structlog.get_logger(__name__)


class Checking:
    """Checks the whole ledger, against the head that the last good check has seen."""

    def __init__(self, engine: Callable[[], Engine], instruments: Instruments) -> None:
        self._engine = engine
        self._instruments = instruments
        self._seen: Head | None = None

    async def look(self) -> None:
        """Check it once. LedgerUnavailableError."""
        engine = self._engine()
        found = await inspect(engine.ledger, known=self._seen)
        if found.flaw is not None:
            _log.error("ledger.flawed", entry=found.flaw.seq, error=found.flaw.sentence)
        else:
            self._seen = found.head
            self._instruments.ledger_verified(engine.now())
