"""What of the old part of the ledger something still rests on, so that retention must leave it.

Whoever adds a question about earlier rows, whose answer has no end in time, adds it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, func, or_, select

from exporter.ledger.chain import Entry, EntryKind
from exporter.ledger.checkpoint import Checkpoint, read
from exporter.ledger.decided import standing_before
from exporter.ledger.failures import Failures, Resets
from exporter.ledger.orders import in_force
from exporter.ledger.standing import DONE, FAILED, StoredSubject, cleared
from exporter.ledger.tables import (
    api_keys,
    decisions,
    entries,
    identities,
    operation_items,
    operations,
    pauses,
    reports,
    resets,
)
from exporter.model.decision import Mode, Result
from exporter.model.operation import Outcome
from exporter.policy.memory import COUNTED, Forever

_o, _d = operations.c, decisions.c
_REPORTED_DAYS = 2
"""The next report looks for its own day's, and for the last one of another day."""


@dataclass(frozen=True, slots=True)
class Needed:
    """Entries up to one, and whole operations, that must stay."""

    seqs: frozenset[int]
    operations: frozenset[str]


def newest_checkpoint(connection: Connection) -> Checkpoint | None:
    """Where the whole chain begins; None when nothing was ever removed.

    ValueError, TypeError or KeyError when its entry was altered.
    """
    pruned = entries.c.kind == str(EntryKind.PRUNED)
    query = select(entries).where(pruned).order_by(entries.c.seq.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else read(Entry(**row))


def needed(connection: Connection, through: int, *, before: datetime, rests: Forever) -> Needed:
    """What must stay of the entries up to ``through``, which are all older than ``before``.

    ``rests`` says which operations count for ever. What ended before that moment is needed no more.
    """
    names = {
        *_unfinished(connection, through),
        *_counted(connection, through, rests),
        *_failed(connection, through, in_force(connection).resets),
    }
    rejected, clears = _rejected(connection, through, before, names)
    rows = {
        *clears,
        *(record.seq for record in standing_before(connection, through)),
        *_ordered(connection, before),
        *_newest(connection),
        *_sent(connection),
    }
    rows |= {one.seq for one in _of_kinds(connection, through, EntryKind.KEYED)}
    rows |= set(_endings(connection, through, rows))
    return Needed(frozenset(rows), frozenset(names | rejected))


def _unfinished(connection: Connection, through: int) -> Iterator[str]:
    """Open ones, and those that something happened to since."""
    old = _o.seq <= through
    yield from connection.scalars(select(_o.id).where(old, _o.outcome.is_(None)))
    name = entries.c.operation_id
    later = select(name).where(name.in_(select(_o.id).where(old))).group_by(name)
    yield from connection.scalars(later.having(func.max(entries.c.seq) > through))


def _counted(connection: Connection, through: int, rests: Forever) -> Iterator[str]:
    """What conditions and limits count without a window."""
    items = exists().where(operation_items.c.operation_id == _o.id)
    done = _o.outcome.in_([str(one) for one in DONE])
    told = and_(_o.remedy.in_(COUNTED.values()), _o.mode != str(Mode.OBSERVE), done, items)
    limited: list[ColumnElement[bool]] = [
        and_(items, _o.remedy.in_(rests.items)),
        _o.remedy.in_(rests.targets),
        _o.policy.in_(rests.policies),
    ]
    if rests.everything:
        limited.append(_o.source == "policy")
    spent = and_(_o.source == "policy", _o.counted_at.is_not(None), or_(*limited))
    yield from connection.scalars(select(_o.id).where(_o.seq <= through, or_(told, spent)))


def _failed(connection: Connection, through: int, closed: Resets) -> frozenset[str]:
    """What a breaker counts: it stays open, whatever the age, until a person resets it."""
    bad = or_(_o.outcome.in_([str(one) for one in FAILED]), _o.relapsed_at.is_not(None))
    ours = and_(_o.source == "policy", _o.mode != str(Mode.OBSERVE), bad)
    found = Failures()
    rows = select(operations).where(_o.seq <= through, ours).order_by(_o.seq)
    for row in connection.execute(rows).mappings():
        found.put(row)
    return found.standing(closed)


def _rejected(
    connection: Connection, through: int, before: datetime, staying: Iterable[str]
) -> tuple[set[str], set[int]]:
    """Plans that a person said no to and whose cause was not over since, wherever they stand.

    And, of each that stays, the records that its cause was over: without them it would be in force.
    """
    over = dict(cleared(connection, -1))
    staying, alive, clears = set(staying), set[str](), set[int]()
    no = and_(_o.outcome == str(Outcome.REJECTED), _o.policy.is_not(None))
    columns = (_o.id, _o.seq, _o.policy, _o.target, _o.item_keys, _o.finished_at)
    for row in connection.execute(select(*columns).where(no)):
        subjects = [(row.policy, row.target, item) for item in row.item_keys or [None]]
        if any(one not in over or over[one] < row.finished_at for one in subjects):
            alive.add(row.id)
        elif row.seq <= through and row.id not in staying:
            continue
        old = (one for one in subjects if one in over and over[one] < before)
        clears.update(_clear_at(connection, one, over[one]) for one in old)
    return alive, clears


def _clear_at(connection: Connection, subject: StoredSubject, at: datetime) -> int:
    clear = and_(_d.result == str(Result.CLEAR), _d.at == at)
    query = select(func.max(_d.seq)).where(_about(*subject), clear)
    found: int = connection.execute(query).scalar_one()
    return found


def _about(policy: str, target: str, item: str | None) -> ColumnElement[bool]:
    return and_(_d.policy == policy, _d.target == target, _d.item == (item or ""))


def _ordered(connection: Connection, before: datetime) -> Iterator[int]:
    """Pauses and keys that are in force, or were until a short while ago."""
    p, k = pauses.c, api_keys.c
    runs = and_(p.lifted_at.is_(None), or_(p.expires_at.is_(None), p.expires_at >= before))
    yield from connection.scalars(select(p.seq).where(or_(runs, p.lifted_at >= before)))
    valid = or_(k.revoked_at.is_(None), k.revoked_at >= before)
    yield from connection.scalars(select(k.seq).where(valid))


def _newest(connection: Connection) -> Iterator[int]:
    """Of each breaker the last reset, of each target the last identity, of each shard the owner.

    And the last checkpoint, as long as there is no newer one.
    """
    yield from _last_of(connection, resets, "target", "remedy", "policy")
    yield from _last_of(connection, identities, "target")
    yield from {
        one.data["shard"]: one.seq for one in _of_kinds(connection, None, EntryKind.OWNER)
    }.values()
    if (known := newest_checkpoint(connection)) is not None:
        yield known.seq


def _last_of(connection: Connection, table: Table, *names: str) -> Iterable[int]:
    query = select(func.max(table.c.seq)).group_by(*(table.c[name] for name in names))
    return connection.scalars(query)


def _sent(connection: Connection) -> Iterable[int]:
    days = select(func.max(reports.c.seq)).group_by(reports.c.day)
    return sorted(connection.scalars(days))[-_REPORTED_DAYS:]


def _endings(connection: Connection, through: int, rows: Iterable[int]) -> Iterator[int]:
    """What ended rows that stay."""
    stays = frozenset(rows)
    refers = {
        EntryKind.UNPAUSED: "pause",
        EntryKind.KEY_REVOKED: "key",
        EntryKind.REPORT_TOLD: "report",
    }
    for one in _of_kinds(connection, through, *refers):
        if one.data[refers[EntryKind(one.kind)]] in stays:
            yield one.seq


def _of_kinds(connection: Connection, through: int | None, *kinds: EntryKind) -> Iterator[Entry]:
    query = select(entries).where(entries.c.kind.in_([str(kind) for kind in kinds]))
    if through is not None:
        query = query.where(entries.c.seq <= through)
    for row in connection.execute(query.order_by(entries.c.seq)).mappings():
        yield Entry(**row)
