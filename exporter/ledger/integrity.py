"""Reads the whole ledger, page by page, and says whether it is as it was written.

One check for the daemon's chore and ``audit verify``: first the chain, then the rows beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.ledger.chain import Entry, Flaw, Head, verify
from exporter.ledger.compared import Seen
from exporter.ledger.sealing import Seals

if TYPE_CHECKING:
    from exporter.ledger.gateway import Ledger

PAGE = 1_000
"""Entries read at once: what else wants the ledger waits no longer than for these."""
_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError)
"""What reading a row raises whose text is not what was written."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found up to a head: nothing, or the first flaw."""

    head: Head
    flaw: Flaw | None = None
    key: str | None = None
    """The id of the key that the newest entries have."""
    keyed_since: int | None = None
    """The first entry that has one; what is before it, only that entry's own hash protects."""


async def inspect(
    ledger: Ledger,
    *,
    known: Head | None = None,
    page: int = PAGE,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Inspection:
    """Check every entry up to the present head, and every row that entries tell of.

    With a head that was ``known`` earlier, what was cut off or written anew since is found, too.
    ``on_progress`` is told how many entries of how many were read. LedgerUnavailableError.
    """
    head = await ledger.head()
    if known is not None and known.seq > head.seq:
        told = f"entries after {head.seq} are missing; {known.seq} was known"
        return Inspection(head, Flaw(head.seq + 1, told))
    if known is not None and known.seq == 0 and known != Head():
        return Inspection(head, _another(known))
    before, seen, seals = Head(), Seen(), Seals(ledger.keys)
    while True:
        try:
            read = await ledger.chain(after=before.seq, limit=page)
            entries = tuple(entry for entry in read if entry.seq <= head.seq)
            more = len(read) == page and read[-1].seq < head.seq
            end = Head(read[-1].seq, read[-1].hash) if more else head
            flaw = await asyncio.to_thread(_chained, entries, before, end, known, seals)
        except _UNREADABLE as error:
            told = f"an entry after {before.seq} cannot be read: {error}"
            return Inspection(head, Flaw(before.seq + 1, told))
        if flaw is None:
            flaw = await ledger.compare(entries, seen, last=not more)
        if flaw is None and not more:
            flaw = seals.end(head)
        if flaw is not None or not more:
            return Inspection(head, flaw, seals.key_id, seals.since)
        before = end
        on_progress(before.seq, head.seq)


def _chained(
    entries: Sequence[Entry], start: Head, end: Head, known: Head | None, seals: Seals
) -> Flaw | None:
    flaw = verify(entries, end, start=start, hash_flaw=seals.flaw)
    if flaw is None and known is not None:
        named = (entry for entry in entries if entry.seq == known.seq)
        if any(entry.hash != known.hash for entry in named):
            return _another(known)
    return flaw


def _another(known: Head) -> Flaw:
    return Flaw(known.seq, f"entry {known.seq} is not the one that was known: it was written anew")
