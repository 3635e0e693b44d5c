"""Another process with the same ledger: ``python -m tests.contract.ledger.process WHAT URL``.

It does what its first argument says and prints one line when it has. Tests start it, kill it, or
let it race.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Engine

from exporter.ledger.engine import connect, for_writing, ledger_url, make_folder
from exporter.ledger.schema import prepare
from exporter.ledger.store import Store
from exporter.model.decision import Decision, Result, Subject
from exporter.model.errors import MedicError
from exporter.model.operation import Outcome, Phase
from tests.contract.ledger.making import LEASE, at, by_policy, plan_for


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def race(engine: Engine) -> None:
    """Wait for a line, then try to reserve the one target."""
    store = Store(engine)
    _say("ready")
    sys.stdin.readline()
    request = by_policy()
    try:
        operation = store.reserve(
            request, plan_for(request), owner=str(time.monotonic_ns()), lease=LEASE, now=at(0)
        )
    except MedicError as error:
        _say(type(error).__name__)
    else:
        _say(operation.id)


def act(engine: Engine) -> None:
    """Reserve, announce a write, and hang."""
    store, request = Store(engine), by_policy(items=("a",))
    operation = store.reserve(request, plan_for(request), owner="dies", lease=LEASE, now=at(0))
    store.advance(operation.id, Phase.ACTING, owner="dies", lease=LEASE, now=at(1))
    _say(operation.id)
    time.sleep(600)


def busy(engine: Engine) -> None:
    """Write operations and decisions without end, as fast as it goes."""
    store = Store(engine)
    _say("busy")
    number = 0
    while True:
        number += 1
        request = by_policy(items=("a", "b"))
        operation = store.reserve(
            request, plan_for(request), owner="dies", lease=LEASE, now=at(number * 100)
        )
        store.advance(operation.id, Phase.ACTING, owner="dies", lease=LEASE, now=at(number * 100))
        subject = Subject("heal", "prod", f"item {number}")
        store.note_changes([Decision(subject, Result.ACT)], at(number * 100))
        store.finish(operation.id, Outcome.VERIFIED, owner="dies", now=at(number * 100 + 1))


def lock(engine: Engine) -> None:
    """Take the writers' lock and keep it."""
    with for_writing(engine).connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE head SET seq = seq")
        _say("locked")
        time.sleep(600)


def exclusive(engine: Engine) -> None:
    """Take SQLite's exclusive lock, as a backup tool might, and keep it."""
    connection = sqlite3.connect(str(engine.url.database), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    _say("locked")
    time.sleep(600)


def create(_engine: Engine) -> None:
    """Do nothing but what every process does first: bring the tables up to date."""
    _say("created")


_WHAT: dict[str, Callable[[Engine], None]] = {
    f.__name__: f for f in (race, act, busy, lock, exclusive, create)
}


def main() -> None:
    what, url = sys.argv[1:]
    parsed = ledger_url(url)
    make_folder(parsed)
    engine = connect(parsed, lock_wait=timedelta(seconds=60))
    prepare(engine)
    _WHAT[what](engine)


if __name__ == "__main__":
    main()
