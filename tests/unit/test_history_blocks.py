"""Rounds come back from a block frame by frame, exactly, in the order in which they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.history.blocks import MOST_FRAMES, BlockWriter, read_block
from exporter.history.frames import (
    Backdrop,
    Change,
    Circumstances,
    Frame,
    Memory,
    Opening,
    ProcessBlock,
    Setting,
    TargetBlock,
)
from exporter.model.component import Component
from exporter.model.decision import Mode, Subject, Waiting
from exporter.model.identity import Identity
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.policy.clock import Suspicion
from exporter.policy.world import OpenOperation, Refusal
from tests.unit.policy_scenes import NOW, ONE, report, views
from tests.unit.random_reports import readings, scenes, targets

SUBJECT = Subject("heal", "prod", "http://w1:9080/")
TARGET = Target("prod", intervals=ONE.intervals)
MEMORY = Memory(
    affected={"heal": frozenset({"prod"})},
    good_until={"prod": NOW},
    identities={"prod": Identity("c", frozenset({"dp_1", "dp_2"}))},
    changed={"prod": "none of the 2 known deployments is registered any more"},
    clock=Suspicion("the clock was set back by 1h", NOW),
)
steps = st.timedeltas(timedelta(hours=-2), timedelta(hours=2))
"""Also back: somebody set the clock."""
circumstances = st.builds(
    Circumstances,
    seq=st.integers(-1, 10**6),
    ledger_ok=st.booleans(),
    open_operations=st.sampled_from([{}, {"prod": OpenOperation("op_1", "force-redeploy")}]),
    refusals=st.sampled_from([{}, {SUBJECT: Refusal("unstable", "it changed", NOW)}]),
    noting=st.sampled_from(["", "busy", "failed"]),
)


@st.composite
def frames(draw: st.DrawFn) -> tuple[Frame, ...]:
    """Consecutive rounds, of which most see what the one before saw."""
    at, tick = draw(st.just(NOW)), 0
    target, found = draw(targets), []
    pool: dict[Component, Reading] = {}
    for _ in range(draw(st.integers(1, 6))):
        at += draw(steps)
        tick += draw(st.integers(1, 3))
        new = []
        for component in draw(st.sets(st.sampled_from(sorted(target.intervals)), max_size=3)):
            if component not in pool or draw(st.booleans()):
                pool[component] = draw(readings(target, component))
            began = at - draw(st.timedeltas(timedelta(0), timedelta(seconds=30)))
            took = draw(st.timedeltas(timedelta(0), timedelta(seconds=5)))
            latency = draw(st.none() | st.integers(0, 10**6).map(lambda n: n / 10_000))
            new.append(
                replace(
                    pool[component],
                    started_at=began,
                    finished_at=began + took,
                    latency_seconds=latency,
                )
            )
        found.append(Frame(at, tick, tuple(new), draw(circumstances)))
    return tuple(found)


def unmeasured(one: Any) -> Any:
    """Without how long the scan took, which differs each time and decides nothing."""
    if isinstance(one, Frame):
        return replace(one, readings=tuple(map(unmeasured, one.readings)))
    if isinstance(one, Report):
        return replace(one, readings={c: unmeasured(r) for c, r in one.readings.items()})
    if one.component is Component.INVOCATIONS and one.view is not None:
        return replace(one, view=replace(one.view, scan_seconds=0.0))
    return one


@given(scene=scenes(), rounds=frames())
@settings(max_examples=60)
def test_rounds_come_back_frame_by_frame(
    scene: tuple[Target, Report], rounds: tuple[Frame, ...]
) -> None:
    """Moments to the microsecond, readings, what each round knew; what was remembered before."""
    waiting = {SUBJECT: Waiting(NOW, {"services": (NOW, 2)}, "abc")}
    opening = Opening(scene[1], waiting)
    writer = BlockWriter("prod", "boot", 1, opening)
    for frame in rounds:
        writer.add_frame(frame)
    snapshot = writer.snapshot()
    assert (snapshot.began, snapshot.ended) == (rounds[0].at, rounds[-1].at)
    block = read_block("prod", "boot", snapshot.packed())
    assert isinstance(block, TargetBlock)
    assert block.frames == tuple(map(unmeasured, rounds))
    assert block.opening == Opening(unmeasured(scene[1]), waiting)
    assert (block.target, block.boot) == ("prod", "boot")


@given(
    moved=st.lists(
        st.tuples(steps, steps, st.sampled_from([(), ("prod",), ("a", "b")])),
        min_size=1,
        max_size=5,
    )
)
def test_changes_come_back(moved: list[tuple[timedelta, timedelta, tuple[str, ...]]]) -> None:
    """What all rounds rest on, and who was forgotten; the clock may be set under way."""
    at, changes = NOW, []
    for tick, (step, offset, forgotten) in enumerate(moved):
        at += step
        backdrop = Backdrop(Setting(("{}",), (), Mode.OBSERVE, (TARGET,)), None, offset)
        remembered = MEMORY if tick % 2 else None
        changes.append(Change(at, tick, backdrop, forgotten, remembered))
    writer = BlockWriter("", "boot", 1, None)
    for change in changes:
        writer.add_change(change)
    assert read_block("", "boot", writer.snapshot().packed()) == ProcessBlock(
        "boot", tuple(changes)
    )


def test_what_repeats_costs_a_few_bytes() -> None:
    """A round in which nothing is new but the moments."""
    writer, at = BlockWriter("prod", "boot", 1, Opening(Report("prod"))), NOW
    told = Circumstances(7, ledger_ok=True)
    sizes: list[int] = []
    components = len(views())
    while not writer.full:
        at += timedelta(seconds=15, milliseconds=len(sizes) % 7, microseconds=len(sizes) % 11)
        seen = report(views(), at=at - timedelta(milliseconds=20))
        writer.add_frame(Frame(at, len(sizes), tuple(seen.readings.values()), told))
        sizes.append(len(writer.snapshot().packed()))
    assert len(sizes) == MOST_FRAMES
    a_reading = (sizes[-1] - sizes[0]) / (MOST_FRAMES - 1) / components
    assert a_reading < 6
    assert isinstance(at, datetime)


def test_a_snapshot_stays_as_it_was() -> None:
    """It is packed in another thread while the block grows."""
    writer = BlockWriter("prod", "boot", 1, Opening(Report("prod")))
    told = Circumstances(7, ledger_ok=True)
    first = Frame(NOW, 1, tuple(report(views()).readings.values()), told)
    writer.add_frame(first)
    snapshot = writer.snapshot()
    writer.add_frame(Frame(NOW, 2, (), replace(told, seq=8)))
    block = read_block("prod", "boot", snapshot.packed())
    assert isinstance(block, TargetBlock)
    assert block.frames == (unmeasured(first),)
