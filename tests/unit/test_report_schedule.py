"""Each day's report is sent once, when the clock on the wall says so, by whoever acts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time
from structlog.testing import capture_logs

from exporter.app.engine import Engine
from exporter.app.open import utc_now
from exporter.daemon.reporting import Reporting
from exporter.ledger.gateway import Ledger
from exporter.model.errors import LedgerUnavailableError
from exporter.model.message import Delivery, Message, Receipt
from exporter.ownership import Ownership
from exporter.report.schedule import due_day
from exporter.settings.report import ReportSettings
from tests.unit.fakes import ledger_at
from tests.unit.policy_scenes import ONE

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("at", "shown", "day"),
    [
        ("07:00", "2026-05-09T06:59:59", None),
        ("07:00", "2026-05-09T07:00:00", "2026-05-09"),
        ("07:00", "2026-05-09T12:59:00", "2026-05-09"),
        ("07:00", "2026-05-09T13:01:00", None),
        ("23:30", "2026-05-09T23:29:00", None),
        ("23:30", "2026-05-10T03:00:00", "2026-05-09"),
        ("00:00", "2026-05-10T00:00:00", "2026-05-10"),
        # In spring 02:00 to 03:00 is never shown.
        ("02:30", "2026-03-29T01:59:59", None),
        ("02:30", "2026-03-29T03:00:00", "2026-03-29"),
    ],
)
def test_a_report_is_due_from_its_time_on(at: str, shown: str, day: str | None) -> None:
    """Also after midnight; but not when it is so late that nobody needs it any more."""
    now = datetime.fromisoformat(shown).replace(tzinfo=BERLIN).astimezone(UTC)
    assert due_day(time.fromisoformat(at), BERLIN, now) == day


def test_a_time_that_is_shown_twice_is_due_the_first_time() -> None:
    """In autumn the second time belongs to a day that was told already."""
    at, minute = time(2, 30), timedelta(minutes=1)
    now = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    days: list[tuple[str | None, datetime]] = []
    while now < datetime(2026, 10, 25, 5, 0, tzinfo=UTC):
        day = due_day(at, BERLIN, now)
        if day not in {None, *[d for d, _ in days]}:
            days.append((day, now))
        now += minute
    assert days == [("2026-10-25", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))]


@pytest.mark.parametrize("start", ["2026-03-27", "2026-10-23"])
def test_every_day_has_exactly_one(start: str) -> None:
    """Whatever the zone's clock does in between."""
    now = datetime.fromisoformat(f"{start}T00:00:00+00:00")
    end, seen = now + timedelta(days=5), list[str]()
    while now < end:
        day = due_day(time(2, 30), BERLIN, now)
        if day is not None and day not in seen:
            seen.append(day)
        now += timedelta(minutes=5)
    assert [int(day[-2:]) for day in seen] == [int(start[-2:]) + n for n in range(5)]


