"""What history costs: bytes a reading and for a week of one target, and how fast it is replayed.

A lively target, read as a daemon does by default (15 s, 60 s, 5 min): groups of work move all the
time, paused items come and go, a service is missing now and then, an ingress is down for a while.
Replayed with the shipped policies, in mode enforce. A day is measured and a week computed of it;
``python -m tests.benchmarks.history 7`` measures seven days.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from exporter.fleet import Fleet
from exporter.history.blocks import Snapshot
from exporter.history.recorder import Recorder
from exporter.ledger.archive import Archive
from exporter.ledger.echo import scratch_ledger
from exporter.model.component import Component
from exporter.model.decision import Mode
from exporter.model.derive import derive
from exporter.model.operation import Usage
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.model.views import InvocationGroup, InvocationItem, InvocationsView, ServicesView
from exporter.policy.decide import decide
from exporter.policy.load import load_policies
from exporter.policy.policy import Policy
from exporter.policy.world import World
from exporter.replay.recorded import moments
from exporter.replay.replay import Question, replay
from tests.benchmarks import synthetic

EVERY = timedelta(seconds=15)
DAYS = 7
AIM_MEGABYTES = 5.0
AIM_SECONDS = 60.0
_FLUSH_ROUNDS = 2
"""As a daemon does: every half minute."""
_SERVICES = ("Orders", "Mail", "Billing", "Signup", "Archive")


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """What was measured, on so many rounds of one target."""

    rounds: int
    readings: int
    size: int
    """Bytes in the ledger."""
    record_seconds: float
    """CPU of recording and packing, without reading."""
    read_seconds: float
    """CPU of reading it back, without deciding."""
    replay_seconds: float
    """CPU of a whole replay."""
    decide_seconds: float
    """CPU of deriving and deciding the same rounds alone, as a live round does."""
    deeds: int

    @property
    def weeks(self) -> float:
        """What to divide by, for a week."""
        return self.rounds * EVERY / timedelta(days=DAYS)


class Lively:
    """A target that works: what it shows at a moment, the same on each run."""

    def __init__(self) -> None:
        self.target = synthetic.target("prod", _SERVICES)
        self._random = random.Random(7)  # noqa: S311 - no secret
        self._views = synthetic.views(_SERVICES)
        self._groups: list[InvocationGroup] = []
        self._paused: list[InvocationItem] = []
        self._ids = 0

    def readings(self, at: datetime) -> Iterator[Reading]:
        """What is read at a moment: each component in its interval."""
        since = at - synthetic.START
        for component, interval in self.target.intervals.items():
            if since % interval < EVERY:
                yield self._reading(component, at, since)

    def _reading(self, component: Component, at: datetime, since: timedelta) -> Reading:
        chance = self._random.random
        if component is Component.INGRESS and timedelta(hours=5) <= since % _DAY < _OUTAGE:
            return synthetic.failure(self.target, component, at=at)
        view = self._views[component]
        if component is Component.INVOCATIONS:
            view = self._invocations(at)
        elif isinstance(view, ServicesView) and timedelta(hours=2) <= since % _DAY < _LOST:
            view = ServicesView(view.items[1:])
        began = at - timedelta(microseconds=int(5_000 + chance() * 40_000))
        took = timedelta(microseconds=int(1_000 + chance() * 9_000))
        made = synthetic.reading(self.target, component, view, began)
        return replace(made, finished_at=began + took, latency_seconds=took.total_seconds())

    def _invocations(self, at: datetime) -> InvocationsView:
        whole = self._views[Component.INVOCATIONS]
        assert isinstance(whole, InvocationsView)
        groups = self._groups or list(whole.groups)
        for number in range(len(groups)):
            if self._random.random() < 0.5:
                step = self._random.randint(-2, 3)
                moved = at - timedelta(seconds=self._random.randint(1, 300))
                groups[number] = replace(
                    groups[number],
                    count=max(groups[number].count + step, 1),
                    oldest_modified_at=moved,
                )
        self._groups = groups
        if self._random.random() < 0.1:
            self._paused.append(self._new(at))
        if self._paused and self._random.random() < 0.1:
            self._paused.pop(0)
        return replace(
            whole,
            groups=tuple(groups),
            paused=tuple(self._paused),
            scan_seconds=self._random.random() / 10,
        )

    def _new(self, at: datetime) -> InvocationItem:
        self._ids += 1
        return InvocationItem(
            id=f"inv_1{self._random.getrandbits(160):040x}",
            service="Orders",
            service_type="workflow",
            key=f"order-{self._ids}",
            handler="run",
            deployment_id="dp_new",
            created_at=at - timedelta(minutes=9),
            modified_at=at,
            retries=70,
            error_code="500",
            error="[500] the payment provider answered 503 Service Unavailable",
            paused_by="retries",
        )


_DAY = timedelta(days=1)
_OUTAGE = timedelta(hours=5, minutes=20)
_LOST = timedelta(hours=2, minutes=30)


class _Shelf:
    def __init__(self, engine: Engine) -> None:
        self._archive = Archive(engine)

    async def keep_history(self, blocks: Sequence[tuple[Snapshot, bytes]], /) -> None:
        self._archive.keep_history(blocks)

    async def prune_history(self, *, keep: timedelta, max_bytes: int, now: datetime) -> int:
        return self._archive.prune_history(keep=keep, max_bytes=max_bytes, now=now)


def shipped() -> tuple[Policy, ...]:
    """All of them, in mode enforce where that is possible."""
    found = load_policies([Path(__file__).parents[2] / "policies"])
    return tuple(replace(one, mode=Mode.ENFORCE) for one in found)


async def _record(engine: Engine, policies: tuple[Policy, ...], days: float) -> tuple[float, float]:
    """CPU seconds of recording, and of deriving and deciding the same rounds alone."""
    lively, fleet, recorder, shelf = Lively(), Fleet(), Recorder("boot"), _Shelf(engine)
    target, now, recording, deciding = lively.target, synthetic.START, 0.0, 0.0
    world = World(ledger_ok=True, usage=_no_usage)
    for number in range(int(days * _DAY / EVERY)):
        now += EVERY
        before = fleet.report(target.name)
        after = fleet.merge(target, tuple(lively.readings(now)), now=now)
        began = time.process_time()
        _round(recorder, before, after, policies, (target,), now)
        if number % _FLUSH_ROUNDS == 0:
            await recorder.flush(shelf)
        halfway = time.process_time()
        decide(policies, target, after, derive(after, target, now=now), world, now=now)
        deciding += time.process_time() - halfway
        recording += halfway - began
    await recorder.flush(shelf)
    return recording, deciding


def _round(
    recorder: Recorder,
    before: Report,
    after: Report,
    policies: tuple[Policy, ...],
    targets: tuple[Target, ...],
    now: datetime,
) -> None:
    recorder.round(
        before,
        after,
        {},
        World(ledger_ok=True, usage=_no_usage),
        policies=policies,
        targets=targets,
        boot_offset=timedelta(days=20_000),
        seq=1,
        now=now,
    )


def _no_usage(*_: object) -> Usage:
    return Usage()


def measure(days: float = 1) -> HistoryResult:
    """Record, read back and replay so many days of one target."""
    policies = shipped()
    with scratch_ledger() as engine:
        recording, deciding = asyncio.run(_record(engine, policies, days))
        archive = Archive(engine)
        size = sum(span[4] for span in archive.history_span().values())
        since, until = synthetic.START, synthetic.START + days * _DAY + EVERY
        began = time.process_time()
        for _ in moments(archive, ["prod"], since=since, until=until):
            pass
        reading = time.process_time() - began
        began = time.process_time()
        found = replay(Question(since, until, policies), engine)
        replaying = time.process_time() - began
    return HistoryResult(
        rounds=found.rounds,
        readings=found.readings,
        size=size,
        record_seconds=recording,
        read_seconds=reading,
        replay_seconds=replaying,
        decide_seconds=deciding,
        deeds=len(found.deeds),
    )


def main(days: float = 1) -> None:
    """Measure and print."""
    r = measure(days)
    week = r.size / r.weeks / 1e6
    print(f"history of one target, {r.rounds} rounds of 15 s, {r.readings} readings:")
    print(f"  in the ledger       {r.size / r.readings:8.1f} bytes a reading")
    print(f"  a week              {week:8.1f} MB (aim {AIM_MEGABYTES:g})")
    print(f"  recorded and packed {r.record_seconds * 1e6 / r.rounds:8.0f} us a round")
    print(f"  read back           {r.read_seconds * 1e6 / r.rounds:8.0f} us a round")
    print(f"  live decide alone   {r.decide_seconds * 1e6 / r.rounds:8.0f} us a round")
    ratio = r.replay_seconds / r.decide_seconds
    print(
        f"  replayed            {r.replay_seconds * 1e6 / r.rounds:8.0f} us a round,"
        f" {ratio:.1f} times as much, {r.deeds} deeds"
    )
    print(
        f"  replayed            {r.rounds / r.replay_seconds:8.0f} rounds/s,"
        f" {r.readings / r.replay_seconds:.0f} readings/s"
    )
    print(f"  a week replayed     {r.replay_seconds / r.weeks:8.1f} s (aim {AIM_SECONDS:g})")


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 1)
