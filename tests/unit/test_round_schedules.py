"""Whatever happens in whatever order: readings, restarts, clocks that are set, two contenders."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.ledger.chain import verify
from exporter.ledger.gateway import Ledger
from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Result
from exporter.policy.windows import is_open
from tests.unit.fakes import Clock
from tests.unit.policy_scenes import ONE, policy, views
from tests.unit.shift import Shift

COOLDOWN, PER, MOST = timedelta(minutes=2), timedelta(hours=1), 5
RULE = policy(
    cooldown="2m",
    limits="[{scope: target, max: 5, per: 1h}]",
    more="""
        for: 15s
        windows:
          - {days: [mon], start: "03:00", end: "04:20", timezone: Europe/Berlin}
          - {days: [mon], start: "05:00", end: "15:00", timezone: Europe/Berlin}
    """,
)
SHOWN = {"broken": views(missing=["Counter"]), "well": views(), "unread": views()}
steps = st.lists(
    st.one_of(
        st.tuples(st.just("round"), st.sampled_from(["broken"] * 6 + ["well", "unread"])),
        st.tuples(st.just("round"), st.just("broken")),
        st.tuples(st.just("jump"), st.sampled_from(["7200", "-7200", "600", "-30", "40000"])),
        st.tuples(st.just("restart"), st.sampled_from(["0", "1"])),
        st.tuples(st.just("handover"), st.sampled_from(["told", "untold", "untold"])),
        st.tuples(st.just("pause"), st.just("")),
        st.tuples(st.just("unpause"), st.just("")),
    ).flatmap(lambda step: st.tuples(st.just(step), st.sampled_from([15, 20, 25, 130, 400, 2000]))),
    min_size=5,
    max_size=40,
)


@pytest.fixture(scope="module")
def empty() -> Iterator[Path]:
    """A ledger with its tables, to be copied: making them takes longer than a schedule."""
    with tempfile.TemporaryDirectory() as folder:

        async def make() -> None:
            await (await Ledger.open(f"sqlite:///{folder}/medic.db")).close()

        asyncio.run(make())
        yield Path(folder)


@dataclass
class Night:
    """Two instances on one ledger and one clock, and what each act rested on."""

    ledger: Ledger
    clock: Clock = field(default_factory=Clock)
    acting: int = 0
    paused: bool = False
    holds: list[Decision] = field(default_factory=list)
    allowed: list[bool] = field(default_factory=list)
    """For each operation that began: whether it may have."""

    def __post_init__(self) -> None:
        self.two = [self._instance(n) for n in (0, 1)]

    def _instance(self, number: int) -> Shift:
        # Longer than the cooldown: who lost it without knowing has the time to try.
        return Shift(
            self.ledger,
            (RULE,),
            clock=self.clock,
            owner=f"n{number}",
            lease=timedelta(minutes=30),
            keeps=False,
        )

    async def step(self, what: str, how: str) -> None:
        match what:
            case "round":
                await self._round(how)
            case "jump":
                self.clock.set(float(how))
            case "restart":
                self.two[int(how)] = self._instance(int(how))
            case "handover":
                old, self.acting = self.two[self.acting], 1 - self.acting
                await self.ledger.release("1/1", holder=old.owner)
                await self.two[self.acting].ownership.keep()
                if how == "told":
                    await old.ownership.keep()
            case "pause":
                now = self.clock.now()
                await self.ledger.pause("global", "", owner="mira", reason="x", now=now)
                self.paused = True
            case "unpause":
                ids = [pause.id for pause in await self.ledger.pauses()]
                await self.ledger.unpause(ids, actor="mira", now=self.clock.now())
                self.paused = False

    async def _round(self, state: str) -> None:
        await self.two[self.acting].ownership.keep()
        # Who acted before goes first: it may not know that it does not any more.
        for number in (1 - self.acting, self.acting):
            one = self.two[number]
            part = one.parts["prod"]
            part.shown = dict(SHOWN[state])
            part.failing = {Component.SERVICES: Reason.TIMEOUT} if state == "unread" else {}
            before, at = len(one.closed), self.clock.now()
            found = await one.round()
            self.holds += [d for d in found if d.result is Result.HOLD]
            if len(one.closed) > before:
                right = state == "broken" and number == self.acting and not self.paused
                self.allowed.append(right and is_open(RULE.windows, at))


async def play(folder: Path, schedule: list[tuple[tuple[str, str], int]]) -> None:
    ledger = await Ledger.open(f"sqlite:///{folder}/medic.db")
    try:
        night = Night(ledger)
        for (what, how), seconds in schedule:
            night.clock.advance(seconds)
            await night.step(what, how)
        await judge(night)
    finally:
        await ledger.close()


async def judge(night: Night) -> None:
    operations = (await night.ledger.operations(limit=1000))[::-1]
    assert all(night.allowed)
    assert len(operations) == len(night.allowed)
    counted: list[datetime] = []
    last: datetime | None = None
    for operation in operations:
        at = operation.created_at
        assert last is None or at - last >= COOLDOWN
        assert sum(earlier > at - PER for earlier in counted) < MOST
        counted.append(at)
        last = max(at, operation.acted_at or at)
    for hold in night.holds:
        assert hold.reason is next(v.gate for v in hold.verdicts if v.holds)
    assert verify(await night.ledger.chain(limit=10_000), await night.ledger.head()) is None


@settings(max_examples=25, deadline=None)
@given(schedule=steps)
def test_no_schedule_breaks_a_promise(
    empty: Path, schedule: list[tuple[tuple[str, str], int]]
) -> None:
    """No limit exceeded, no cooldown cut short, nothing outside a window, in a pause, on what is
    unknown, or by who does not own it; one reason for every hold; the chain whole.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(empty, folder, dirs_exist_ok=True)
        asyncio.run(play(Path(folder), schedule))


def test_the_schedules_do_act(empty: Path, tmp_path: Path) -> None:
    """The proof above is not empty: a plain night of broken readings acts up to its limit."""
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    rounds = [(("round", "broken"), seconds) for seconds in (15, 45, 30, 130, 60) * 4]

    async def count() -> int:
        ledger = await Ledger.open(f"sqlite:///{tmp_path}/medic.db")
        night = Night(ledger)
        for (what, how), seconds in rounds:
            night.clock.advance(seconds)
            await night.step(what, how)
        await judge(night)
        await ledger.close()
        return len(night.allowed)

    assert asyncio.run(count()) == MOST
    assert ONE.name == "prod"
