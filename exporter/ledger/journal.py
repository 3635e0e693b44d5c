"""One writing transaction: locks the head, appends chained entries, moves the head.

Whoever holds the head is alone: what it reads stays true until it commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select, update

from exporter.ledger.chain import Entry, EntryKind, Head, digest, link
from exporter.ledger.engine import database_now, for_writing, keys_of
from exporter.ledger.sealing import ChainKey, must_switch
from exporter.ledger.tables import entries, head


class Journal:
    """The transaction's connection, and the end of the chain. Made by ``writing``."""

    def __init__(self, connection: Connection, at: Head, *, key: ChainKey | None = None) -> None:
        self.connection = connection
        self._committed = self._head = at
        self._key = key
        self._waiting: list[Entry] = []

    @property
    def next_seq(self) -> int:
        """The number that the next entry will have."""
        return self._head.seq + 1

    def append(
        self, kind: EntryKind, operation_id: str | None, *, at: datetime, body: object
    ) -> int:
        """Add an entry and return its number. ``body`` is plain JSON data without secrets."""
        hashed = digest if self._key is None else self._key.digest
        entry = link(
            self._head, operation_id=operation_id, kind=kind, at=at, body=body, hashed=hashed
        )
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
            key = None if self._key is None else self._key.id
            self.connection.execute(update(head).values(**asdict(self._head), key=key))


@contextmanager
def writing(engine: Engine, *, sealing: bool = False) -> Iterator[Journal]:
    """A transaction that is alone with the ledger. An exception takes everything back.

    LedgerUnavailableError when the engine has not the key that entries are written with, or has one
    and there are entries without any, unless this is ``sealing`` them.
    """
    with for_writing(engine).connect() as connection, connection.begin():
        row = connection.execute(
            select(head.c.seq, head.c.hash, head.c.key).with_for_update()
        ).one()
        keys = keys_of(connection)
        switch = must_switch(keys, row.key, 0 if sealing else row.seq)
        journal = Journal(connection, Head(row.seq, row.hash), key=keys.current)
        if switch and keys.current is not None:
            body = {"key": keys.current.id, "before": row.key}
            journal.append(EntryKind.KEYED, None, at=database_now(connection), body=body)
        yield journal
        journal.close()
