"""Every promise of the ledger is checked on SQLite and on a real PostgreSQL of our own."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from exporter.ledger.engine import connect, ledger_url, make_folder
from exporter.ledger.schema import prepare
from exporter.ledger.store import Store

_numbers = itertools.count()


def _programs() -> Path | None:
    """The folder of PostgreSQL's server programs, which Debian keeps off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return debian[-1].parent if debian else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A private cluster that answers on a Unix socket only; the URL of its first database."""
    programs = _programs()
    if programs is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # The server refuses to run as root. A socket's path must be short, too short for tmp_path.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if user:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"
    settings = f"-k {folder} -c listen_addresses= -c fsync=off -c full_page_writes=off"

    def run(*command: str | Path) -> None:
        subprocess.run(command, user=user, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run(programs / "initdb", "-D", data, "-U", "medic", "-A", "trust", "-E", "UTF8", "-N")
        run(programs / "pg_ctl", "-D", data, "-l", log, "-o", settings, "-w", "start")
        try:
            yield f"postgresql://medic@/postgres?host={folder}"
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


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
