"""Compares rows with what their entries say. One transaction a page, which sees one moment.

Entries are chained; the tables beside them are not, and this is what notices a changed row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Engine, Table, exists, func, select

from exporter.ledger import retold
from exporter.ledger.chain import Entry, EntryKind, Flaw
from exporter.ledger.engine import one_moment
from exporter.ledger.rows import Row
from exporter.ledger.tables import (
    api_keys,
    decisions,
    entries,
    head,
    identities,
    leases,
    operation_items,
    operations,
    pauses,
    reports,
    resets,
)

_MADE_BY_ENTRIES = (decisions, pauses, resets, identities, api_keys, reports)
_ENDED = {
    "pauses": (pauses.c.lifted_at, pauses.c.lifted_by),
    "api_keys": (api_keys.c.revoked_at, api_keys.c.revoked_by),
    "reports": (reports.c.told_at, reports.c.outcome),
}
_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What reading a row raises whose text is not what was written."""


@dataclass(slots=True)
class Seen:
    """What is carried from page to page: rows that were ended, who holds which shard, the key."""

    ended: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    owners: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    key: str | None = None
    """The key that entries are written with."""


def compare(engine: Engine, page: Sequence[Entry], seen: Seen, *, last: bool) -> Flaw | None:
    """The first row of these entries that does not say what they do; all leftovers at the last."""
    with one_moment(engine) as connection:
        try:
            return next(_flaws(connection, page, seen, last=last), None)
        except _UNREADABLE as error:
            first = page[0].seq if page else 0
            return Flaw(first, f"a row that entries from {first} on made cannot be read: {error}")


def _flaws(
    connection: Connection, page: Sequence[Entry], seen: Seen, *, last: bool
) -> Iterator[Flaw]:
    if page:
        yield from _of_operations(connection, page)
        yield from _of_rows(connection, page)
    _carry(page, seen)
    if last:
        end = page[-1].seq if page else 0
        later = select(entries).where(entries.c.seq > end).order_by(entries.c.seq)
        _carry([Entry(**row) for row in connection.execute(later).mappings()], seen)
        yield from _of_endings(connection, seen)
        yield from _of_owners(connection, seen)
        yield from _untold(connection)
        if connection.scalar(select(head.c.key)) != seen.key:
            yield Flaw(end, "the head's key is not the one that entries are written with")


def _of_operations(connection: Connection, page: Sequence[Entry]) -> Iterator[Flaw]:
    """Operations that begin on the page, told by all of their entries, wherever those are."""
    ids = {entry.operation_id: entry.seq for entry in reversed(page) if entry.operation_id}
    mine = select(operations).where(operations.c.id.in_(ids))
    rows = {row["id"]: row for row in connection.execute(mine).mappings()}
    for name in ids.keys() - rows.keys():
        yield Flaw(ids[name], f"operation {name} is missing, which entry {ids[name]} tells of")
    first = (
        select(entries.c.operation_id)
        .where(entries.c.operation_id.in_(ids))
        .group_by(entries.c.operation_id)
        .having(func.min(entries.c.seq).between(page[0].seq, page[-1].seq))
    )
    begun = set(connection.scalars(first))
    told: dict[str, list[Entry]] = {name: [] for name in begun}
    theirs = select(entries).where(entries.c.operation_id.in_(begun)).order_by(entries.c.seq)
    for row in connection.execute(theirs).mappings():
        told[row["operation_id"]].append(Entry(**row))
    there: dict[str, dict[str, tuple[Any, ...]]] = {name: {} for name in begun}
    items = select(operation_items).where(operation_items.c.operation_id.in_(begun))
    for item in connection.execute(items):
        there[item.operation_id][item.key] = (item.position, item.outcome, item.detail, item.at)
    for name in sorted(begun, key=lambda one: told[one][0].seq):
        expected = retold.operation(told[name])
        seq = told[name][0].seq
        for column in _differing(expected.columns, rows[name]):
            yield Flaw(seq, f"operation {name}: its {column} is not what its entries say")
        if there[name] != expected.items:
            yield Flaw(seq, f"operation {name}: its items are not what its entries say")


