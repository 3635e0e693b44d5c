"""When rounds run: fixed intervals and phases, early rounds on demand, and a watchdog.

APScheduler keeps the clock; this module tells it what to run, counts what it skipped, and notices
on a monotonic clock when a schedule has stalled (a wall clock that was set back stalls
APScheduler's jobs for as long, library-facts).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter.model.component import Component
from exporter.model.phase import phase_seconds
from exporter.model.target import Target

_WATCHDOG_SECONDS = 2.0
_STALLED_AFTER_INTERVALS = 2
_STALLED_GRACE_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class RunRound(Protocol):
    """Runs one round of a target; ``woken`` when it was asked for rather than on schedule."""

    async def __call__(self, target: str, components: frozenset[Component], *, woken: bool) -> None:
        """Read these components, and do what follows from them."""


@dataclass(slots=True)
class _Lane:
    """The components of one target that share an interval: one job."""

    target: Target
    components: frozenset[Component]
    interval: timedelta
    began: float = field(default_factory=time.monotonic)
    """When its newest round began, on the monotonic clock."""
    running: bool = False
    """A round that runs is slow, not stalled."""
    overlaps: int = 0
    """Rounds since then that were left out because that one was still running."""

    @property
    def id(self) -> str:
        return f"{self.target.name}/{self.interval.total_seconds():g}s"


class Schedule:
    """Runs ``run_round(target, components)`` for every target, on time and when woken."""

    def __init__(
        self,
        run_round: RunRound,
        *,
        on_lag: Callable[[float], None] = lambda _seconds: None,
        on_skipped: Callable[[str], None] = lambda _reason: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_round = run_round
        self._on_lag = on_lag
        self._on_skipped = on_skipped
        self._monotonic = monotonic
        self._lanes: dict[str, _Lane] = {}
        self._woken: dict[str, set[Component]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticks: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self._watchdog: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._overlapped, EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        """Start ticking; call within the event loop."""
        self._scheduler.start()
        self._watchdog = asyncio.ensure_future(self._watch())

    def set_targets(self, targets: Iterable[Target]) -> None:
        """Schedule exactly these targets. A new or changed one is read completely right away."""
        wanted = {lane.id: lane for target in targets for lane in _lanes(target)}
        for lane_id in self._lanes.keys() - wanted.keys():
            self._scheduler.remove_job(lane_id)
            del self._lanes[lane_id]
        fresh: dict[str, set[Component]] = {}
        for lane_id, lane in wanted.items():
            known = self._lanes.get(lane_id)
            if known is not None and known.target == lane.target:
                continue
            lane.began = self._monotonic()
            self._lanes[lane_id] = lane
            self._add(lane)
            fresh.setdefault(lane.target.name, set()).update(lane.components)
        for name, components in fresh.items():
            self.wake(name, components)

    def wake(self, target: str, components: Iterable[Component]) -> None:
        """Read these components of a target as soon as possible, beside the schedule.

        Wakes that come while a woken round of the target runs are joined into the next one.
        """
        if self._stopped:
            return
        running = target in self._woken
        self._woken.setdefault(target, set()).update(components)
        if not running:
            self._spawn(self._run_woken(target))

    async def stop(self) -> None:
        """End the schedule and its rounds, which only read; when it returns no task is left."""
        self._stopped = True
        if self._scheduler.running:
            self._scheduler.pause()
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._tasks.add(self._watchdog)
        for task in self._tasks:
            task.cancel()
        # A tick ends by itself after its round; APScheduler would log its cancellation as an error.
        await asyncio.gather(*self._tasks, *self._ticks, return_exceptions=True)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # it happens in the loop's next turn

    def _add(self, lane: _Lane) -> None:
        first = next_round(lane.target.name, lane.interval, now=datetime.now(UTC))
        self._scheduler.add_job(
            self._tick,
            IntervalTrigger(seconds=lane.interval.total_seconds(), start_date=first, timezone=UTC),
            args=[lane.id],
            id=lane.id,
            replace_existing=True,
        )

    async def _tick(self, lane_id: str) -> None:
        lane = self._lanes.get(lane_id)
        if lane is None or self._stopped:
            return
        now, interval = self._monotonic(), lane.interval.total_seconds()
        elapsed = now - lane.began
        missed = max(int(elapsed // interval) - 1 - lane.overlaps, 0)
        lane.began, lane.overlaps = now, 0
        self._on_lag(max(elapsed - interval, 0.0))
        for _ in range(missed):  # APScheduler joins what fell due meanwhile, and does not tell
            self._skipped("missed", lane)
        tick = asyncio.current_task()
        if tick is not None:
            self._ticks.add(tick)
            tick.add_done_callback(self._ticks.discard)
        lane.running = True
        try:
            await asyncio.wait({self._spawn(self._guarded(lane.target.name, lane.components))})
        finally:
            lane.running = False

    async def _run_woken(self, target: str) -> None:
        try:
            while components := self._woken.get(target):
                self._woken[target] = set()
                await self._guarded(target, frozenset(components), woken=True)
        finally:
            self._woken.pop(target, None)

    async def _guarded(
        self, target: str, components: frozenset[Component], *, woken: bool = False
    ) -> None:
        try:
            await self._run_round(target, components, woken=woken)
        except Exception:  # noqa: BLE001 - the next round must come all the same
            _log.exception("round.crashed", target=target)
            self._on_skipped("crashed")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _overlapped(self, event: JobEvent) -> None:
        lane = self._lanes.get(event.job_id)
        if lane is not None:
            lane.overlaps += 1
            self._skipped("overlap", lane)

    def _skipped(self, reason: str, lane: _Lane) -> None:
        _log.warning("round.skipped", job=lane.id, reason=reason)
        self._on_skipped(reason)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCHDOG_SECONDS)
            self.check_stalled()

    def check_stalled(self) -> None:
        """Reschedule every lane that has not begun a round for two intervals and five seconds."""
        now = self._monotonic()
        for lane in self._lanes.values():
            limit = _STALLED_AFTER_INTERVALS * lane.interval.total_seconds()
            if not lane.running and now - lane.began > limit + _STALLED_GRACE_SECONDS:
                _log.warning("schedule.stalled", job=lane.id, seconds=round(now - lane.began, 1))
                self._on_skipped("stalled")
                lane.began, lane.overlaps = now, 0
                self._add(lane)
                self.wake(lane.target.name, lane.components)


def next_round(name: str, interval: timedelta, *, now: datetime) -> datetime:
    """When a target's next round is due: where its phase falls in the intervals since 1970."""
    seconds = interval.total_seconds()
    wait = (phase_seconds(name, seconds) - now.timestamp()) % seconds
    return now + timedelta(seconds=wait)


def _lanes(target: Target) -> list[_Lane]:
    by_interval: dict[timedelta, set[Component]] = {}
    for component, interval in target.intervals.items():
        by_interval.setdefault(interval, set()).add(component)
    return [_Lane(target, frozenset(cs), interval) for interval, cs in by_interval.items()]
