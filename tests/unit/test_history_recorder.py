"""Rounds become blocks: when one ends, what waits for the ledger, how much that may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from exporter.fleet import Fleet
from exporter.history import blocks
from exporter.history import recorder as module
from exporter.history.blocks import MOST_FRAMES, Snapshot, read_block
from exporter.history.frames import Memory, Noting, ProcessBlock, TargetBlock
from exporter.history.keeper import Keeper
from exporter.history.recorder import Recorder
from exporter.ledger.standing import Standing
from exporter.model.decision import Mode, Subject, Waiting
from exporter.model.errors import LedgerUnavailableError
from exporter.model.operation import Usage
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.world import OpenOperation, Refusal, World
from tests.unit.policy_scenes import NOW, ONE, policy, report, views

SECOND = timedelta(seconds=1)
OTHER = replace(ONE, name="other")
POLICIES = (policy("size(services.missing) > 0"),)


def no_usage(*_: object) -> Usage:
    return Usage()


@dataclass
class Shelf:
    """Keeps blocks, or not."""

    kept: dict[tuple[str, int], tuple[Snapshot, bytes]] = field(default_factory=dict)
    down: bool = False
    writing: asyncio.Event | None = None
    pruned: list[int] = field(default_factory=list)

    async def keep_history(self, blocks: Sequence[tuple[Snapshot, bytes]], /) -> None:
        if self.writing is not None:
            await self.writing.wait()
        if self.down:
            raise LedgerUnavailableError("locked")
        for snapshot, body in blocks:
            self.kept[snapshot.stream, snapshot.number] = snapshot, body

    async def prune_history(self, *, keep: timedelta, max_bytes: int, now: datetime) -> int:
        assert (keep, max_bytes, now) == (timedelta(days=7), 10**9, NOW)
        return self.pruned.pop()

    def of(self, stream: str) -> list[TargetBlock | ProcessBlock]:
        numbers = sorted(number for name, number in self.kept if name == stream)
        return [read_block(stream, "boot", self.kept[stream, n][1]) for n in numbers]

    def rounds(self, stream: str) -> list[datetime]:
        blocks = self.of(stream)
        return [f.at for block in blocks if isinstance(block, TargetBlock) for f in block.frames]


@dataclass
class Watch:
    """Rounds of some targets, a second apart, told to a recorder."""

    recorder: Recorder = field(default_factory=lambda: Recorder("boot"))
    fleet: Fleet = field(default_factory=Fleet)
    now: datetime = NOW
    world: World = field(default_factory=lambda: World(ledger_ok=True, usage=no_usage))
    policies: tuple[object, ...] = POLICIES
    targets: tuple[Target, ...] = (ONE, OTHER)
    offset: timedelta = timedelta(days=20_000)
    seq: int = 1
    waiting: dict[Subject, Waiting] = field(default_factory=dict)

    def round(self, target: Target = ONE, *, count: int = 1, noting: Noting = "") -> None:
        for _ in range(count):
            self.now += SECOND
            before = self.fleet.report(target.name)
            seen = report(views(target), at=self.now, target=target)
            after = self.fleet.merge(target, seen.readings.values(), now=self.now)
            self.recorder.round(
                before,
                after,
                self.waiting,
                self.world,
                policies=self.policies,  # type: ignore[arg-type]
                targets=self.targets,
                boot_offset=self.offset,
                seq=self.seq,
                noting=noting,
                memory=lambda: Memory(good_until={"prod": self.now}),
                now=self.now,
            )


async def test_what_was_recorded_is_read_back() -> None:
    """Every round, with what it rests on; what is the same for all is told once."""
    watch, shelf = Watch(), Shelf()
    mine, theirs = Subject("heal", "prod"), Subject("heal", "other")
    refusals = {mine: Refusal("a", "b", NOW), theirs: Refusal("c", "d", NOW)}
    watch.world = replace(
        watch.world, refusals=refusals, open_operations={"prod": OpenOperation("op_1", "x")}
    )
    watch.round(count=2)
    watch.round(OTHER, noting="failed")
    await watch.recorder.flush(shelf)
    (block,) = shelf.of("prod")
    assert isinstance(block, TargetBlock)
    assert block.opening.report == Report("prod")
    assert [frame.at - NOW for frame in block.frames] == [SECOND, 2 * SECOND]
    told = block.frames[0].circumstances
    assert (told.seq, told.ledger_ok, told.noting) == (1, True, "")
    assert told.refusals == {mine: Refusal("a", "b", NOW)}
    assert told.open_operations == {"prod": OpenOperation("op_1", "x")}
    (process,) = shelf.of("")
    assert isinstance(process, ProcessBlock)
    (change,) = process.changes
    assert change.backdrop.setting.policies == (POLICIES[0].text,)
    assert change.backdrop.setting.targets == (ONE, OTHER)
    assert change.memory == Memory(good_until={"prod": NOW + SECOND})
    (theirs_block,) = shelf.of("other")
    assert isinstance(theirs_block, TargetBlock)
    assert theirs_block.frames[0].circumstances.noting == "failed"
    ticks = [change.tick, *(f.tick for f in (*block.frames, *theirs_block.frames))]
    assert ticks == [1, 2, 3, 4]


async def test_a_block_ends_when_it_is_full() -> None:
    """The next one begins with what was remembered, so that it can be read alone."""
    watch, shelf = Watch(), Shelf()
    watch.round(count=MOST_FRAMES)
    last, watch.waiting = watch.fleet.report("prod"), {Subject("heal", "prod"): Waiting(NOW, {})}
    watch.round(count=2)
    await watch.recorder.flush(shelf)
    one, two = shelf.of("prod")
    assert isinstance(one, TargetBlock)
    assert isinstance(two, TargetBlock)
    assert (len(one.frames), len(two.frames)) == (MOST_FRAMES, 2)
    assert two.opening.waiting == watch.waiting
    at = {component: reading.started_at for component, reading in last.readings.items()}
    assert {c: r.started_at for c, r in two.opening.report.readings.items()} == at
    assert len(shelf.rounds("prod")) == len(set(shelf.rounds("prod"))) == MOST_FRAMES + 2


async def test_a_target_that_is_another_one_begins_a_block() -> None:
    """And all others learn it before their next round, since they are judged together."""
    watch, shelf = Watch(), Shelf()
    watch.round()
    watch.round(OTHER)
    watch.recorder.forget("prod")
    watch.fleet.forget("prod")
    watch.round(OTHER)
    watch.round()
    await watch.recorder.flush(shelf)
    assert [len(b.frames) for b in shelf.of("prod") if isinstance(b, TargetBlock)] == [1, 1]
    (process,) = shelf.of("")
    assert isinstance(process, ProcessBlock)
    assert [(change.tick, change.forgotten) for change in process.changes] == [
        (1, ()),
        (4, ("prod",)),
    ]


@pytest.mark.parametrize("why", ["stands-by", "disabled"])
async def test_what_is_not_ours_leaves_a_gap(why: str) -> None:
    """Then a new block begins, for every target and for all, with what is remembered by then."""
    watch, shelf = Watch(), Shelf()
    watch.round(count=2)
    watch.round(OTHER)
    if why == "disabled":
        watch.recorder.enabled = False
    else:
        watch.world = replace(watch.world, owned=False)
    watch.round(count=3)
    watch.recorder.enabled, watch.world = True, replace(watch.world, owned=True)
    watch.round()
    await watch.recorder.flush(shelf)
    assert [at - NOW for at in shelf.rounds("prod")] == [SECOND, 2 * SECOND, 7 * SECOND]
    assert [len(b.frames) for b in shelf.of("prod") if isinstance(b, TargetBlock)] == [2, 1]
    last = shelf.of("prod")[-1]
    assert isinstance(last, TargetBlock)
    began = {reading.started_at for reading in last.opening.report.readings.values()}
    assert began == {NOW + 6 * SECOND}
    _, again = shelf.of("")
    assert isinstance(again, ProcessBlock)
    assert again.changes[0].memory == Memory(good_until={"prod": watch.now})


async def test_a_change_of_what_all_rests_on_is_told_before_the_round() -> None:
    """Policies, targets, the highest mode, the clock; not a clock that is slewed a little."""
    watch, shelf = Watch(), Shelf()
    watch.round()
    watch.offset += timedelta(milliseconds=99)
    watch.round()
    watch.policies = (policy("size(services.missing) > 1"),)
    watch.round()
    watch.policies = (policy("size(services.missing) > 1"),)  # read anew, and the same
    watch.round()
    watch.offset += timedelta(hours=1)
    watch.round()
    watch.world = replace(watch.world, max_mode=Mode.OBSERVE)
    watch.round()
    await watch.recorder.flush(shelf)
    (process,) = shelf.of("")
    assert isinstance(process, ProcessBlock)
    assert [change.at - NOW for change in process.changes] == [n * SECOND for n in (1, 3, 5, 6)]
    assert process.changes[-1].backdrop.setting.max_mode is Mode.OBSERVE
    assert [change.memory is None for change in process.changes] == [False, True, True, True]


async def test_nothing_is_lost_while_the_ledger_cannot_be_written() -> None:
    """Neither what grows nor what was full by then; each round is written once it can be."""
    watch, shelf = Watch(), Shelf(down=True)
    for _ in range(3):
        watch.round(count=MOST_FRAMES // 2 + 1)
        with pytest.raises(LedgerUnavailableError):
            await watch.recorder.flush(shelf)
    shelf.down = False
    await watch.recorder.flush(shelf)
    count = 3 * (MOST_FRAMES // 2 + 1)
    assert [at - NOW for at in shelf.rounds("prod")] == [n * SECOND for n in range(1, count + 1)]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_block_that_ends_while_it_is_written_is_whole(fails: bool) -> None:
    """What came meanwhile is written the next time, whatever becomes of this one."""
    watch, shelf = Watch(), Shelf(down=fails, writing=asyncio.Event())
    watch.round(count=MOST_FRAMES - 1)
    flushing = asyncio.ensure_future(watch.recorder.flush(shelf))
    await asyncio.sleep(0)
    watch.round(count=3)
    assert shelf.writing is not None
    shelf.writing.set()
    await asyncio.gather(flushing, return_exceptions=True)
    shelf.down = False
    await watch.recorder.flush(shelf)
    assert len(shelf.rounds("prod")) == len(set(shelf.rounds("prod"))) == MOST_FRAMES + 2
    kept = dict(shelf.kept)
    await watch.recorder.flush(shelf)
    assert shelf.kept == kept


async def test_what_waits_for_the_ledger_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away for days costs the oldest rounds, which is told; not the memory."""
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    watch, shelf = Watch(), Shelf()
    with capture_logs() as logs:
        watch.round(count=6 * MOST_FRAMES)
    await watch.recorder.flush(shelf)
    assert len(shelf.rounds("prod")) == 4 * MOST_FRAMES
    assert shelf.rounds("prod")[-1] == watch.now
    assert [entry["event"] for entry in logs] == ["history.lost"] * 2