def _of_rows(connection: Connection, page: Sequence[Entry]) -> Iterator[Flaw]:
    """Rows that one entry each makes: every one is there, says the same, and is the only one."""
    expected: dict[str, dict[int, dict[str, Any]]] = {table.name: {} for table in _MADE_BY_ENTRIES}
    for entry in page:
        if (made := retold.row(entry)) is not None:
            expected[made[0]][entry.seq] = made[1]
    for table in _MADE_BY_ENTRIES:
        within = table.c.seq.between(page[0].seq, page[-1].seq)
        found = connection.execute(select(table).where(within)).mappings()
        rows = {row["seq"]: row for row in found}
        for seq in sorted(rows.keys() ^ expected[table.name].keys()):
            what = "is in no entry" if seq in rows else f"is missing, which entry {seq} tells of"
            yield Flaw(seq, f"row {seq} of {table.name} {what}")
        for seq in sorted(rows.keys() & expected[table.name].keys()):
            for column in _differing(expected[table.name][seq], rows[seq]):
                text = f"row {seq} of {table.name}: its {column} is not what entry {seq} says"
                yield Flaw(seq, text)


def _carry(page: Sequence[Entry], seen: Seen) -> None:
    for entry in page:
        if (ended := retold.ending(entry)) is not None:
            seen.ended[ended[:2]] = ended[2]
        if entry.kind == EntryKind.KEYED:
            seen.key = entry.data["key"]
        if entry.kind == EntryKind.OWNER:
            body = entry.data
            seen.owners[body["shard"]] = {name: body[name] for name in ("holder", "epoch")}


def _of_endings(connection: Connection, seen: Seen) -> Iterator[Flaw]:
    """Pauses that were lifted and keys that were revoked: exactly those that entries tell of."""
    for table, columns in _ENDED.items():
        rows = connection.execute(select(columns[0].table)).mappings()
        for row in rows:
            expected = seen.ended.get((table, row["seq"])) or {c.name: None for c in columns}
            for column in _differing(expected, row):
                what = f"row {row['seq']} of {table}: its {column} is not what the entries say"
                yield Flaw(row["seq"], what)


def _of_owners(connection: Connection, seen: Seen) -> Iterator[Flaw]:
    found = {row["shard"]: row for row in connection.execute(select(leases)).mappings()}
    for shard in sorted(found.keys() | seen.owners.keys()):
        if shard not in found or shard not in seen.owners:
            yield Flaw(0, f"the lease of shard {shard} is not what the entries say")
        elif any(_differing(seen.owners[shard], found[shard])):
            yield Flaw(0, f"who holds the lease of shard {shard} is not what the entries say")


def _untold(connection: Connection) -> Iterator[Flaw]:
    """Rows that no entry can have made, and entries that the chain does not reach."""
    newest = select(head.c.seq).scalar_subquery()
    beyond = (entries.c.seq < 1) | (entries.c.seq > newest)
    for seq in connection.scalars(select(entries.c.seq).where(beyond).limit(1)):
        yield Flaw(seq, f"entry {seq} is beyond the head of the chain")
    for table in _MADE_BY_ENTRIES:
        other = ~exists().where(entries.c.seq == table.c.seq)
        yield from _strangers(connection, table, table.c.seq, other)
    of_it = entries.c.operation_id == operations.c.id
    yield from _strangers(connection, operations, operations.c.id, ~exists().where(of_it))
    whose = operations.c.id == operation_items.c.operation_id
    column = operation_items.c.operation_id
    yield from _strangers(connection, operation_items, column, ~exists().where(whose))


def _strangers(
    connection: Connection, table: Table, name: Column[Any], where: ColumnElement[bool]
) -> Iterator[Flaw]:
    for found in connection.scalars(select(name).where(where).order_by(name).limit(1)):
        yield Flaw(0, f"row {found} of {table.name} is in no entry")


def _differing(expected: Mapping[str, Any], row: Row) -> Iterator[str]:
    """The columns that are not what they must be."""
    return (name for name, value in expected.items() if row[name] != value)
