"""What gates and metrics ask about earlier operations, in memory: dictionary look-ups, no waiting.

``fetch`` reads what changed since the last time, whoever changed it; ``apply`` takes it in. The
two are apart so that reading may happen in another thread; they take turns. The rules of what
counts are those of ``budgets``, which decides in the end: this index may be a moment behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, or_, select

from exporter.ledger.failures import Failures
from exporter.ledger.helped import HelpedItems, Parts, read_parts
from exporter.ledger.orders import Orders, in_force
from exporter.ledger.rows import Row, operation_of
from exporter.ledger.stamps import Stamps
from exporter.ledger.tables import decisions, entries, head, operations
from exporter.ledger.texts import item_key
from exporter.model.decision import Mode, Result
from exporter.model.operation import Operation, Outcome, Phase, Usage
from exporter.model.relapse import Helped
from exporter.policy.breaker import Failure

_COLUMNS = tuple(
    operations.c[name]
    for name in (
        *("id", "target", "remedy", "source", "actor", "policy", "mode", "outcome"),
        *("counted_at", "touched_at", "finished_at", "item_keys", "seq", "error"),
        *("relapsed_at", "relapsed_seq"),
    )
)
DONE = frozenset({Outcome.VERIFIED, Outcome.UNVERIFIED, Outcome.PARTIAL})
FAILED = frozenset({Outcome.UNVERIFIED, Outcome.FAILED, Outcome.INDETERMINATE, Outcome.INTERRUPTED})
_NONE = Stamps()
StoredSubject = tuple[str, str, str | None]
"""Policy, target, and the stored key of the item, if it is about one."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed up to entry ``seq``, every operation that locks a target, every plan that waits.

    ``whole`` when it holds everything that counts: the first time, or after an older copy of the
    database was restored.
    """

    seq: int
    whole: bool
    changed: tuple[Row, ...]
    open: tuple[Operation, ...]
    proposals: tuple[Operation, ...]
    orders: Orders
    parts: Parts
    cleared: tuple[tuple[StoredSubject, datetime], ...]
    """Subjects whose condition was seen to be false, and when last."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A person said no to a plan: when, which one, and the sentence about it."""

    at: datetime
    operation_id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ByPerson:
    """A person's operation: when it last did something, whose it was, and what."""

    at: datetime
    actor: str
    remedy: str
    operation_id: str


class Counts(Mapping[str, int]):
    """How many operations each item had, by its key; looked up by the key's stored form."""

    def __init__(self, operations_by_item: Mapping[str, set[str]]) -> None:
        self._operations = operations_by_item

    def __getitem__(self, key: str) -> int:
        return len(self._operations[item_key(key)])

    def __iter__(self) -> Iterator[str]:
        return iter(self._operations)

    def __len__(self) -> int:
        return len(self._operations)


