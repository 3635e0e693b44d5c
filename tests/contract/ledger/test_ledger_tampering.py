"""Whoever changes, adds or removes a row behind the ledger's back is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from exporter.ledger.chain import Head
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import Inspection, inspect
from exporter.ledger.store import Store
from exporter.ledger.tables import metadata
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.identity import Identity
from exporter.model.keys import Role
from exporter.model.operation import ActResult, Fence, ItemOutcome, Outcome, Phase
from exporter.model.orders import BreakerName
from exporter.model.relapse import Relapse
from tests.contract.ledger.aging import hold, prune, told_time
from tests.contract.ledger.making import LEASE, at, by_person, by_policy, plan_for

TABLES = tuple(sorted(metadata.tables.keys() - {"history"}))
"""All but what rounds saw, which proves nothing and is thrown away when it is old."""
_UNTOLD = {("operations", "lease_until"), ("leases", "until")}
"""A renewed lease leaves no entry, so that no entry can tell what these must be."""
_FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def fill(store: Store) -> None:
    """Something in every table, and an entry of every kind but what only a failure leaves."""
    store.acquire("1/1", holder="me", length=LEASE)
    request = by_policy(items=("a", "b"))
    row = store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at(0))
    store.advance(row.id, Phase.ACTING, owner="me", lease=LEASE, now=at(1), detail="one")
    store.note_item(row.id, ItemOutcome("a", "resumed", "well"), owner="me", now=at(2))
    store.renew(row.id, owner="me", lease=LEASE, now=at(3))
    result = ActResult(items=(ItemOutcome("b", "resumed", ""), ItemOutcome("c", "skipped", "")))
    store.mark_acted(row.id, result, owner="me", lease=LEASE, now=at(4))
    store.advance(row.id, Phase.VERIFYING, owner="me", lease=LEASE, now=at(5))
    store.finish(row.id, Outcome.VERIFIED, owner="me", now=at(6), after={"x": 1}, error=None)
    store.note_relapse(
        Relapse(row.id, "prod", row.remedy, "heal", ("a",), seen_at=at(7)), now=at(8)
    )
    for target, outcome in (("lab", Outcome.REFUSED), ("dev", Outcome.FAILED)):
        asked = by_policy(target)
        one = store.reserve(asked, plan_for(asked), owner="me", lease=LEASE, now=at(9))
        if outcome is Outcome.FAILED:
            store.advance(one.id, Phase.ACTING, owner="me", lease=LEASE, now=at(10))
        store.finish(one.id, outcome, owner="me", now=at(11), error="it broke")
    last = row
    for asked in (by_policy("silent"), by_policy("acted")):
        last = store.reserve(asked, plan_for(asked), owner="gone", lease=LEASE, now=at(12))
        store.advance(last.id, Phase.ACTING, owner="gone", lease=LEASE, now=at(13))
    store.mark_acted(last.id, ActResult(), owner="gone", lease=LEASE, now=at(14))
    store.sweep(at(200))
    store.take_over(owner="me", lease=LEASE, now=at(201))
    rehearsed = by_policy("stage", mode=Mode.OBSERVE)
    store.rehearse(rehearsed, plan_for(rehearsed), now=at(202))
    store.refuse(by_person(), reason="nothing", message="to do", now=at(203))
    for target, yes in (("p1", True), ("p2", False), ("p3", None)):
        asked = by_policy(target, mode=Mode.APPROVE)
        waits = store.propose(asked, plan_for(asked), owner="me", now=at(204))
        if yes:
            store.approve(waits.id, actor="mira", reason="go", now=at(205))
            approved = replace(asked, proposal=waits.id)
            store.reserve(approved, plan_for(approved), owner="me", lease=LEASE, now=at(206))
        elif yes is False:
            store.reject(waits.id, actor="mira", reason="no", now=at(207))
    lifted = store.pause("global", "", owner="mira", reason="look", now=at(208))
    store.pause("target", "prod", owner="mira", reason="", now=at(209), expires_at=at(900))
    store.unpause([lifted.id], actor="ben", now=at(210), attempt=by_person(remedy="unpause"))
    name = BreakerName("prod", row.remedy, "")
    store.reset_breaker(name, actor="mira", reason="new worker", now=at(211))
    store.note_identity("prod", Identity("c1", frozenset({"dp_1"})), now=at(212))
    for key in ("ops", "old"):
        store.add_key(key, Role.OPERATOR, digest=f"{key}-digest", actor="mira", now=at(213))
    store.revoke_key("old", actor="mira", now=at(214))
    send_reports(store)
    subject = Subject("heal", "prod")
    for result_, reason in ((Result.HOLD, HoldReason.PENDING), (Result.CLEAR, None)):
        decision = Decision(subject, result_, reason, "it waits", values={"n": 1})
        store.note_changes([decision], now=at(215))


def send_reports(store: Store) -> None:
    """One whose end is known, and one whose end is not."""
    fence, since = Fence("1/1", "me", 1), at(-86_400)
    for day in ("2026-03-01", "2026-03-02"):
        sent = store.begin_report(
            day, notifier="ops", owner="me", fence=fence, since=since, furthest=since, now=at(214)
        )
        if sent is not None and day == "2026-03-01":
            store.end_report(sent.id, "delivered", why="", now=at(214))


@dataclass
class Scene:
    """A ledger with something of everything, and what a check of it finds."""

    engine: Engine
    ledger: Ledger
    runner: asyncio.Runner

    def check(self, known: Head | None = None, page: int = 7) -> Inspection:
        return self.runner.run(inspect(self.ledger, known=known, page=page))

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            found = connection.execute(text(f'SELECT * FROM "{table}"')).mappings()
            return sorted(map(dict, found), key=str)

    @contextmanager
    def forging(self) -> Iterator[Connection]:
        """Writing as somebody does who owns the database: without foreign keys and triggers."""
        postgresql = self.engine.dialect.name == "postgresql"
        with self.engine.connect() as connection:
            if postgresql:
                connection.execute(text("SET session_replication_role = replica"))
            else:
                foreign_keys(connection, "OFF")
            connection.commit()
            try:
                yield connection
                connection.commit()
            finally:
                connection.rollback()
                if postgresql:
                    connection.execute(text("SET session_replication_role = DEFAULT"))
                    connection.commit()
                else:
                    foreign_keys(connection, "ON")

    def delete(self, table: str, row: dict[str, Any]) -> None:
        with self.forging() as connection:
            connection.execute(text(f'DELETE FROM "{table}" WHERE {self._is(table)}'), row)

    def insert(self, table: str, row: dict[str, Any]) -> None:
        names = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(f":{name}" for name in row)
        with self.forging() as connection:
            connection.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({values})'), row)

    def set(self, table: str, row: dict[str, Any], column: str, value: object) -> None:
        with self.forging() as connection:
            change = text(f'UPDATE "{table}" SET "{column}" = :_new WHERE {self._is(table)}')
            connection.execute(change, row | {"_new": value})

    def _is(self, table: str) -> str:
        keys = metadata.tables[table].primary_key.columns
        return " AND ".join(f'"{key.name}" = :{key.name}' for key in keys)


def foreign_keys(connection: Connection, word: str) -> None:
    """Before a transaction: within one, SQLite ignores it."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.cursor().execute(f"PRAGMA foreign_keys = {word}")