async def test_much_text_ends_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of errors, new at each reading, neither fill the memory nor are packed for ever."""
    monkeypatch.setattr(blocks, "MOST_CHARACTERS", 5_000)
    watch, shelf = Watch(), Shelf()
    watch.round(count=100)
    await watch.recorder.flush(shelf)
    kept = [snapshot for snapshot, _ in shelf.kept.values() if snapshot.stream]
    assert len(kept) > 1
    for one in kept:
        assert one.characters == len("".join((*one.objects, one.opening, *one.rows)))
        assert one.frames == 1 or one.characters - len(one.rows[-1]) < 5_000
    assert [at - NOW for at in shelf.rounds("prod")] == [n * SECOND for n in range(1, 101)]


async def test_the_text_of_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in an outage, when there is most to record, does not end in a full memory."""
    watch, shelf = Watch(), Shelf()
    watch.round(count=MOST_FRAMES)
    await watch.recorder.flush(shelf)
    ((whole, _),) = [one for (stream, _), one in shelf.kept.items() if stream]
    monkeypatch.setattr(module, "MOST_WAITING_CHARACTERS", int(2.5 * whole.characters))
    with capture_logs() as logs:
        watch.round(count=6 * MOST_FRAMES)
    assert watch.recorder.waiting == 2
    assert {entry["event"] for entry in logs} == {"history.lost"}
    shelf.kept.clear()
    await watch.recorder.flush(shelf)
    assert len(shelf.rounds("prod")) == 3 * MOST_FRAMES
    assert shelf.rounds("prod")[-1] == watch.now