class Told:
    """A notifier that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.becomes = Delivery.DELIVERED

    async def deliver(self, names: list[str], message: Message) -> tuple[Receipt, ...]:
        self.messages.append(message)
        return (Receipt(names[0], self.becomes, "answered 404"),)


class Instance:
    """As much of a daemon as sends reports."""

    def __init__(self, ledger: Ledger, name: str, notifier: Told) -> None:
        self.settings = ReportSettings(notifier="ops", at="07:00", timezone="Europe/Berlin")
        self.ownership = Ownership(ledger=ledger, owner=name, lease=timedelta(minutes=1))
        self.engine = SimpleNamespace(
            configuration=SimpleNamespace(
                settings=SimpleNamespace(report=self.settings), targets=(ONE,)
            ),
            ownership=self.ownership,
            ledger=ledger,
            notifier=notifier,
            owner=name,
            policies=(),
            now=utc_now,
        )
        self.restart()

    def restart(self) -> None:
        """Forget what only this process knew."""
        self.reporting = Reporting(lambda: cast("Engine", self.engine))

    async def look(self) -> None:
        await self.reporting.look()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with ledger_at(tmp_path) as made:
        yield made


async def test_it_is_sent_once_over_restarts_and_by_one_of_several(ledger: Ledger) -> None:
    """Before its time not at all; then once, until the next day."""
    told = Told()
    one, two = Instance(ledger, "one", told), Instance(ledger, "two", told)
    await one.ownership.keep()
    await two.ownership.keep()
    counts = []
    with freeze_time("2026-05-09T04:58:00Z", real_asyncio=True) as clock:
        for _ in range(6):
            for instance in (one, two):
                await instance.look()
                instance.restart()
            counts.append(len(told.messages))
            clock.tick(timedelta(minutes=1))
        assert counts == [0, 0, 1, 1, 1, 1]
        clock.move_to("2026-05-10T05:00:30Z")
        await one.look()
    assert len(told.messages) == 2
    assert told.messages[0].kind == "report"
    assert "1 target watched" in told.messages[1].title


async def test_who_stands_by_sends_nothing_until_it_acts(ledger: Ledger) -> None:
    """And then what the other one had already sent is not sent again."""
    told = Told()
    one, two = Instance(ledger, "one", told), Instance(ledger, "two", told)
    await one.ownership.keep()
    with freeze_time("2026-05-09T06:00:00Z", real_asyncio=True):
        await two.look()
        assert told.messages == []
        await one.look()
        await one.ownership.release()
        await two.ownership.keep()
        await two.look()
    assert len(told.messages) == 1


async def test_what_was_cut_off_is_sent_by_the_next_process(ledger: Ledger) -> None:
    """The daemon stopped before anybody had it."""
    told = Told()
    one, two = Instance(ledger, "one", told), Instance(ledger, "two", told)
    await one.ownership.keep()
    with freeze_time("2026-05-09T06:00:00Z", real_asyncio=True):
        told.becomes = Delivery.DROPPED
        await one.look()
        await one.look()
        assert len(told.messages) == 1
        await one.ownership.release()
        await two.ownership.keep()
        told.becomes = Delivery.DELIVERED
        await two.look()
        await two.look()
    assert len(told.messages) == 2


async def test_a_report_that_cannot_be_delivered_is_told(ledger: Ledger) -> None:
    """In the log and in the ledger, and it is not tried all day: the notifier had its tries."""
    told = Told()
    told.becomes = Delivery.FAILED
    one = Instance(ledger, "one", told)
    await one.ownership.keep()
    with freeze_time("2026-05-09T06:00:00Z", real_asyncio=True), capture_logs() as logs:
        await one.look()
        await one.look()
    assert len(told.messages) == 1
    (event,) = [entry for entry in logs if entry["event"] == "report.told"]
    assert (event["log_level"], event["outcome"]) == ("error", "failed: answered 404")
    (entry,) = [entry for entry in await ledger.chain() if entry.kind == "report_told"]
    assert entry.data["outcome"] == "failed"


async def test_a_ledger_that_fails_in_between_delays_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is sent by the same process as soon as the ledger can be read again."""
    told = Told()
    one = Instance(ledger, "one", told)
    await one.ownership.keep()
    with freeze_time("2026-05-09T06:00:00Z", real_asyncio=True):
        with monkeypatch.context() as patched:

            async def broken(_since: datetime) -> None:
                raise LedgerUnavailableError("the disk is full")

            patched.setattr(ledger, "period", broken)
            with pytest.raises(LedgerUnavailableError):
                await one.look()
        await one.look()
    assert len(told.messages) == 1


async def test_without_the_setting_nothing_is_written(ledger: Ledger) -> None:
    """Nobody asked for it."""
    one = Instance(ledger, "one", Told())
    one.engine.configuration.settings.report = None
    await one.ownership.keep()
    before = await ledger.head()
    with freeze_time("2026-05-09T06:00:00Z", real_asyncio=True):
        await one.look()
    assert await ledger.head() == before
