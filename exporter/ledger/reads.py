"""Reading the ledger: lists for people, pages and the command line. Newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select

from exporter.ledger.archive import Archive
from exporter.ledger.chain import Entry, Flaw, Head
from exporter.ledger.checkpoint import Checkpoint
from exporter.ledger.compared import Seen, compare
from exporter.ledger.decided import DecisionRecord, newest_of_each, record_of
from exporter.ledger.ids import normalise
from exporter.ledger.period import Period, read_period
from exporter.ledger.resting import newest_checkpoint
from exporter.ledger.rows import operation_of
from exporter.ledger.tables import decisions, entries, head, operation_items, operations
from exporter.ledger.texts import item_key
from exporter.model.errors import AmbiguousError, NotFoundError
from exporter.model.operation import ItemOutcome, Operation, Outcome, Phase, Source

_SHOWN_MATCHES = 5


class Reads(Archive):
    """Everything that only reads. ``Store`` adds writing."""

    def head(self) -> Head:
        """The end of the chain: it moves with every change but a renewed lease."""
        with self._engine.connect() as connection:
            row = connection.execute(select(head.c.seq, head.c.hash)).one()
            return Head(row.seq, row.hash)

    def key_id(self) -> str | None:
        """Which key entries are written with, if they are with any."""
        with self._engine.connect() as connection:
            return connection.scalar(select(head.c.key))

    def operations(  # noqa: PLR0913 - one argument a filter
        self,
        *,
        target: str | None = None,
        policy: str | None = None,
        remedy: str | None = None,
        outcome: Outcome | None = None,
        phase: Phase | None = None,
        source: Source | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        open_only: bool = False,
        limit: int = 100,
        before: str | None = None,
    ) -> tuple[Operation, ...]:
        """Newest first; ``since`` included, ``until`` not. ``before`` is the last id of a page.

        What comes meanwhile is newer than any page, so that each page goes on where the last one
        ended. NotFoundError when there is no operation ``before``: that is not an empty page.
        """
        columns = operations.c
        query = select(operations).order_by(columns.seq.desc()).limit(limit)
        wanted = {"target": target, "policy": policy, "remedy": remedy, "source": source}
        for name, value in (wanted | {"outcome": outcome, "phase": phase}).items():
            if value is not None:
                query = query.where(columns[name] == str(value))
        if since is not None:
            query = query.where(columns.created_at >= since)
        if until is not None:
            query = query.where(columns.created_at < until)
        if open_only:
            query = query.where(columns.outcome.is_(None))
        with self._engine.connect() as connection:
            if before is not None:
                last = select(columns.seq).where(columns.id == before)
                seq = connection.execute(last).scalar_one_or_none()
                if seq is None:
                    raise NotFoundError(f"there is no operation {before}", kind="operation")
                query = query.where(columns.seq < seq)
            return tuple(operation_of(row) for row in connection.execute(query).mappings())

    def operation(self, name: str) -> Operation | None:
        """One operation by its id, or by the beginning of it if only one fits (AmbiguousError)."""
        wanted = normalise(name)
        fits = operations.c.id.startswith(wanted, autoescape=True)
        # An id is the beginning of itself, and shorter than any other that begins with it.
        query = select(operations).where(fits).order_by(operations.c.id).limit(_SHOWN_MATCHES)
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        if not found or len(found) == 1 or found[0]["id"] == wanted:
            return operation_of(found[0]) if found else None
        ids = tuple(row["id"] for row in found)
        raise AmbiguousError(f"{name} may be {', '.join(ids)}", matches=ids)

    def items(self, operation_id: str) -> tuple[tuple[str, ItemOutcome | None], ...]:
        """The items of an operation in their order, with what became of each, if it is known."""
        columns = operation_items.c
        query = select(operation_items).where(columns.operation_id == operation_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(columns.position, columns.key)).all()
        return tuple(
            (row.key, ItemOutcome(row.key, row.outcome, row.detail) if row.outcome else None)
            for row in rows
        )

    def entries(self, operation_id: str) -> tuple[Entry, ...]:
        """What happened to an operation, in order."""
        return self._entries(entries.c.operation_id == operation_id)

    def chain(self, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        """The next entries of the whole chain, in order, for ``chain.verify``."""
        return self._entries(entries.c.seq > after, limit=limit)

    def checkpoint(self) -> Checkpoint | None:
        """Where the whole chain begins, if retention removed what was before.

        ValueError, TypeError or KeyError when its entry was altered.
        """
        with self._engine.connect() as connection:
            return newest_checkpoint(connection)

    def compare(self, page: Sequence[Entry], seen: Seen, *, last: bool) -> Flaw | None:
        """The first row that does not say what these entries do, which must be chained."""
        return compare(self._engine, page, seen, last=last)

    def _entries(self, *where: ColumnElement[bool], limit: int | None = None) -> tuple[Entry, ...]:
        query = select(entries).where(*where).order_by(entries.c.seq).limit(limit)
        with self._engine.connect() as connection:
            return tuple(Entry(**row) for row in connection.execute(query).mappings())

    def decisions(
        self,
        *,
        target: str | None = None,
        policy: str | None = None,
        item: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> tuple[DecisionRecord, ...]:
        """Recorded changes, newest first. ``before`` is the ``seq`` of the last page's last one."""
        columns = decisions.c
        query = select(decisions).order_by(columns.seq.desc()).limit(limit)
        stored = None if item is None else item_key(item)
        for name, value in {"target": target, "policy": policy, "item": stored}.items():
            if value is not None:
                query = query.where(columns[name] == value)
        if since is not None:
            query = query.where(columns.at >= since)
        if until is not None:
            query = query.where(columns.at < until)
        if before is not None:
            query = query.where(columns.seq < before)
        with self._engine.connect() as connection:
            return tuple(record_of(row) for row in connection.execute(query).mappings())

    def period(self, since: datetime) -> Period:
        """What happened since then, for a report."""
        return read_period(self._engine, since)

    def latest_decisions(self, *, target: str | None = None) -> tuple[DecisionRecord, ...]:
        """The last recorded change of every subject, newest first."""
        columns = decisions.c
        newest = columns.seq.in_(newest_of_each())
        query = select(decisions).where(newest).order_by(columns.seq.desc())
        if target is not None:
            query = query.where(columns.target == target)
        with self._engine.connect() as connection:
            return tuple(record_of(row) for row in connection.execute(query).mappings())
