"""The connection to the ledger's database: SQLite beside the daemon, or a shared PostgreSQL.

Here stand all differences between the two. A writer takes the database's lock (SQLite) or the
head row's (PostgreSQL) before it reads anything, so what it then reads cannot change under it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy import text as sql
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from exporter.ledger.sealing import NO_KEYS, ChainKeys
from exporter.model.errors import ConfigurationError

LOCK_WAIT = timedelta(seconds=5)
"""How long a writer waits for another process before it gives up."""
POSTGRESQL_CONNECTIONS = 4
_WRITES = "ledger_writes"
_KEYS = "ledger_keys"
_CONNECT_SECONDS = 5
_RETRY_SECONDS = 0.02
_DEAD_PEER = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A database that vanishes is noticed within about twenty seconds, not hours."""


def ledger_url(text: str) -> URL:
    """Parse ``sqlite:///FILE`` or ``postgresql://…``. ConfigurationError says what to write."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ConfigurationError([_advice()]) from error
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:":
            return url.set(drivername="sqlite")
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+psycopg")
        case _:
            raise ConfigurationError([_advice()])


def place(url: URL) -> str:
    """Where the ledger is, for a person: the file, or the address without user and options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or str(url.query.get("host", ""))
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{host}{port}/{url.database or ''}"


def make_folder(url: URL) -> None:
    """Create the folder of a SQLite file. OSError when it cannot be."""
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)


def connect(url: URL, *, lock_wait: timedelta = LOCK_WAIT, keys: ChainKeys = NO_KEYS) -> Engine:
    """An engine for Store and Standing, which writes with these keys. Nothing is opened yet."""
    return _connect(url, lock_wait).execution_options(**{_KEYS: keys})


def keys_of(connection: Connection) -> ChainKeys:
    """The keys that its engine writes with."""
    keys: ChainKeys = connection.get_execution_options().get(_KEYS, NO_KEYS)
    return keys


def _connect(url: URL, lock_wait: timedelta) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": lock_wait.total_seconds()})
        event.listen(engine, "connect", _prepare_sqlite(lock_wait))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        pool_size=POSTGRESQL_CONNECTIONS,
        pool_pre_ping=True,
        # Prepared statements do not survive a pooler that hands out another connection each time.
        connect_args={**_DEAD_PEER, "prepare_threshold": None},
    )
    event.listen(engine, "begin", _begin_postgresql(lock_wait))
    return engine


def for_writing(engine: Engine) -> Engine:
    """The same engine, whose transactions lock before they read."""
    return engine.execution_options(**{_WRITES: True})


@contextmanager
def one_moment(engine: Engine) -> Iterator[Connection]:
    """A transaction whose statements all see the same rows, which SQLite's do anyway."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def database_now(connection: Connection) -> datetime:
    """The database's own clock, the same for every process that uses it."""
    if connection.dialect.name == "postgresql":
        found: datetime = connection.scalars(sql("SELECT clock_timestamp()")).one()
        return found.astimezone(UTC)
    shown = connection.scalars(sql("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')")).one()
    return datetime.fromisoformat(str(shown)).replace(tzinfo=UTC)


def _prepare_sqlite(
    lock_wait: timedelta,
) -> Callable[[sqlite3.Connection, ConnectionPoolEntry], None]:
    def prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        # The driver would begin transactions by itself, and only before the first write.
        connection.isolation_level = None
        _turn_on_wal(connection, time.monotonic() + lock_wait.total_seconds())
        connection.execute("PRAGMA synchronous = FULL").close()
        connection.execute("PRAGMA foreign_keys = ON").close()

    return prepare


def _turn_on_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Retry by hand: SQLite does not wait when two processes do this to a new file at once."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(lock_wait: timedelta) -> Callable[[Connection], None]:
    milliseconds = int(lock_wait.total_seconds() * 1000)

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")

    return begin


def _advice() -> str:
    return "storage.url: write sqlite:///FILE (a file, not :memory:) or postgresql://USER@HOST/NAME"
