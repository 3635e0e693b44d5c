"""The schedule: rounds on time at fixed phases, early ones on demand, none ever lost for good."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.component import Component
from exporter.model.phase import phase_seconds
from exporter.model.target import Target
from exporter.scheduler import Schedule, next_round
from tests.unit.fakes import until

PHASE_OF_LOCAL = 2.2118122298
QUICK, SLOW = timedelta(milliseconds=40), timedelta(hours=1)
TARGET = Target(
    "prod",
    intervals={c: QUICK if c is Component.ADMIN else SLOW for c in Component},
)
IDLE = Target("idle", intervals=dict.fromkeys(Component, SLOW))
Round = tuple[str, frozenset[Component], bool]
EVERYTHING, ADMIN = frozenset(Component), frozenset({Component.ADMIN})


@dataclass
class Rounds:
    """Stands for the rounds: notes each, and does what a test says while it runs."""

    begun: list[Round] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """While this is set to an event, rounds wait for it."""
    fails: bool = False
    seconds: float = 0.0
    """The monotonic clock."""

    async def run(self, target: str, components: frozenset[Component], *, woken: bool) -> None:
        self.begun.append((target, components, woken))
        if self.fails:
            raise ZeroDivisionError
        if self.hold is not None:
            await self.hold.wait()

    def scheduled(self) -> int:
        return sum(not woken for _, _, woken in self.begun)

    @asynccontextmanager
    async def schedule(self, *targets: Target) -> AsyncIterator[Schedule]:
        schedule = Schedule(
            self.run,
            on_lag=self.lags.append,
            on_skipped=lambda reason: self.skipped.update([reason]),
            monotonic=lambda: self.seconds,
        )
        schedule.start()
        schedule.set_targets(targets)
        try:
            yield schedule
        finally:
            await schedule.stop()


@pytest.fixture
def rounds() -> Rounds:
    return Rounds()


# Phases


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=8),
    st.sampled_from([1.0, 15.0, 60.0, 300.0, 3_600.0]),
    st.floats(1.7e9, 1.9e9).map(lambda stamp: datetime.fromtimestamp(stamp, UTC)),
)
def test_the_next_round_is_where_the_phase_falls(name: str, seconds: float, now: datetime) -> None:
    """Within one interval from now, whenever that is: the same moments after every restart."""
    first = next_round(name, timedelta(seconds=seconds), now=now)
    assert timedelta(0) <= first - now <= timedelta(seconds=seconds)
    off = (first.timestamp() - phase_seconds(name, seconds)) % seconds
    assert min(off, seconds - off) == pytest.approx(0, abs=1e-5)


def test_a_phase_is_the_same_in_every_process() -> None:
    """It comes from the name alone, not from Python's own hash."""
    assert phase_seconds("local", 15.0) == pytest.approx(PHASE_OF_LOCAL)
    assert phase_seconds("local", 60.0) == pytest.approx(4 * PHASE_OF_LOCAL)


def test_targets_are_spread_evenly() -> None:
    """A thousand targets do not fall on the server, or on us, at once."""
    tenths = Counter(int(phase_seconds(f"target-{n}", 10.0)) for n in range(1000))
    assert set(tenths) == set(range(10))
    assert min(tenths.values()) > 60
    assert max(tenths.values()) < 140


# Rounds


async def test_every_target_is_read_completely_at_start(rounds: Rounds) -> None:
    """Phases apply from the second round on: nothing stays unknown for an interval."""
    async with rounds.schedule(TARGET, IDLE):
        await until(lambda: len(rounds.begun) >= 2)
    assert {("prod", EVERYTHING, True), ("idle", EVERYTHING, True)} <= set(rounds.begun)


async def test_rounds_come_again_with_what_shares_their_interval(rounds: Rounds) -> None:
    """Each interval of a target has rounds of its own, of just those components."""
    async with rounds.schedule(TARGET):
        await until(lambda: rounds.scheduled() >= 3)
    assert {r for r in rounds.begun if not r[2]} == {("prod", ADMIN, False)}


async def test_a_crash_in_a_round_does_not_stop_the_next(rounds: Rounds) -> None:
    """It is logged and counted, on schedule and woken alike, and rounds go on."""
    rounds.fails = True
    with structlog.testing.capture_logs() as logs:
        async with rounds.schedule(TARGET) as schedule:
            await until(lambda: rounds.scheduled() >= 2)
            schedule.wake("prod", ADMIN)
            await until(lambda: rounds.begun.count(("prod", ADMIN, True)) == 1)
    assert rounds.skipped["crashed"] >= 4
    assert {"event": "round.crashed", "target": "prod"}.items() <= logs[0].items()


async def test_wakes_are_joined_while_a_woken_round_runs(rounds: Rounds) -> None:
    """However many ask while one runs, one more round reads what all of them wanted."""
    rounds.hold = asyncio.Event()
    async with rounds.schedule(IDLE) as schedule:
        await until(lambda: len(rounds.begun) == 1)
        schedule.wake("idle", [Component.ADMIN])
        schedule.wake("idle", [Component.DRIFT])
        schedule.wake("other", [Component.ADMIN])
        await asyncio.sleep(0.02)
        assert [name for name, _, _ in rounds.begun] == ["idle", "other"]
        rounds.hold.set()
        await until(lambda: len(rounds.begun) == 3)
        schedule.wake("idle", [Component.INGRESS])
        await until(lambda: len(rounds.begun) == 4)
    assert rounds.begun[2] == ("idle", frozenset({Component.ADMIN, Component.DRIFT}), True)
    assert rounds.begun[3] == ("idle", frozenset({Component.INGRESS}), True)


