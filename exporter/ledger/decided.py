"""Decisions on record: only changes, each with its entry in the chain.

The last recorded standing of every subject is kept in memory and brought up to date from the
table, so that neither a restart nor another process repeats it. Only the process that owns a
target may note its decisions: two that judge it differently would record each other for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, insert, select

from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal, writing
from exporter.ledger.rows import Row
from exporter.ledger.tables import decisions as table
from exporter.ledger.texts import clean, clean_text, item_key
from exporter.model.decision import Decision, Result, Subject
from exporter.policy.changes import gone

Standing = tuple[str, str]
"""A result and its reason."""
_UNWATCHED = "its target is not watched any more"
_CLEAR: Standing = (str(Result.CLEAR), "")


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One recorded change. ``result``, ``reason`` and ``mode`` are the words of their enums."""

    seq: int
    at: datetime
    subject: Subject
    result: str
    reason: str
    detail: str
    mode: str
    values: Mapping[str, Any]


class Decided:
    """Compares decisions with what was recorded last, and records what differs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._last: dict[str, dict[Subject, Standing]] = {}
        """By target, who is not clear: each round asks about one of them."""
        self._seen = 0

    def note(
        self, decisions: Iterable[Decision], *, now: datetime, of: str | None = None
    ) -> tuple[Decision, ...]:
        """Record, in one transaction, the decisions that changed, and return them.

        ``of``: they are all there are on that target, so whoever is not among them is gone. An
        item may have gone while nobody looked, and its hold would stand for ever.
        """
        decisions = tuple(decisions)
        with self._lock:
            with self._engine.connect() as connection:
                self._catch_up(connection)
            if not self._changed(decisions, of):
                return ()
            return self._write(lambda: self._changed(decisions, of), now)

    def forget_others(self, targets: Collection[str], *, now: datetime) -> tuple[Decision, ...]:
        """Record that whoever stands on a target that is none of these is not watched any more."""

        def others() -> dict[Subject, Decision]:
            return {
                subject: Decision(subject, Result.CLEAR, detail=_UNWATCHED)
                for target, standing in self._last.items()
                if target not in targets
                for subject in standing
            }

        with self._lock:
            with self._engine.connect() as connection:
                self._catch_up(connection)
            return self._write(others, now) if others() else ()

    def _write(
        self, find: Callable[[], dict[Subject, Decision]], now: datetime
    ) -> tuple[Decision, ...]:
        with writing(self._engine) as journal:
            self._catch_up(journal.connection)
            changed = find()
            _record(journal, changed, now=now)
        for subject, decision in changed.items():
            self._remember(subject, decision.standing)
        return tuple(changed.values())

    def _changed(self, decisions: tuple[Decision, ...], of: str | None) -> dict[Subject, Decision]:
        """What is new, by subject. A subject that was never heard of is clear already."""
        changed: dict[Subject, Decision] = {}
        known = () if of is None else tuple(self._last.get(of, ()))
        if known:
            stored = (replace(one, subject=_stored(one.subject)) for one in decisions)
            decisions += gone(known, stored)
        for decision in decisions:
            subject = _stored(decision.subject)
            last = self._last.get(subject.target, {}).get(subject, _CLEAR)
            if decision.standing != last:
                changed[subject] = decision
        return changed

    def _catch_up(self, connection: Connection) -> None:
        query = select(table).where(table.c.seq > self._seen).order_by(table.c.seq)
        if not self._seen:
            query = query.where(table.c.seq.in_(newest_of_each()))
        for row in connection.execute(query):
            subject = Subject(row.policy, row.target, row.item or None)
            self._remember(subject, (row.result, row.reason))
            self._seen = row.seq

    def _remember(self, subject: Subject, standing: Standing) -> None:
        """Clear is what an unknown subject is anyway, so items that came and went take no room."""
        mine = self._last.setdefault(subject.target, {})
        if standing == _CLEAR:
            mine.pop(subject, None)
        else:
            mine[subject] = standing


def newest_of_each() -> Select[tuple[int]]:
    """The number of the last record of every subject. It reads the whole table."""
    subject = table.c.policy, table.c.target, table.c.item
    return select(func.max(table.c.seq)).group_by(*subject)


def standing_before(connection: Connection, last: int) -> Iterator[DecisionRecord]:
    """Of each subject that was not clear at an entry: its first record since, and its last."""
    columns = table.c
    newest = newest_of_each().where(columns.seq <= last)
    standing = select(table).where(columns.seq.in_(newest), columns.result != str(Result.CLEAR))
    for row in list(connection.execute(standing.order_by(columns.seq)).mappings()):
        same = [columns[name] == row[name] for name in ("policy", "target", "item")]
        clear = columns.result == str(Result.CLEAR)
        cleared = select(func.max(columns.seq)).where(*same, clear, columns.seq < row["seq"])
        after = connection.scalar(cleared) or 0
        begun = select(table).where(*same, columns.seq > after).order_by(columns.seq).limit(1)
        first = record_of(connection.execute(begun).mappings().one())
        yield first
        if first.seq != row["seq"]:
            yield record_of(row)


def record_of(row: Row) -> DecisionRecord:
    """The row as others know it."""
    return DecisionRecord(
        seq=row["seq"],
        at=row["at"],
        subject=Subject(row["policy"], row["target"], row["item"] or None),
        result=row["result"],
        reason=row["reason"],
        detail=row["detail"],
        mode=row["mode"],
        values=row["values_seen"],
    )


def _stored(subject: Subject) -> Subject:
    item = subject.item
    return Subject(subject.policy, subject.target, None if item is None else item_key(item))


def _record(journal: Journal, changed: Mapping[Subject, Decision], *, now: datetime) -> None:
    rows = []
    for subject, decision in changed.items():
        body = {
            "policy": subject.policy,
            "target": subject.target,
            "item": subject.item or "",
            "result": decision.standing[0],
            "reason": decision.standing[1],
            "detail": clean_text(decision.detail),
            "mode": str(decision.mode),
            "values_seen": clean(decision.values),
        }
        seq = journal.append(EntryKind.DECISION, None, at=now, body=body)
        rows.append(body | {"seq": seq, "at": now})
    if rows:
        journal.flush()
        journal.connection.execute(insert(table), rows)
