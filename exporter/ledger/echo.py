"""A scratch ledger that is told the entries of another one, and so stands where that one stood.

For replays: what gates ask the ledger is answered as it was at a moment in the past, by the same
``Standing``. The entries get numbers of their own, so that more can be written in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine, delete, event, insert, select, update

from exporter.ledger import retold, schema
from exporter.ledger.chain import Entry, EntryKind
from exporter.ledger.engine import connect, ledger_url
from exporter.ledger.journal import Journal, writing
from exporter.ledger.tables import (
    api_keys,
    decisions,
    entries,
    identities,
    operation_items,
    operations,
    pauses,
    resets,
)

_ROWS = {table.name: table for table in (api_keys, decisions, identities, pauses, resets)}
_PAGE = 2_000
_BLANK = dict.fromkeys(("owner", "lease_until", "role", "route", "asked_at", "request_id"))


@contextmanager
def scratch_ledger() -> Iterator[Engine]:
    """An empty ledger of its own; it is gone afterwards, so nothing waits for the disk."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "scratch.db"
        file.write_bytes(_empty())
        engine = _connect(file)
        try:
            yield engine
        finally:
            engine.dispose()


@cache
def _empty() -> bytes:
    """A file with all tables: migrating takes longer than most of what is done with one."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "empty.db"
        engine = _connect(file)
        schema.prepare(engine)
        engine.dispose()
        return file.read_bytes()


def _connect(file: Path) -> Engine:
    engine = connect(ledger_url(f"sqlite:///{file}"))
    event.listen(engine, "connect", _hurry)
    return engine


def _hurry(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection
    connection.execute("PRAGMA synchronous = OFF").close()


class Echo:
    """Tells one ledger's entries to another. One thread uses it."""

    def __init__(
        self, source: Engine, scratch: Engine, *, tells: Callable[[Entry], bool] = lambda _e: True
    ) -> None:
        """``tells`` is asked of the first entry of each operation, and of each other entry."""
        self._source = source
        self._scratch = scratch
        self._tells = tells
        self._seq = 0
        self._operations: dict[str, list[Entry]] = {}
        """By id, what was told of it so far; empty for what is left out."""
        self._numbers: dict[int, int] = {}
        """Of entries that others refer to: their numbers here."""

    def advance(self, seq: int) -> bool:
        """Tell every entry up to this one; whether there were any."""
        if seq <= self._seq:
            return False
        while page := self._read(seq):
            with writing(self._scratch) as journal:
                for entry in page:
                    self._tell(journal, entry)
            self._seq = page[-1].seq
        self._seq = seq
        return True

    def _read(self, seq: int) -> list[Entry]:
        query = select(entries).where(entries.c.seq > self._seq, entries.c.seq <= seq)
        with self._source.connect() as connection:
            found = connection.execute(query.order_by(entries.c.seq).limit(_PAGE)).mappings()
            return [Entry(**row) for row in found]

    def _tell(self, journal: Journal, entry: Entry) -> None:
        if entry.operation_id is not None:
            known = self._operations.get(entry.operation_id)
            if known is None:
                known = self._operations[entry.operation_id] = []
                if self._tells(entry):
                    known.append(entry)
                    self._begin(journal, entry)
            elif known:
                known.append(entry)
                self._go_on(journal, entry.operation_id)
            if not known:
                return
        elif not self._tells(entry):
            return
        self._append(journal, entry)
        self._row(journal, entry)

    def _append(self, journal: Journal, entry: Entry) -> None:
        kind, told = EntryKind(entry.kind), entry.data
        seq = journal.append(kind, entry.operation_id, at=entry.at, body=told)
        journal.flush()
        self._numbers[entry.seq] = seq

    def _begin(self, journal: Journal, entry: Entry) -> None:
        told = retold.operation([replace(entry, seq=journal.next_seq)])
        _give_way(journal, told)
        journal.connection.execute(insert(operations), _BLANK | told.columns)
        self._items(journal, entry.operation_id, told)

    def _go_on(self, journal: Journal, operation_id: str) -> None:
        told = retold.operation(self._operations[operation_id])
        del told.columns["seq"]
        if told.columns["relapsed_seq"] is not None:
            told.columns["relapsed_seq"] = journal.next_seq
        _give_way(journal, told)
        which = operations.c.id == operation_id
        journal.connection.execute(update(operations).where(which).values(told.columns))
        self._items(journal, operation_id, told)

    def _items(self, journal: Journal, operation_id: str | None, told: retold.Retold) -> None:
        of_it = operation_items.c.operation_id == operation_id
        journal.connection.execute(delete(operation_items).where(of_it))
        names = ("position", "outcome", "detail", "at")
        rows = [
            {"operation_id": operation_id, "key": key, **dict(zip(names, item, strict=True))}
            for key, item in told.items.items()
        ]
        if rows:
            journal.connection.execute(insert(operation_items), rows)

    def _row(self, journal: Journal, entry: Entry) -> None:
        if (made := retold.row(entry)) is not None:
            name, columns = made
            row = columns | {"seq": self._numbers[entry.seq]}
            journal.connection.execute(insert(_ROWS[name]), row)
        if (ended := retold.ending(entry)) is not None:
            name, number, columns = ended
            which = _ROWS[name].c.seq == self._numbers.get(number)
            journal.connection.execute(update(_ROWS[name]).where(which).values(columns))


def _give_way(journal: Journal, told: retold.Retold) -> None:
    """It locks nothing while something that was written in between locks its target.

    Both cannot have been so: what is played goes on, and what is told counts all the same.
    """
    columns = operations.c
    others = select(columns.id).where(
        columns.locks == told.columns["locks"], columns.id != told.columns["id"]
    )
    if told.columns["locks"] is not None and journal.connection.scalar(others) is not None:
        told.columns["locks"] = None