async def test_what_was_written_needs_no_room_any_more() -> None:
    """Only blocks that grow are remembered, one a target."""
    watch, shelf = Watch(), Shelf()
    for _ in range(4):
        watch.round(count=MOST_FRAMES)
        await watch.recorder.flush(shelf)
    assert watch.recorder.waiting == 0


@dataclass
class Bounds:
    enabled: bool = True
    keep: timedelta = timedelta(days=7)
    max_bytes: int = 10**9
    write_every: timedelta = timedelta(seconds=30)


async def test_the_keeper_writes_when_it_is_time_and_when_it_stops() -> None:
    """As often as is configured by now; at the end what is left, if the ledger can be written."""
    bounds, shelf = Bounds(), Shelf()
    keeper = Keeper("boot", shelf=shelf, bounds=lambda: bounds, now=lambda: NOW)
    watch = Watch(recorder=keeper.recorder)
    watch.round()
    await keeper.keep_history()
    assert not shelf.kept
    bounds.write_every = timedelta(0)
    await keeper.keep_history()
    assert len(shelf.rounds("prod")) == 1
    watch.round()
    await keeper.stop()
    assert len(shelf.rounds("prod")) == 2
    shelf.down = True
    watch.round()
    await keeper.stop()
    bounds.enabled = False
    shelf.down = False
    await keeper.keep_history()
    watch.round()
    await keeper.keep_history()
    assert len(shelf.rounds("prod")) == 3


async def test_the_keeper_removes_until_nothing_is_left_to_remove() -> None:
    """A few blocks at a time."""
    shelf = Shelf(pruned=[0, 3, 50])
    await Keeper("boot", shelf=shelf, bounds=Bounds, now=lambda: NOW).prune_history()
    assert shelf.pruned == []


def test_a_standing_that_was_never_read_is_told_as_such() -> None:
    """-1, which no entry has."""
    assert Standing().seq == -1
