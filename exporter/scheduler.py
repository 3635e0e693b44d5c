"""When rounds run: fixed intervals and phases, early rounds on demand, and a watchdog.

APScheduler keeps the clock; this module tells it what to run, counts what it skipped, and notices
on a monotonic clock when a schedule has stalled (a wall clock that was set back stalls
APScheduler's jobs for as long, library-facts).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter.model.component import Component
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
        self._watchdog: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(
            lambda event: self._skipped("overlap", event), EVENT_JOB_MAX_INSTANCES
        )
        self._scheduler.add_listener(lambda event: self._skipped("missed", event), EVENT_JOB_MISSED)

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
        running = target in self._woken
        self._woken.setdefault(target, set()).update(components)
        if not running:
            self._spawn(self._run_woken(target))

    async def stop(self) -> None:
        """Stop ticking and wait for running rounds; cancels nothing that writes."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._scheduler.running:
            self._scheduler.pause()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _add(self, lane: _Lane) -> None:
        interval = lane.interval.total_seconds()
        first = datetime.now(UTC) + timedelta(seconds=phase_seconds(lane.target.name, interval))
        self._scheduler.add_job(
            self._tick,
            IntervalTrigger(seconds=interval, start_date=first, timezone=UTC),
            args=[lane.id],
            id=lane.id,
            replace_existing=True,
        )

    async def _tick(self, lane_id: str) -> None:
        lane = self._lanes.get(lane_id)
        if lane is None:
            return
        now = self._monotonic()
        late = now - lane.began - lane.interval.total_seconds()
        lane.began = now
        self._on_lag(max(late, 0.0))
        await self._guarded(lane.target.name, lane.components, woken=False)

    async def _run_woken(self, target: str) -> None:
        try:
            while components := self._woken.get(target):
                self._woken[target] = set()
                await self._guarded(target, frozenset(components), woken=True)
        finally:
            self._woken.pop(target, None)

    async def _guarded(self, target: str, components: frozenset[Component], *, woken: bool) -> None:
        try:
            await self._run_round(target, components, woken=woken)
        except Exception:  # noqa: BLE001 - the next round must come all the same
            _log.exception("round.crashed", target=target)
            self._on_skipped("crashed")

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _skipped(self, reason: str, event: JobEvent) -> None:
        _log.warning("round.skipped", job=event.job_id, reason=reason)
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
            if now - lane.began > limit + _STALLED_GRACE_SECONDS:
                _log.warning("schedule.stalled", job=lane.id, seconds=round(now - lane.began, 1))
                self._on_skipped("stalled")
                lane.began = now
                self._add(lane)
                self.wake(lane.target.name, lane.components)


def phase_seconds(name: str, interval_seconds: float) -> float:
    """Where in its interval a target's rounds fall: the same after every restart, spread evenly."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * interval_seconds


def _lanes(target: Target) -> list[_Lane]:
    by_interval: dict[timedelta, set[Component]] = {}
    for component, interval in target.intervals.items():
        by_interval.setdefault(interval, set()).add(component)
    return [_Lane(target, frozenset(cs), interval) for interval, cs in by_interval.items()]