class Standing:
    """The index. One thread applies and asks; ``fetch`` may run in another."""

    def __init__(self) -> None:
        self._seq = -1
        self._orders = Orders()
        self._forget()

    def _forget(self) -> None:
        self._open: dict[str, Operation] = {}
        # Each key tells rehearsals from real operations: they have budgets of their own.
        self._stamps: defaultdict[tuple[object, ...], Stamps] = defaultdict(Stamps)
        self._items: defaultdict[tuple[str, str], dict[str, set[str]]] = defaultdict(dict)
        self._people: defaultdict[str, dict[str, ByPerson]] = defaultdict(dict)
        self._failed = Failures()
        self._helped = HelpedItems()
        self._rejected: dict[StoredSubject, Rejection] = {}
        self._proposed: dict[StoredSubject, Operation] = {}
        self._proposals: tuple[Operation, ...] = ()

    @property
    def seq(self) -> int:
        """The newest entry that was taken in; -1 before the first ``apply``."""
        return self._seq

    @property
    def open(self) -> Mapping[str, Operation]:
        """Every operation that locks a target, by target. Its lease may be longer by now."""
        return MappingProxyType(self._open)

    def open_on(self, target: str) -> Operation | None:
        """The operation that locks the target."""
        return self._open.get(target)

    @property
    def proposals(self) -> tuple[Operation, ...]:
        """Every plan that waits for a person or was just approved, oldest first."""
        return self._proposals

    def proposal(self, policy: str, target: str, item: str | None) -> Operation | None:
        """The plan of a policy that waits, on a target or about one of its items."""
        return self._proposed.get((policy, target, item and item_key(item)))

    def rejection(self, policy: str, target: str, item: str | None) -> Rejection | None:
        """A person's no to such a plan; it lapses once the condition was seen to be false."""
        return self._rejected.get((policy, target, item and item_key(item)))

    def usage(
        self, *, target: str, remedy: str, policy: str | None, items: tuple[str, ...], mode: Mode
    ) -> Usage:
        """What a policy's budget has spent, on operations of the same kind: real or rehearsed."""
        rehearsal = mode is Mode.OBSERVE
        get = self._stamps.get
        return Usage(
            item={
                key: get(("item", rehearsal, target, remedy, item_key(key)), _NONE).moments
                for key in items
            },
            target=get(("target", rehearsal, target, remedy), _NONE).moments,
            policy=get(("policy", rehearsal, policy), _NONE).moments,
            everything=get(("global", rehearsal), _NONE).moments,
            last=get(("touched", rehearsal, target, remedy), _NONE).newest,
            own=get(("own", rehearsal, target, policy), _NONE).newest,
        )

    def item_counts(self, target: str, remedy: str) -> Mapping[str, int]:
        """How often each item was acted on to the end: verified, unverified or partial."""
        return Counts(self._items.get((target, remedy), {}))

    def helped(self, target: str, remedy: str, item: str) -> Helped | None:
        """The newest operation, a person's included, that was seen to help an item."""
        return self._helped.get(target, remedy, item)

    def last_manual(self, target: str) -> ByPerson | None:
        """The newest operation by a person that was reserved and not refused before it wrote."""
        return max(self._people.get(target, {}).values(), key=lambda p: p.at, default=None)

    @property
    def orders(self) -> Orders:
        """What people ordered."""
        return self._orders

    def failures(self, target: str, remedy: str) -> tuple[Failure, ...]:
        """What ended badly on a target since its breaker was reset, every policy's."""
        return self._failed.on(target, remedy, self._orders.resets)

    def failures_of(self, policy: str) -> tuple[Failure, ...]:
        """What ended badly of a policy since its breakers were reset, on every target."""
        return self._failed.of(policy, self._orders.resets)

    def fetch(self, engine: Engine) -> Delta | None:
        """Read what changed since the last ``apply``; None when nothing did."""
        with engine.connect() as connection:
            seq = connection.scalars(select(head.c.seq)).one()
            if seq == self._seq:
                return None
            whole = self._seq < 0 or seq < self._seq
            changed = _counting(connection) if whole else _since(connection, self._seq)
            locking = select(operations).where(operations.c.locks.is_not(None))
            waiting = select(operations).where(operations.c.phase == str(Phase.PROPOSED))
            return Delta(
                seq,
                whole,
                changed,
                _read(connection, locking),
                _read(connection, waiting.order_by(operations.c.seq)),
                in_force(connection),
                read_parts(connection, None if whole else self._seq),
                cleared(connection, -1 if whole else self._seq),
            )

    def apply(self, delta: Delta | None) -> None:
        """Take in what ``fetch`` read."""
        if delta is None:
            return
        if delta.whole:
            self._forget()
        for row in delta.changed:
            self._put(row, delta.parts)
        for subject, at in delta.cleared:
            no = self._rejected.get(subject)
            if no is not None and no.at <= at:
                del self._rejected[subject]
        self._open = {operation.target: operation for operation in delta.open}
        self._proposals = delta.proposals
        self._proposed = {key: one for one in delta.proposals for key in _keys(one)}
        self._orders = delta.orders
        self._seq = delta.seq

    def _put(self, row: Row, parts: Parts) -> None:
        by_policy, rehearsal = row["source"] == "policy", row["mode"] == Mode.OBSERVE
        target, remedy = row["target"], row["remedy"]
        if by_policy:
            budgets: list[tuple[object, ...]] = [
                ("target", rehearsal, target, remedy),
                ("policy", rehearsal, row["policy"]),
                ("global", rehearsal),
                *(("item", rehearsal, target, remedy, key) for key in row["item_keys"]),
            ]
            self._count(budgets, row["id"], row["counted_at"])
            own = ("own", rehearsal, target, row["policy"])
            self._count([own], row["id"], row["touched_at"])
        # A person's operation starts everybody's cooldown, a rehearsed one's too.
        kinds = (rehearsal,) if by_policy or rehearsal else (False, True)
        touched = [("touched", kind, target, remedy) for kind in kinds]
        self._count(touched, row["id"], row["touched_at"])
        if not by_policy and not rehearsal:
            self._put_person(row)
        bad = row["outcome"] in FAILED or row["relapsed_at"] is not None
        if by_policy and not rehearsal and bad:
            self._failed.put(row)
        if not rehearsal:
            self._helped.put(row, parts)
        if row["outcome"] == Outcome.REJECTED and row["policy"]:
            rejection = Rejection(row["finished_at"], row["id"], row["error"] or "")
            for item in row["item_keys"] or [None]:
                self._rejected[row["policy"], target, item] = rejection
        if row["outcome"] in DONE and not rehearsal:
            for key in row["item_keys"]:
                self._items[target, remedy].setdefault(key, set()).add(row["id"])

    def _count(
        self, keys: Iterable[tuple[object, ...]], operation_id: str, at: datetime | None
    ) -> None:
        for key in keys:
            if at is not None:
                self._stamps[key].put(operation_id, at)
            elif key in self._stamps:
                self._stamps[key].drop(operation_id)

    def _put_person(self, row: Row) -> None:
        people = self._people[row["target"]]
        if row["touched_at"] is None:
            people.pop(row["id"], None)
            return
        at = max(row["touched_at"], row["finished_at"] or row["touched_at"])
        people[row["id"]] = ByPerson(at, row["actor"], row["remedy"], row["id"])


