"""Reads the whole ledger, page by page, and says whether it is as it was written.

One check for the daemon's chore and ``audit verify``: first the chain, then the rows beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.ledger.chain import Entry, Flaw, Head, verify
from exporter.ledger.checkpoint import Beginning, Checkpoint
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
    begins: Checkpoint | None = None
    """Where retention ended, if it removed what was before."""


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
    while True:
        begins = await _begins(ledger)
        if isinstance(begins, Flaw):
            return Inspection(await ledger.head(), begins)
        found = await _inspect(ledger, begins, known, page, on_progress)
        # What retention removes while it is being read is missing from what was read.
        if found.flaw is None or await _begins(ledger) == begins:
            return found


async def _begins(ledger: Ledger) -> Checkpoint | Flaw | None:
    try:
        return await ledger.checkpoint()
    except _UNREADABLE as error:
        told = f"the entry that tells what retention removed cannot be read: {error}"
        return Flaw((await ledger.head()).seq, told)


async def _inspect(
    ledger: Ledger,
    begins: Checkpoint | None,
    known: Head | None,
    page: int,
    on_progress: Callable[[int, int], None],
) -> Inspection:
    head = await ledger.head()
    if (flaw := _misknown(known, head, begins)) is not None:
        return Inspection(head, flaw)
    seen, reading, after = Seen(), _Reading(Seals(ledger.keys), begins, known), 0
    while True:
        try:
            read = await ledger.chain(after=after, limit=page)
            entries = tuple(entry for entry in read if entry.seq <= head.seq)
            more = len(read) == page and read[-1].seq < head.seq
            end = Head(read[-1].seq, read[-1].hash) if more else head
            flaw = await asyncio.to_thread(reading.flaw, entries, end)
        except _UNREADABLE as error:
            told = f"an entry after {after} cannot be read: {error}"
            return Inspection(head, Flaw(after + 1, told))
        if flaw is None:
            flaw = await ledger.compare(entries, seen, last=not more)
        if flaw is None and not more:
            flaw = reading.seals.end(head)
        if flaw is not None or not more:
            return Inspection(head, flaw, reading.seals.key_id, reading.seals.since, begins)
        after = end.seq
        on_progress(after, head.seq)


class _Reading:
    """Checks a chain page by page: what retention left of its beginning, and all that follows."""

    def __init__(self, seals: Seals, begins: Checkpoint | None, known: Head | None) -> None:
        self.seals = seals
        self._known = known
        self._before = begins.through if begins else Head()
        self._beginning = Beginning(begins) if begins else None

    def flaw(self, entries: Sequence[Entry], end: Head) -> Flaw | None:
        """What is wrong with the next entries, up to ``end``."""
        chained = [entry for entry in entries if entry.seq > self._before.seq]
        if self._beginning is not None:
            left = entries[: len(entries) - len(chained)]
            for entry in left:
                self._beginning.add(entry)
            flaw = next(filter(None, map(self.seals.flaw, left)), None)
            if flaw is not None or end.seq <= self._before.seq:
                return flaw or self._other(entries)
            if (flaw := self._beginning.end()) is not None:
                return flaw
            self._beginning = None
        flaw = verify(chained, end, start=self._before, hash_flaw=self.seals.flaw)
        self._before = end
        return flaw or self._other(entries)

    def _other(self, entries: Sequence[Entry]) -> Flaw | None:
        """Whether one of them is not the one that was known."""
        known = self._known
        if known is None or all(e.hash == known.hash for e in entries if e.seq == known.seq):
            return None
        return _another(known)


def _misknown(known: Head | None, head: Head, begins: Checkpoint | None) -> Flaw | None:
    """Why a head that was known cannot be one of this chain, or cannot be compared with it."""
    if known is None:
        return None
    if known.seq > head.seq:
        told = f"entries after {head.seq} are missing; {known.seq} was known"
        return Flaw(head.seq + 1, told)
    if known.seq == 0:
        return None if known == Head() else _another(known)
    if begins is None or known.seq > begins.through.seq or known == begins.through:
        return None
    if known.seq == begins.through.seq:
        return _another(known)
    told = f"the head at entry {known.seq} is from before retention removed what was up to entry"
    told = f"{told} {begins.through.seq}: it proves nothing any more; use a later"
    return Flaw(known.seq, told, certain=False)


def _another(known: Head) -> Flaw:
    return Flaw(known.seq, f"entry {known.seq} is not the one that was known: it was written anew")