async def test_a_round_is_not_run_twice_at_once(rounds: Rounds) -> None:
    """While one runs the next ones are left out and counted as overlap, not as missed."""
    rounds.hold = asyncio.Event()
    with structlog.testing.capture_logs() as logs:
        async with rounds.schedule(TARGET):
            await until(lambda: rounds.skipped["overlap"] >= 2)
            assert rounds.scheduled() == 1
            rounds.seconds += (rounds.skipped["overlap"] + 1) * QUICK.total_seconds()
            rounds.hold.set()
            await until(lambda: rounds.scheduled() >= 2)
    assert rounds.skipped["missed"] == 0
    assert any(line["event"] == "round.skipped" for line in logs)


async def test_rounds_that_could_not_be_begun_in_time_are_counted(rounds: Rounds) -> None:
    """A process that was held up runs one round late, and says how late and how many it missed."""
    async with rounds.schedule(TARGET):
        await until(lambda: rounds.scheduled() >= 1)
        rounds.lags.clear()
        rounds.seconds += 4.5 * QUICK.total_seconds()
        await until(lambda: len(rounds.lags) >= 2)
    assert rounds.skipped["missed"] == 3
    assert rounds.lags[0] == pytest.approx(3.5 * QUICK.total_seconds())
    assert rounds.lags[1] == 0


# The watchdog


async def test_the_watchdog_begins_a_stalled_lane_anew(rounds: Rounds) -> None:
    """Two intervals and five seconds without a round: reschedule, read now, count; only once."""
    async with rounds.schedule(IDLE) as s:  # none of its rounds falls due while this runs
        await until(lambda: len(rounds.begun) == 1)
        rounds.begun.clear()
        rounds.seconds = 2 * SLOW.total_seconds() + 5
        s.check_stalled()
        assert not rounds.skipped
        rounds.seconds += 0.01
        s.check_stalled()
        s.check_stalled()
        await until(lambda: bool(rounds.begun))
        assert rounds.skipped == Counter({"stalled": 1})
        assert rounds.begun == [("idle", EVERYTHING, True)]


async def test_a_wall_clock_set_back_does_not_stall_the_schedule(rounds: Rounds) -> None:
    """APScheduler would wait for the hour to come again; the monotonic clock notices."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with freeze_time(noon, tick=True, real_asyncio=True) as frozen:
        async with rounds.schedule(TARGET) as schedule:
            await until(lambda: rounds.scheduled() >= 1)
            frozen.move_to(noon - timedelta(hours=1))
            await asyncio.sleep(3 * QUICK.total_seconds())
            before = rounds.scheduled()
            await asyncio.sleep(3 * QUICK.total_seconds())
            assert rounds.scheduled() == before
            rounds.seconds += 60
            schedule.check_stalled()
            await until(lambda: rounds.scheduled() >= before + 2)


# Other targets


async def test_a_reload_reads_what_is_new_or_changed(rounds: Rounds) -> None:
    """Completely and at once; what stayed the same keeps its rhythm, what is gone has no rounds."""
    async with rounds.schedule(TARGET, IDLE) as schedule:
        await until(lambda: rounds.scheduled() >= 1)
        rounds.begun.clear()
        changed = replace(IDLE, labels={"tier": "1"})
        schedule.set_targets([changed, Target("new", intervals={Component.ADMIN: SLOW})])
        await until(lambda: len(rounds.begun) >= 2)
        await asyncio.sleep(2 * QUICK.total_seconds())
    assert sorted(rounds.begun) == [("idle", EVERYTHING, True), ("new", ADMIN, True)]


async def test_an_unchanged_target_is_not_disturbed(rounds: Rounds) -> None:
    """Setting the same targets again neither reads nor shifts anything."""
    async with rounds.schedule(IDLE) as schedule:
        await until(lambda: len(rounds.begun) == 1)
        schedule.set_targets([replace(IDLE)])
        await asyncio.sleep(0.02)
    assert len(rounds.begun) == 1


async def test_another_interval_takes_the_place_of_the_old_one(rounds: Rounds) -> None:
    """No component is read at both paces."""
    async with rounds.schedule(TARGET) as schedule:
        await until(lambda: rounds.scheduled() >= 1)
        schedule.set_targets([replace(TARGET, intervals=dict.fromkeys(Component, SLOW))])
        before = rounds.scheduled()
        await asyncio.sleep(3 * QUICK.total_seconds())
        assert rounds.scheduled() == before


# The end


async def test_stopping_leaves_no_task(rounds: Rounds) -> None:
    """Neither rounds nor timers nor the watchdog; what is asked for afterwards is not begun."""
    rounds.hold = asyncio.Event()
    before = asyncio.all_tasks()
    with structlog.testing.capture_logs() as logs:
        async with rounds.schedule(TARGET) as schedule:
            await until(lambda: rounds.scheduled() >= 1)
        assert asyncio.all_tasks() == before
        begun = len(rounds.begun)
        schedule.wake("prod", ADMIN)
        await asyncio.sleep(2 * QUICK.total_seconds())
    assert len(rounds.begun) == begun
    assert asyncio.all_tasks() == before
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_stopping_what_was_never_started() -> None:
    """A daemon that fails while it starts can still stop in order."""
    await Schedule(Rounds().run).stop()
