"""One writing transaction: locks the head, appends chained entries, moves the head.

Whoever holds the head is alone: what it reads stays true until it commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select, update

from exporter.ledger.chain import Entry, EntryKind, Head, link
from exporter.ledger.engine import for_writing
from exporter.ledger.tables import entries, head


class Journal:
    """The transaction's connection, and the end of the chain. Made by ``writing``."""

    def __init__(self, connection: Connection, at: Head) -> None:
        self.connection = connection
        self._committed = self._head = at
        self._waiting: list[Entry] = []

    @property
    def next_seq(self) -> int:
        """The number that the next entry will have."""
        return self._head.seq + 1

    def append(
        self, kind: EntryKind, operation_id: str | None, *, at: datetime, body: object
    ) -> int:
        """Add an entry and return its number. ``body`` is plain JSON data without secrets."""
        entry = link(self._head, operation_id=operation_id, kind=kind, at=at, body=body)
        self._waiting.append(entry)
        self._head = Head(entry.seq, entry.hash)
        return entry.seq

    def flush(self) -> None:
        """Write what was appended: after the rows it refers to, before those that refer to it."""
        if self._waiting:
            self.connection.execute(insert(entries), [asdict(e) for e in self._waiting])
            self._waiting.clear()

    def close(self) -> None:
        """Write what is left, and the new head."""
        self.flush()
        if self._head != self._committed:
            self.connection.execute(update(head).values(asdict(self._head)))


@contextmanager
def writing(engine: Engine) -> Iterator[Journal]:
    """A transaction that is alone with the ledger. An exception takes everything back."""
    with for_writing(engine).connect() as connection, connection.begin():
        row = connection.execute(select(head.c.seq, head.c.hash).with_for_update()).one()
        journal = Journal(connection, Head(row.seq, row.hash))
        yield journal
        journal.close()
