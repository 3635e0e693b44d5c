"""What the ledger knows of a period up to now, read in one moment, for the report about it.

Entries are in the order of time as far as clocks allow: where the period begins among them is
found by their numbers, so that a ledger of years is not read for one night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Engine, Select, func, select

from exporter.ledger.chain import Entry, EntryKind
from exporter.ledger.decided import DecisionRecord, record_of, standing_before
from exporter.ledger.engine import database_now, one_moment
from exporter.ledger.orders import not_lifted
from exporter.ledger.ownership import ShardLease
from exporter.ledger.resting import newest_checkpoint
from exporter.ledger.rows import operation_of
from exporter.ledger.tables import decisions, entries, leases, operations
from exporter.model.operation import Operation, Outcome, Phase
from exporter.model.orders import Pause

MOST_DECISIONS = 20_000
MOST_OPERATIONS = 5_000
"""Of more, only the newest are read, and that is said."""
_AT_ONCE = 500
_OPENING = (EntryKind.RESERVED, EntryKind.PROPOSED, EntryKind.OBSERVED)


@dataclass(frozen=True, slots=True)
class Hands:
    """A process began to act for the targets."""

    at: datetime
    holder: str
    idle_since: datetime | None
    """Since when nobody had acted for them; None when somebody else did until then."""
    told: bool
    """False in entries of earlier versions, which do not say whether anybody did."""


@dataclass(frozen=True, slots=True)
class Period:
    """Rows in the order of their entries. What was cut is not complete."""

    since: datetime
    first_entry_at: datetime | None
    """Since when the ledger knows anything; None when it is empty."""
    before: tuple[DecisionRecord, ...]
    """Of each subject that was not clear when the period began: since when, and its last word."""
    decisions: tuple[DecisionRecord, ...]
    operations: tuple[Operation, ...]
    """Those that something happened to, and all that are open; no calls that only read."""
    true_since: Mapping[str, datetime]
    """Since when a policy's condition had been true, by operation; not told by earlier versions."""
    hands: tuple[Hands, ...]
    leases: tuple[ShardLease, ...]
    pauses: tuple[Pause, ...]
    accepted: tuple[tuple[datetime, str, str], ...]
    """Changes of identity that a person accepted: when, on which target, who."""
    database_now: datetime
    cut: bool


def read_period(engine: Engine, since: datetime) -> Period:
    """Everything that a report about the time since then needs."""
    with one_moment(engine) as connection:
        last = _last_before(connection, since)
        recorded = select(decisions).where(decisions.c.seq > last)
        changed, much = _newest(connection, recorded, decisions.c.seq, MOST_DECISIONS)
        touched = select(entries.c.operation_id).where(entries.c.seq > last)
        open_ = operations.c.phase != str(Phase.CLOSED)
        answered = operations.c.outcome.is_distinct_from(str(Outcome.ANSWERED))
        mine = select(operations).where(open_ | operations.c.id.in_(touched), answered)
        rows, many = _newest(connection, mine, operations.c.seq, MOST_OPERATIONS)
        told = tuple(_entries_of(connection, last, EntryKind.OWNER))
        accepted = _entries_of(connection, last, EntryKind.IDENTITY)
        return Period(
            since=since,
            first_entry_at=_first_entry_at(connection),
            before=tuple(standing_before(connection, last)),
            decisions=tuple(record_of(row) for row in changed),
            operations=tuple(operation_of(row) for row in rows),
            true_since=_true_since(connection, [row["id"] for row in rows]),
            hands=tuple(_hands(entry) for entry in told),
            leases=tuple(ShardLease(**r) for r in connection.execute(select(leases)).mappings()),
            pauses=not_lifted(connection),
            accepted=tuple(
                (entry.at, body["target"], body["accepted_by"])
                for entry in accepted
                if (body := entry.data)["accepted_by"]
            ),
            database_now=database_now(connection),
            cut=much or many,
        )


def _first_entry_at(connection: Connection) -> datetime | None:
    """Where the whole chain begins: what retention left of the time before tells little of it."""
    known = newest_checkpoint(connection)
    after = entries.c.seq > (known.through.seq if known else 0)
    return connection.scalar(select(entries.c.at).where(after).order_by(entries.c.seq).limit(1))


def _last_before(connection: Connection, since: datetime) -> int:
    """The number of the last entry before a moment; 0 when there is none."""
    low, high = 0, connection.scalar(select(func.max(entries.c.seq))) or 0
    while low < high:
        middle = (low + high + 1) // 2
        found = select(entries.c.seq, entries.c.at).where(entries.c.seq >= middle)
        row = connection.execute(found.order_by(entries.c.seq).limit(1)).one()
        if row.at < since:
            low = row.seq
        else:
            high = middle - 1
    return low


def _newest(
    connection: Connection,
    query: Select[Any],
    seq: Column[int],
    most: int,
) -> tuple[list[Any], bool]:
    """The newest rows, oldest first, and whether there were more."""
    limited = query.order_by(seq.desc()).limit(most + 1)
    rows = list(connection.execute(limited).mappings())
    return rows[:most][::-1], len(rows) > most


def _entries_of(connection: Connection, last: int, kind: EntryKind) -> Iterator[Entry]:
    query = select(entries).where(entries.c.seq > last, entries.c.kind == str(kind))
    for row in connection.execute(query.order_by(entries.c.seq)).mappings():
        yield Entry(**row)


def _hands(entry: Entry) -> Hands:
    body = entry.data
    idle, first = body.get("idle_since"), body.get("before") is None
    return Hands(entry.at, body["holder"], _moment(idle), first or "idle_since" in body)


def _true_since(connection: Connection, ids: Sequence[str]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for first in range(0, len(ids), _AT_ONCE):
        some = ids[first : first + _AT_ONCE]
        query = select(entries).where(
            entries.c.operation_id.in_(some), entries.c.kind.in_([str(k) for k in _OPENING])
        )
        for row in connection.execute(query.order_by(entries.c.seq)).mappings():
            at = _moment(Entry(**row).data.get("true_since"))
            if at is not None:
                found.setdefault(row["operation_id"], at)
    return found


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
