"""Every promise of the ledger is checked on SQLite and on a real PostgreSQL of our own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from exporter.ledger.engine import connect, ledger_url, make_folder
from exporter.ledger.schema import prepare
from exporter.ledger.store import Store
from tests.postgres import postgresql

__all__ = ["postgresql"]  # a fixture, used by its name

_numbers = itertools.count()


@pytest.fixture
def new_postgresql(postgresql: str) -> Callable[[], str]:
    """Makes an empty database and returns its URL."""

    def create() -> str:
        name = f"medic_{next(_numbers)}"
        engine = create_engine(ledger_url(postgresql), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return postgresql.replace("/postgres?", f"/{name}?")

    return create


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/medic.db"
    create: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return create()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A prepared ledger's engine."""
    parsed = ledger_url(url)
    make_folder(parsed)
    # Twenty racing threads on two slow cores may need longer than the default.
    engine = connect(parsed, lock_wait=timedelta(seconds=30))
    prepare(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)
