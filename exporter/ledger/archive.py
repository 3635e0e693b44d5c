"""History in the ledger's database: blocks of bytes, and how much of them is kept.

No part of the chain, and never in its way: no method takes the head, and what is removed is
removed a few blocks at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, exists, func, insert, or_, select, update

from exporter.history.blocks import Snapshot
from exporter.ledger.engine import for_writing
from exporter.ledger.tables import history

_AT_ONCE = 50
"""Blocks removed in one transaction: a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One block, still packed."""

    id: int
    boot: str
    stream: str
    began: datetime
    ended: datetime
    frames: int
    body: bytes


class Archive:
    """The table of blocks. ``Store`` is one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep_history(self, blocks: Sequence[tuple[Snapshot, bytes]]) -> None:
        """Write blocks; one that was written when it was smaller is replaced."""
        columns = history.c
        with for_writing(self._engine).connect() as connection, connection.begin():
            for block, body in blocks:
                which = {"boot": block.boot, "stream": block.stream, "number": block.number}
                what = {"began": block.began, "ended": block.ended, "frames": block.frames}
                what |= {"bytes": len(body), "body": body}
                known = (
                    columns.boot == block.boot,
                    columns.stream == block.stream,
                    columns.number == block.number,
                )
                if not connection.execute(update(history).where(*known).values(what)).rowcount:
                    connection.execute(insert(history), which | what)

    def prune_history(self, *, keep: timedelta, max_bytes: int, now: datetime) -> int:
        """Remove a few of the oldest blocks beyond this age or size; returns how many they were.

        Ask again until it is 0. What is the same for all targets stays as long as rounds of the
        same run do.
        """
        columns = history.c
        with for_writing(self._engine).connect() as connection, connection.begin():
            kept = connection.scalar(select(func.sum(columns.bytes))) or 0
            theirs = history.alias()
            needed = exists().where(theirs.c.boot == columns.boot, theirs.c.stream != "")
            query = (
                select(columns.id, columns.bytes, columns.ended)
                .where(or_(columns.stream != "", ~needed))
                .order_by(columns.ended, columns.id)
                .limit(_AT_ONCE)
            )
            gone = []
            for row in connection.execute(query):
                if kept <= max_bytes and row.ended >= now - keep:
                    break
                gone.append(row.id)
                kept -= row.bytes
            if gone:
                connection.execute(delete(history).where(columns.id.in_(gone)))
            return len(gone)

    def history(
        self, *, stream: str, since: datetime, until: datetime, after: int = 0, limit: int = 20
    ) -> tuple[Stored, ...]:
        """Blocks of a target (or of all, "") that reach into a time, oldest first.

        ``after`` is the id of the last one of a page. Of what is the same for all, the blocks of
        every run that such a block is of, however old they are.
        """
        columns = history.c
        query = select(history).where(columns.stream == stream, columns.began <= until)
        if stream:
            query = query.where(columns.ended >= since)
        else:
            theirs = history.alias()
            reaches = (theirs.c.stream != "", theirs.c.ended >= since, theirs.c.began <= until)
            query = query.where(exists().where(theirs.c.boot == columns.boot, *reaches))
        query = query.where(columns.id > after).order_by(columns.id).limit(limit)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return tuple(
                Stored(**{name: row[name] for name in Stored.__dataclass_fields__}) for row in rows
            )

    def history_span(self) -> dict[str, tuple[datetime, datetime, int, int, int]]:
        """By target: since when and until when there are rounds, how many, blocks and bytes."""
        columns = history.c
        query = select(
            columns.stream,
            func.min(columns.began),
            func.max(columns.ended),
            func.sum(columns.frames),
            func.count(),
            func.sum(columns.bytes),
        ).group_by(columns.stream)
        with self._engine.connect() as connection:
            return {row[0]: tuple(row[1:]) for row in connection.execute(query)}
