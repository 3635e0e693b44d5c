"""The tables: made by migrations, alone with nobody, and never by an older version."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Engine, inspect, text

from exporter.ledger.engine import connect, ledger_url, make_folder
from exporter.ledger.schema import prepare
from exporter.ledger.store import Store
from exporter.ledger.tables import metadata
from exporter.model.errors import LedgerUnavailableError
from tests.contract.ledger.making import LEASE, at, by_policy, plan_for


@pytest.fixture
def empty(url: str) -> Iterator[Engine]:
    """An engine for a database without tables."""
    parsed = ledger_url(url)
    make_folder(parsed)
    engine = connect(parsed)
    yield engine
    engine.dispose()


def test_migrations_make_exactly_the_tables(engine: Engine) -> None:
    """A migrated database has every table, column, type, key and index of the code, no more."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrations_make_the_same_constraints(engine: Engine, empty: Engine) -> None:
    """Checks too, and all names: what the code would create says the same as what was migrated."""

    def described(which: Engine) -> dict[str, object]:
        inspector = inspect(which)
        return {
            table: (
                inspector.get_columns(table).__repr__(),
                sorted(map(repr, inspector.get_check_constraints(table))),
                sorted(map(repr, inspector.get_unique_constraints(table))),
                sorted(map(repr, inspector.get_foreign_keys(table))),
                inspector.get_pk_constraint(table),
                sorted(map(repr, inspector.get_indexes(table))),
            )
            for table in metadata.tables
        }

    migrated = described(engine)
    with engine.begin() as connection:
        for name in ("decisions", "entries", "operation_items", "operations", "head"):
            connection.execute(text(f"DROP TABLE {name}"))
    metadata.create_all(empty)
    assert described(empty) == migrated


def start_together(url: URL, starters: int) -> list[int]:
    """Each starter is an engine of its own, as another process would have."""
    barrier = Barrier(starters)

    def start() -> int:
        engine = connect(url)
        barrier.wait()
        prepare(engine)
        seq = Store(engine).head().seq
        engine.dispose()
        return seq

    with ThreadPoolExecutor(starters) as threads:
        return [f.result() for f in [threads.submit(start) for _ in range(starters)]]


def test_racing_first_starts_create_the_tables_once(empty: Engine) -> None:
    """However many start on an empty database at the same moment, each finds a ledger."""
    assert start_together(empty.url, 8) == [0] * 8


def test_racing_first_starts_on_a_new_file_all_succeed(tmp_path: Path) -> None:
    """SQLite itself does not wait while a new file is turned to WAL; one in forty would fail."""
    for number in range(20):
        url = ledger_url(f"sqlite:///{tmp_path}/{number}.db")
        assert start_together(url, 6) == [0] * 6


def test_a_newer_ledger_is_refused(engine: Engine, store: Store) -> None:
    """A version that does not know the tables touches nothing, and says what to do."""
    request = by_policy()
    operation = store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9001'"))
    with pytest.raises(LedgerUnavailableError, match=r"newer restate-medic.*9001.*run that"):
        prepare(engine)
    assert store.operations() == (operation,)


def test_the_steps_belong_to_the_package() -> None:
    """The migrations lie beside the code, where an installed wheel has them."""
    import exporter.ledger  # noqa: PLC0415 - only to find it

    steps = Path(exporter.ledger.__file__).parent / "migrations"
    assert (steps / "env.py").is_file()
    assert list((steps / "versions").glob("r*.py"))
