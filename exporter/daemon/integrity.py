"""Reads the whole chain of the ledger's entries, page by page, and says whether it holds."""

from __future__ import annotations

import asyncio

import structlog

from exporter.ledger.chain import Flaw, Head, verify
from exporter.ledger.gateway import Ledger

PAGE = 1_000
"""Entries read at once: what else wants the ledger waits no longer than for these."""
_log = structlog.get_logger(__name__)


async def holds(ledger: Ledger, *, page: int = PAGE) -> bool:
    """Whether every entry up to the present head is as it was written; a flaw is logged.

    Raises LedgerUnavailableError when it cannot be read.
    """
    flaw = await _first_flaw(ledger, await ledger.head(), page)
    if flaw is not None:
        _log.error("ledger.flawed", entry=flaw.seq, error=flaw.sentence)
    return flaw is None


async def _first_flaw(ledger: Ledger, head: Head, page: int) -> Flaw | None:
    before = Head()
    while before.seq < head.seq:
        read = await ledger.chain(after=before.seq, limit=page)
        entries = tuple(entry for entry in read if entry.seq <= head.seq)
        more = len(read) == page and read[-1].seq < head.seq
        end = Head(read[-1].seq, read[-1].hash) if more else head
        flaw = await asyncio.to_thread(verify, entries, end, start=before)
        if flaw is not None:
            return flaw
        before = end
    return None