def grow_old(store: Store, engine: Engine) -> None:
    """Let retention remove most of what is there, in steps, and let something happen again."""
    with told_time() as time:
        hold(store)
        fill(store)
        now = time.pass_(timedelta(days=400))
        assert sum(1 for _ in prune(store, engine, now, at_once=10)) > 1
        request = by_policy("later", items=("a", "b"))
        row = store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=now)
        store.finish(row.id, Outcome.FAILED, owner="me", now=now)
        store.pause("target", "prod", owner="mira", reason="", now=now)
        waits = Decision(Subject("heal", "prod"), Result.HOLD, HoldReason.PENDING)
        store.note_changes([waits], now=now)


@pytest.fixture(params=["whole", "pruned"])
def scene(url: str, store: Store, engine: Engine, request: Any) -> Iterator[Scene]:
    if request.param == "pruned":
        grow_old(store, engine)
    else:
        fill(store)
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            query = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in connection.execute(query).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
    with asyncio.Runner() as runner:
        ledger = Ledger(url)
        yield Scene(engine, ledger, runner)
        runner.run(ledger.close())


def others(value: object) -> list[object]:
    """Other values that the same column might have."""
    match value:
        case None:
            return ["2026-01-01 00:00:00.000000", "x", 7]
        case bool():
            return [not value]
        case int():
            return [value + 1_000]
        case datetime():
            return [value + timedelta(microseconds=1), value - timedelta(days=1)]
        case str():
            return [f"{value}x", '{"forged":1}', "2026-01-01 00:00:00.000000"]
        case _:
            return []


