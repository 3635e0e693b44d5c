"""Old parts of the ledger go once a day, by whoever acts, and only from a ledger that is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs

from exporter.app.engine import Engine
from exporter.app.open import utc_now
from exporter.daemon.reloads import _tell_what_needs_a_restart
from exporter.daemon.retention import RETENTION_SECONDS, Retention
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import inspect
from exporter.ownership import Ownership
from exporter.settings.load import Configuration
from exporter.settings.schema import NEEDS_RESTART
from exporter.settings.sections import StorageSettings
from tests.unit.fakes import by_person, ledger_at

CALLS = 250
DAY_SECONDS = 86_400.0
URL = "sqlite:///another.db"


class Instance:
    """As much of a daemon as removes what is old."""

    def __init__(self, ledger: Ledger, name: str, keep: timedelta | None) -> None:
        self.seconds, self.suspect = 0.0, False
        self.ownership = Ownership(ledger=ledger, owner=name, lease=timedelta(minutes=10))
        storage = SimpleNamespace(keep=keep)
        self.engine = SimpleNamespace(
            configuration=SimpleNamespace(settings=SimpleNamespace(storage=storage)),
            ownership=self.ownership,
            ledger=ledger,
            policies=(),
            now=utc_now,
        )
        self.retention = Retention(
            lambda: cast("Engine", self.engine), lambda: self.suspect, clock=lambda: self.seconds
        )

    async def look(self, after: float = RETENTION_SECONDS) -> None:
        self.seconds += after
        await self.retention.look()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """With calls that are a year old."""
    async with ledger_at(tmp_path, whole=False) as made:
        at = utc_now() - timedelta(days=365)
        for _ in range(CALLS):
            await made.record_answered(by_person(), now=at)
        yield made


async def calls(ledger: Ledger) -> int:
    return len(await ledger.operations(limit=10 * CALLS))


async def test_whoever_acts_removes_what_is_old(ledger: Ledger) -> None:
    """In several steps, and says what went; who stands by removes nothing."""
    keep = timedelta(days=30)
    one, two = Instance(ledger, "one", keep), Instance(ledger, "two", keep)
    await one.ownership.keep()
    await two.ownership.keep()
    await two.look()
    assert await calls(ledger) == CALLS
    with capture_logs() as logs:
        await one.look()
    assert await calls(ledger) == 0
    (event,) = [log for log in logs if log["event"] == "ledger.pruned"]
    assert (event["operations"], event["entries"]) == (CALLS, CALLS)
    assert sum(1 for entry in await ledger.chain() if entry.kind == "pruned") == 2
    assert (await inspect(ledger)).flaw is None


async def test_once_a_day_and_not_right_at_the_start(ledger: Ledger) -> None:
    """A clock that is wrong when a machine starts is set by the first time."""
    one = Instance(ledger, "one", timedelta(days=30))
    await one.ownership.keep()
    await one.look(after=0)
    assert await calls(ledger) == CALLS
    await one.look()
    assert await calls(ledger) == 0
    await ledger.record_answered(by_person(), now=utc_now())
    one.engine.configuration.settings.storage.keep = timedelta(0)
    head = await ledger.head()
    await one.look()
    assert await ledger.head() == head
    await one.look(after=DAY_SECONDS)
    assert await ledger.head() != head


@pytest.mark.parametrize("why", ["no keep", "the clock is suspect", "another one acts since"])
async def test_nothing_goes(ledger: Ledger, why: str) -> None:
    """While nobody asks for it, the time is in doubt, or the lease went to somebody else."""
    one = Instance(ledger, "one", None if why == "no keep" else timedelta(days=30))
    await one.ownership.keep()
    one.suspect = why == "the clock is suspect"
    if why == "another one acts since":
        await ledger.release("1/1", holder="one")
        await Instance(ledger, "two", None).ownership.keep()
        assert one.ownership.owned
    await one.look()
    assert await calls(ledger) == CALLS


async def test_a_flawed_ledger_is_left_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    """What somebody changed is evidence."""
    with sqlite3.connect(tmp_path / "medic.db") as connection:
        connection.execute("UPDATE operations SET actor = 'ben' WHERE seq = 7")
    one = Instance(ledger, "one", timedelta(days=30))
    await one.ownership.keep()
    with capture_logs() as logs:
        await one.look()
    assert await calls(ledger) == CALLS
    (event,) = [log for log in logs if log["event"] == "ledger.not_pruned"]
    assert (event["log_level"], event["entry"]) == ("error", 7)


@pytest.mark.parametrize(("change", "restart"), [({"keep": "60d"}, False), ({"url": URL}, True)])
def test_how_long_is_kept_is_taken_over_by_a_reload(change: dict[str, str], restart: bool) -> None:
    """Which the rest of where the ledger is needs a restart for."""
    same = dict.fromkeys(set(NEEDS_RESTART) - {"storage"})
    old, new = (
        SimpleNamespace(settings=SimpleNamespace(**same, storage=StorageSettings(**one)))
        for one in ({}, change)
    )
    with capture_logs() as logs:
        _tell_what_needs_a_restart(cast("Configuration", old), cast("Configuration", new))
    assert bool(logs) is restart