def _counting(connection: Connection) -> tuple[Row, ...]:
    counts = or_(
        operations.c.counted_at.is_not(None),
        operations.c.touched_at.is_not(None),
        operations.c.outcome == str(Outcome.REJECTED),
    )
    query = select(*_COLUMNS).where(counts).order_by(operations.c.seq)
    return tuple(connection.execute(query).mappings())


def _since(connection: Connection, seq: int) -> tuple[Row, ...]:
    touched = select(entries.c.operation_id).where(entries.c.seq > seq)
    query = select(*_COLUMNS).where(operations.c.id.in_(touched)).order_by(operations.c.seq)
    return tuple(connection.execute(query).mappings())


def cleared(connection: Connection, seq: int) -> tuple[tuple[StoredSubject, datetime], ...]:
    """The last time that each subject was recorded as clear, after an entry."""
    columns = decisions.c
    query = (
        select(columns.policy, columns.target, columns.item, func.max(columns.at))
        .where(columns.result == str(Result.CLEAR), columns.seq > seq)
        .group_by(columns.policy, columns.target, columns.item)
    )
    rows = connection.execute(query)
    return tuple(((policy, target, item or None), at) for policy, target, item, at in rows)


def _read(connection: Connection, query: Select[Any]) -> tuple[Operation, ...]:
    return tuple(operation_of(row) for row in connection.execute(query).mappings())


def _keys(proposal: Operation) -> Iterator[StoredSubject]:
    policy = proposal.policy.name if proposal.policy else ""
    for item in proposal.items or (None,):
        yield policy, proposal.target, item
