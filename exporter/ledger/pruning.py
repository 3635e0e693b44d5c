"""Removes the old part of the ledger, a little at a time, so that the rest can still be checked.

What goes is thought out beforehand, while others write (``plan``); each step is then one small
transaction that removes whole operations and rows together with their entries, and appends the
checkpoint that says so (``carry_out``). After any of them the ledger is whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, select

from exporter.ledger import ownership
from exporter.ledger.chain import EntryKind, Head
from exporter.ledger.checkpoint import body_of, digest_of
from exporter.ledger.engine import database_now, one_moment
from exporter.ledger.journal import Journal
from exporter.ledger.resting import Needed, needed, newest_checkpoint
from exporter.ledger.tables import (
    api_keys,
    decisions,
    entries,
    head,
    identities,
    operation_items,
    operations,
    pauses,
    reports,
    resets,
)
from exporter.model.operation import Fence
from exporter.policy.memory import Forever

AT_ONCE = 200
"""Entries removed in one transaction, more only if they are one operation's."""
LOOKED_AT = 20_000
"""Entries that one plan is about; then another one is made."""
_MADE_BY_ENTRIES = (decisions, pauses, resets, identities, api_keys, reports)
_KINDS = frozenset(map(str, EntryKind))


@dataclass(frozen=True, slots=True)
class Old:
    """One entry, as far as a plan needs it."""

    seq: int
    hash: str
    operation_id: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction removes, and the checkpoint it leaves."""

    through: Head
    kept: int
    digest: str
    entries: tuple[int, ...]
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go, as the ledger stood at entry ``planned``."""

    planned: int
    before: datetime
    steps: tuple[Step, ...]
    more: bool
    """Whether there is more that is old enough: then plan again."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a step removed: the number of its checkpoint, and how many rows by table."""

    seq: int
    removed: dict[str, int]


def plan(
    engine: Engine,
    *,
    keep: timedelta,
    rests: Forever,
    now: datetime,
    at_once: int = AT_ONCE,
    most: int = LOOKED_AT,
) -> Plan:
    """Think out what may go: of the oldest entries those on which nothing rests. It only reads.

    Old is what both clocks, ours and the database's, say is older than ``keep``.
    """
    with one_moment(engine) as connection:
        newest = connection.scalars(select(head.c.seq)).one()
        before = min(now, database_now(connection)) - keep
        known = newest_checkpoint(connection)
        begun = known.through if known else Head()
        end = _old_until(connection, begun.seq, newest, before)
        through = min(end, begun.seq + most)
        rows = connection.execute(
            select(entries.c.seq, entries.c.hash, entries.c.operation_id, entries.c.kind)
            .where(entries.c.seq <= through)
            .order_by(entries.c.seq)
        ).all()
        strange = frozenset(row.seq for row in rows if row.kind not in _KINDS)
        found = needed(connection, through, before=before, rests=rests)
    old = [Old(row.seq, row.hash, row.operation_id) for row in rows]
    stays = Needed(found.seqs | strange, found.operations)
    more = through < end
    steps = tuple(steps_of(old, stays, begun=begun, at_once=at_once, more=more))
    return Plan(newest, before, steps, more)


def _old_until(connection: Connection, after: int, newest: int, before: datetime) -> int:
    """The last entry that is older, like all before it: clocks may have been set back."""
    young = select(entries.c.seq).where(entries.c.seq > after, entries.c.at >= before)
    first = connection.scalar(young.order_by(entries.c.seq).limit(1))
    return newest if first is None else first - 1


def steps_of(
    old: Sequence[Old], stays: Needed, *, begun: Head, at_once: int, more: bool = False
) -> Iterator[Step]:
    """Divide what goes into steps, each of which leaves whole operations. Pure.

    ``old`` is what is there of the entries up to where the plan ends; those up to ``begun`` were
    left by earlier ones. An operation goes with its last entry. When there is ``more`` beyond it,
    the last step goes to the end, even if nothing goes: the next plan begins there.
    """
    whole = stays.operations | {
        one.operation_id for one in old if one.seq in stays.seqs and one.operation_id
    }
    last = {one.operation_id: one.seq for one in old if one.operation_id}
    kept = {one.seq: one.hash for one in old if one.seq <= begun.seq}
    waiting: defaultdict[str, list[int]] = defaultdict(list)
    gone: list[int] = []
    names: list[str] = []
    at = begun
    for number, one in enumerate(old, 1):
        kept[one.seq] = one.hash
        if one.seq > at.seq:
            at = Head(one.seq, one.hash)
        if one.operation_id is None:
            if one.seq not in stays.seqs:
                gone.append(one.seq)
        elif one.operation_id not in whole:
            waiting[one.operation_id].append(one.seq)
            if last[one.operation_id] == one.seq:
                gone += waiting.pop(one.operation_id)
                names.append(one.operation_id)
        full, end = len(gone) >= at_once, number == len(old)
        if full or (end and (gone or (more and at != begun))):
            for seq in gone:
                del kept[seq]
            digest = digest_of(kept.items())
            yield Step(at, len(kept), digest, tuple(gone), tuple(names))
            gone, names = [], []


def carry_out(
    journal: Journal, thought: Plan, step: Step, *, after: int, fence: Fence, now: datetime
) -> Pruned | None:
    """Remove what a step names. ``after`` is the checkpoint of the step before it, or 0.

    None when the plan does not hold any more: somebody else pruned, or something happened to an
    operation meanwhile. StoppedError when somebody else acts.
    """
    ownership.check(journal, fence)
    connection = journal.connection
    seq, operation_id = entries.c.seq, entries.c.operation_id
    others = (entries.c.kind == str(EntryKind.PRUNED), seq > max(thought.planned, after))
    changed = (operation_id.in_(step.operations), seq > thought.planned)
    for where in (others, changed):
        if connection.scalar(select(seq).where(*where).limit(1)) is not None:
            return None
    removed = _remove(connection, step)
    body = body_of(
        step.through, before=thought.before, kept=step.kept, digest=step.digest, removed=removed
    )
    return Pruned(journal.append(EntryKind.PRUNED, None, at=now, body=body), removed)


def _remove(connection: Connection, step: Step) -> dict[str, int]:
    """What refers to others goes before them."""
    ids, seqs = step.operations, step.entries
    removed = {}
    of_them = delete(operation_items).where(operation_items.c.operation_id.in_(ids))
    removed[operation_items.name] = connection.execute(of_them).rowcount
    for table in (*_MADE_BY_ENTRIES, entries):
        theirs = delete(table).where(table.c.seq.in_(seqs))
        removed[table.name] = connection.execute(theirs).rowcount
    whole = delete(operations).where(operations.c.id.in_(ids))
    removed[operations.name] = connection.execute(whole).rowcount
    return {name: count for name, count in sorted(removed.items()) if count}
