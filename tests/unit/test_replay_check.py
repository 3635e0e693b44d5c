"""What whole rounds decided comes out of their history again, whatever happened in between.

The same on real servers, with crashes and reloads, is in ``tests/integration/test_replay.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.history import blocks
from exporter.history.recorder import Recorder
from exporter.ledger.engine import connect, ledger_url
from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Result, Subject
from exporter.model.errors import RefusedError
from exporter.model.hold import HoldReason
from exporter.policy.alarms import Alarms, Alert, Heard
from exporter.replay.check import Compared, compare
from tests.unit.fakes import by_person, ledger_at, locked
from tests.unit.policy_scenes import ONE, TWO, policy, views
from tests.unit.shift import Shift

MINUTE = timedelta(minutes=1)
OTHER = replace(TWO, name="other")
QUICK = {"cooldown": "30s", "limits": "[{scope: target, max: 2, per: 5m}]"}
POLICIES = (
    policy(name="heal", **{**QUICK, "for": "20s"}),
    policy(name="items", **QUICK, for_each="workers", when="size(item.missing) > 0"),
    policy(name="ask", **QUICK, mode="approve", when="size(services.missing) > 0"),
    policy(name="careful", **QUICK, more="storm: {max_unhealthy: 10%}"),
    policy(name="quiet", **QUICK, more="block_on_alerts: ['alertname=\"Deploy\"']"),
)
CHANGED = (POLICIES[0], policy(name="items", **{**QUICK, "cooldown": "31s"}))


@dataclass
class Life:
    """Rounds of two targets, and what happens between them."""

    shift: Shift
    folder: Path
    runs: int = 1
    rounds: int = 0
    theirs: int = 0
    """Notes by somebody else."""

    async def happen(self, what: str) -> None:
        await _HAPPENINGS[what](self)

    async def round(self, *, lock: bool = False) -> None:
        for target in self.shift.targets:
            self.shift.clock.advance(5)
            if lock:
                await self.locked_round(target.name)
            else:
                await self.shift.round(target.name)

    async def locked_round(self, name: str) -> None:
        """One whose decisions cannot be noted."""
        await self.shift.ownership.keep()
        self.shift.keeps = False
        with locked(self.folder):
            await self.shift.round(name, settle=False)
        self.shift.keeps = True
        assert await self.shift.remediator.drain(5)

    async def show(self, *broken: str) -> None:
        """These targets lack services, the others are well."""
        for name, part in self.shift.parts.items():
            missing = ("Greeter", "Mailer") if name in broken else ()
            part.shown = dict(views(part.target, missing=missing))

    async def fail(self, reason: Reason | None) -> None:
        for part in self.shift.parts.values():
            part.failing = {} if reason is None else {Component.SERVICES: reason}

    async def set_clock(self, seconds: float) -> None:
        self.shift.clock.set(seconds)

    async def alarm(self) -> None:
        now = self.shift.clock.now()
        heard = Alert({"alertname": "Deploy", "target": "prod"}, now)
        self.shift.alarms = None if self.shift.alarms else Alarms(MINUTE, Heard(now, (heard,)))

    async def stand_by(self) -> None:
        """Lose the targets for a while to somebody who notes something; then something breaks."""
        await self.shift.ownership.release()
        self.shift.keeps = False
        await self.round()
        hold = Decision(Subject("heal", "prod"), Result.HOLD, HoldReason.SILENCED)
        now = self.shift.clock.now()
        self.theirs += len(await self.shift.ledger.note_changes([hold], now=now))
        await self.round()
        self.shift.keeps = True
        await self.show("prod")

    async def pause(self) -> None:
        now = self.shift.clock.now()
        await self.shift.ledger.pause("target", "prod", owner="mira", reason="x", now=now)

    async def unpause(self) -> None:
        now = self.shift.clock.now()
        ids = [pause.id for pause in self.shift.ledger.standing.orders.pauses]
        await self.shift.ledger.unpause(ids, actor="mira", now=now)

    async def person(self) -> None:
        now = self.shift.clock.now()
        await self.shift.ledger.refuse(by_person(target="other"), reason="x", message="y", now=now)

    async def answer(self, *, yes: bool) -> None:
        await self.shift.ledger.refresh()
        for plan in self.shift.ledger.standing.proposals[:1]:
            say = self.shift.ledger.approve if yes else self.shift.ledger.reject
            await say(plan.id, actor="mira", reason="", now=self.shift.clock.now())

    async def forget(self) -> None:
        await self.show("other")
        self.shift.clock.advance(5)
        self.shift.fleet.forget("prod")
        self.shift.rounds.forget("prod")
        await self.shift.round("other")

    async def reload(self) -> None:
        self.shift.rules = POLICIES if self.shift.rules == CHANGED else CHANGED

    async def refuse(self) -> None:
        remedy = self.shift.remedy
        remedy.refusal = None if remedy.refusal else RefusedError("unstable", "it changed")

    async def restart(self) -> None:
        """Another process goes on: what was in memory is gone."""
        old = self.shift
        assert old.recorder is not None
        await old.recorder.flush(old.ledger)
        await old.ownership.release()
        self.runs += 1
        self.shift = Shift(
            old.ledger,
            old.rules,
            old.targets,
            clock=old.clock,
            owner=f"here:{self.runs}:abc",
            remedy=old.remedy,
            recorder=Recorder(f"here:{self.runs}:abc"),
        )

    async def restart_late(self) -> None:
        """It stands by at first, and so what it remembers then is not recorded."""
        await self.restart()
        self.shift.keeps = False
        await self.show()
        await self.round()
        self.shift.keeps = True
        await self.show("prod")


_HAPPENINGS: dict[str, Callable[[Life], Awaitable[None]]] = {
    "round": Life.round,
    "locked": lambda it: it.round(lock=True),
    "broken": lambda it: it.show("prod"),
    "all broken": lambda it: it.show("prod", "other"),
    "well": Life.show,
    "unreadable": lambda it: it.fail(Reason.TIMEOUT),
    "readable": lambda it: it.fail(None),
    "an hour forward": lambda it: it.set_clock(3_600),
    "an hour back": lambda it: it.set_clock(-3_600),
    "minutes": lambda it: it.shift.clock.sleep(400),
    "alarm": Life.alarm,
    "stand by": Life.stand_by,
    "pause": Life.pause,
    "unpause": Life.unpause,
    "person": Life.person,
    "yes": lambda it: it.answer(yes=True),
    "no": lambda it: it.answer(yes=False),
    "forget": Life.forget,
    "reload": Life.reload,
    "refuse": Life.refuse,
    "restart": Life.restart,
    "restart late": Life.restart_late,
}


async def live(folder: Path, happenings: list[str]) -> tuple[int, Compared]:
    """Live it, a round after each happening, and compare all of it but what others noted."""
    async with ledger_at(folder) as ledger:
        recorder = Recorder("here:1:abc")
        shift = Shift(ledger, POLICIES, (ONE, OTHER), recorder=recorder)
        life = Life(shift, folder)
        for what in happenings:
            await life.happen(what)
            await life.round()
        assert life.shift.recorder is not None
        await life.shift.recorder.flush(ledger)
        engine = connect(ledger_url(f"sqlite:///{folder}/medic.db"))
        day = timedelta(days=1)
        now = life.shift.clock.now()
        found = compare(engine, since=now - day, until=now + day)
        engine.dispose()
        return life.theirs, found


@given(st.lists(st.sampled_from(sorted(_HAPPENINGS)), min_size=1, max_size=10))
@example(["broken", "round", "round", "locked", "round", "well", "locked", "round"])
@example(["broken", "round", "an hour back", "round", "minutes", "an hour forward", "round"])
@example(["broken", "round", "forget", "round", "round", "well", "forget", "round"])
@example(["refuse", "broken", "round", "round", "refuse", "minutes", "minutes", "round"])
@example(["well", "minutes", "forget", "round", "well", "minutes", "forget", "round"])
@example(["well", "minutes", "restart late", "round", "well", "minutes", "stand by", "round"])
@example(["broken", "round", "restart", "round", "stand by", "round", "round"])
@example(["broken", "round", "round", "round", "yes", "round", "no", "reload", "round"])
@settings(max_examples=25)
def test_what_rounds_decided_comes_out_again(happenings: list[str]) -> None:
    """Each note in its moment, none more and none less, and no round is left out."""
    with TemporaryDirectory() as folder:
        theirs, found = asyncio.run(live(Path(folder), happenings))
    assert found.differences == []
    assert found.unsettled == 0
    assert found.rounds >= len(happenings)
    assert len(found.unrecorded) == theirs


async def test_blocks_that_end_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third round begins another one here."""
    monkeypatch.setattr(blocks, "MOST_FRAMES", 3)
    parts = ["broken", *["round"] * 5, "yes", "well", "round", "broken", "minutes", *["round"] * 4]
    _, found = await live(tmp_path, parts)
    assert found.differences == []
    assert found.equal > 8
    assert found.unsettled == 0


async def test_where_the_beginning_is_gone_only_the_rest_is_compared(tmp_path: Path) -> None:
    """After ten minutes nothing matters that was only remembered."""
    async with ledger_at(tmp_path) as ledger:
        shift = Shift(ledger, POLICIES, (ONE, OTHER), recorder=Recorder("boot"))
        life = Life(shift, tmp_path)
        await life.show("prod")
        assert shift.recorder is not None
        for number in range(3 * blocks.MOST_FRAMES):
            await life.round()
            if number == blocks.MOST_FRAMES // 2:
                await life.show()
            if number == 2 * blocks.MOST_FRAMES:
                await life.show("prod")
        await shift.recorder.flush(ledger)
        middle = shift.clock.now() - timedelta(seconds=15) * blocks.MOST_FRAMES
        keep = shift.clock.now() - middle
        while await ledger.prune_history(keep=keep, max_bytes=10**9, now=shift.clock.now()):
            pass
        engine = connect(ledger_url(f"sqlite:///{tmp_path}/medic.db"))
        day = timedelta(days=1)
        found = compare(engine, since=middle - day, until=middle + day)
        engine.dispose()
    assert found.differences == []
    assert found.unsettled > 0
    assert found.equal > 0