def test_what_nobody_touched_is_whole(scene: Scene) -> None:
    """Wherever pages end; and what is left out of this file's tampering is as small as it says."""
    head = scene.check().head
    for page in (1, 2, 5, 1000):
        found = scene.check(known=head, page=page)
        assert replace(found, begins=None) == Inspection(head)
    assert all(scene.rows(table) for table in TABLES)


@_FEW
@given(data=st.data())
def test_every_field_of_every_table_is_watched(scene: Scene, data: st.DataObject) -> None:
    """Any row, any column, any other value."""
    table = data.draw(st.sampled_from(TABLES))
    row = data.draw(st.sampled_from(scene.rows(table)))
    column = data.draw(st.sampled_from(sorted(row)))
    value = data.draw(st.sampled_from(others(row[column])))
    forge(scene, table, row, column, value)


def test_each_column_is_watched(scene: Scene) -> None:
    """None is left to chance: of each column one row at least, with each other value."""
    missed = []
    for table in TABLES:
        for column in [one.name for one in metadata.tables[table].columns]:
            rows = scene.rows(table)
            row = next((one for one in rows if one[column] is not None), rows[0])
            for value in others(row[column]):
                try:
                    forge(scene, table, row, column, value)
                except AssertionError:
                    missed.append((table, column, value))
    assert missed == []


def forge(scene: Scene, table: str, row: dict[str, Any], column: str, value: object) -> None:
    """Change one field, see that it is found, and change it back."""
    if (table, column) in _UNTOLD or value == row[column]:
        return
    try:
        scene.set(table, row, column, value)
    except (IntegrityError, DataError, ProgrammingError):
        return  # the database itself does not take it
    try:
        assert scene.check().flaw is not None, (table, column, row[column], value)
    finally:
        changed = row | {column: value}
        scene.set(table, changed, column, row[column])


@_FEW
@given(data=st.data())
def test_a_row_that_is_gone_is_missed(scene: Scene, data: st.DataObject) -> None:
    """Of any table, wherever it was."""
    table = data.draw(st.sampled_from([t for t in TABLES if t != "head"]))
    row = data.draw(st.sampled_from(scene.rows(table)))
    scene.delete(table, row)
    try:
        assert scene.check().flaw is not None, (table, row)
    finally:
        scene.insert(table, row)


@_FEW
@given(data=st.data())
def test_a_row_that_nobody_wrote_is_found(scene: Scene, data: st.DataObject) -> None:
    """A copy of any row under another name."""
    table = data.draw(st.sampled_from([t for t in TABLES if t != "head"]))
    row = data.draw(st.sampled_from(scene.rows(table)))
    keys = metadata.tables[table].primary_key.columns.keys()
    unique = {"digest", "locks", "seq"} & row.keys()
    copy = row | {
        name: row[name] + 1_000 if isinstance(row[name], int) else f"{row[name]}x"
        for name in {*keys, *unique}
        if row[name] is not None
    }
    if copy.get("locks") is not None:
        copy["locks"] = None
    scene.insert(table, copy)
    try:
        assert scene.check().flaw is not None, (table, copy)
    finally:
        scene.delete(table, copy)


def test_a_tail_that_was_cut_with_its_rows_needs_a_head_from_elsewhere(scene: Scene) -> None:
    """Whoever rewrites the head too leaves a ledger that looks whole; who kept the head knows."""
    head = scene.check().head
    *_, before, last = sorted(scene.rows("entries"), key=lambda row: int(row["seq"]))
    assert last["kind"] == "decision"
    (row,) = [row for row in scene.rows("decisions") if row["seq"] == last["seq"]]
    scene.delete("decisions", row)
    scene.delete("entries", last)
    (end,) = scene.rows("head")
    scene.set("head", end, "seq", before["seq"])
    scene.set("head", end, "hash", before["hash"])
    assert scene.check().flaw is None
    found = scene.check(known=head).flaw
    assert found is not None
    assert found.sentence == f"entries after {before['seq']} are missing; {head.seq} was known"
    other = scene.check(known=Head(before["seq"], "0" * 64)).flaw
    assert other is not None
    assert "was written anew" in other.sentence
