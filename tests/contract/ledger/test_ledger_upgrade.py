"""A ledger of every earlier schema is brought to the present one with all that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, insert, inspect, select

from exporter.ledger.chain import verify
from exporter.ledger.engine import connect, for_writing, ledger_url, make_folder
from exporter.ledger.keys import digest_of, new_key
from exporter.ledger.schema import alembic_config, prepare
from exporter.ledger.store import Store
from exporter.ledger.tables import metadata
from exporter.model.errors import InFlightError
from exporter.model.keys import Role
from exporter.model.operation import ActResult, ItemOutcome, Outcome, Phase
from tests.contract.ledger.making import LEASE, at, by_person, by_policy, plan_for

EARLIER = [
    step.revision
    for step in reversed(list(ScriptDirectory.from_config(alembic_config()).walk_revisions()))
][:-1]
"""Every schema but the present one, oldest first."""


@pytest.fixture
def old(url: str, revision: str) -> Iterator[Engine]:
    """A database whose tables are those of an earlier revision."""
    parsed = ledger_url(url)
    make_folder(parsed)
    engine = connect(parsed)
    with for_writing(engine).connect() as connection, connection.begin():
        command.upgrade(alembic_config(connection), revision)
    yield engine
    engine.dispose()


def live(store: Store, tables: set[str]) -> None:
    """A few days of what could be recorded when there were these tables."""
    request = by_policy(items=("http://w:9080/",))
    closed = store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))
    store.advance(closed.id, Phase.ACTING, owner="one", lease=LEASE, now=at(1))
    result = ActResult(after={"deployments": 2}, items=(ItemOutcome("http://w:9080/", "done"),))
    store.mark_acted(closed.id, result, owner="one", lease=LEASE, now=at(2))
    store.finish(closed.id, Outcome.VERIFIED, owner="one", now=at(3))
    person = by_person("staging")
    store.reserve(person, plan_for(person), owner="two", lease=LEASE, now=at(4))
    if "pauses" in tables:
        store.pause("target", "prod", owner="mira", reason="migration", now=at(5))
    if "api_keys" in tables:
        store.add_key("ci", Role.OPERATOR, digest=digest_of(new_key()), actor="mira", now=at(6))


def put(source: Engine, old: Engine) -> None:
    """Copy what the old tables have columns for."""
    there = MetaData()
    there.reflect(old)
    with source.connect() as reading, old.begin() as writing:
        for table in metadata.sorted_tables:
            if table.name not in there.tables:
                continue
            before = there.tables[table.name]
            names = [column.name for column in before.c]
            rows = reading.execute(select(*(table.c[name] for name in names))).mappings()
            writing.execute(before.delete())
            for row in rows:
                # The present column types: reflected ones lose the time zone on SQLite.
                kept = {name: row[name] for name in names}
                writing.execute(insert(table).values(kept))


@pytest.mark.parametrize("revision", EARLIER)
def test_a_ledger_of_an_earlier_schema_is_upgraded(old: Engine, tmp_path: Path) -> None:
    """Operations, items, orders and the chain are as they were, open ones still lock, and the
    chain goes on."""
    source = connect(ledger_url(f"sqlite:///{tmp_path}/source.db"))
    prepare(source)
    before = Store(source)
    live(before, set(inspect(old).get_table_names()))
    put(source, old)

    prepare(old)
    after = Store(old)
    assert after.operations() == before.operations()
    for operation in before.operations():
        assert after.items(operation.id) == before.items(operation.id)
        assert after.entries(operation.id) == before.entries(operation.id)
    assert (after.pauses(), after.api_keys()) == (before.pauses(), before.api_keys())
    assert after.head() == before.head()
    assert verify(after.chain(), after.head()) is None

    again = by_person("staging")
    with pytest.raises(InFlightError):
        after.reserve(again, plan_for(again), owner="three", lease=LEASE, now=at(7))
    request = by_policy()
    after.reserve(request, plan_for(request), owner="three", lease=LEASE, now=at(8))
    assert after.head().seq > before.head().seq
    assert verify(after.chain(), after.head()) is None
    source.dispose()


def test_every_released_schema_is_among_them() -> None:
    """The steps form one line from the first, so that no ledger is left without a way."""
    steps = list(ScriptDirectory.from_config(alembic_config()).walk_revisions())
    assert EARLIER[0] == "0001"
    assert [step.down_revision for step in reversed(steps)] == [None, *EARLIER]
