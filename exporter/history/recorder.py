"""Collects what rounds saw and rested on, in blocks that are written to the ledger now and then.

A crash loses what was not written yet: less than a minute. The rounds themselves never wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from exporter.history.blocks import BlockWriter, Snapshot
from exporter.history.frames import (
    Backdrop,
    Change,
    Circumstances,
    Frame,
    Memory,
    Noting,
    Opening,
    Setting,
)
from exporter.model.component import Component
from exporter.model.decision import Mode, Subject, Waiting
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.policy.policy import Policy
from exporter.policy.world import World

MOST_WAITING = 2_000
MOST_WAITING_CHARACTERS = 64_000_000
"""Full blocks that wait for the ledger; beyond that the oldest are lost, and that is told."""
_STEADY = timedelta(milliseconds=100)
"""Clocks that differ by less run alike."""
_log = structlog.get_logger(__name__)


class Shelf(Protocol):
    """Where blocks are kept, such as ``Ledger``. LedgerUnavailableError when that is not now."""

    async def keep_history(self, blocks: Sequence[tuple[Snapshot, bytes]], /) -> None:
        """Write blocks; one that was written when it was smaller is replaced."""

    async def prune_history(self, *, keep: timedelta, max_bytes: int, now: datetime) -> int:
        """Remove a few of the oldest beyond this age or size; returns how many."""


class Recorder:
    """Used from one event loop. ``boot`` names this run of the daemon."""

    def __init__(self, boot: str) -> None:
        self.enabled = True
        self._boot = boot
        self._growing: dict[str, BlockWriter] = {}
        self._numbers: dict[str, int] = {}
        self._full: list[Snapshot] = []
        self._dirty: set[str] = set()
        self._recorded: dict[str, Mapping[Component, Reading]] = {}
        self._backdrop: Backdrop | None = None
        self._rests_on: tuple[object, ...] = ()
        self._forgotten: list[str] = []
        self._tick = 0

    @property
    def waiting(self) -> int:
        """How many full blocks wait to be written."""
        return len(self._full)

    def round(  # noqa: PLR0913 - all that a round rests on
        self,
        before: Report,
        report: Report,
        waiting: Mapping[Subject, Waiting],
        world: World,
        *,
        policies: tuple[Policy, ...],
        targets: tuple[Target, ...],
        boot_offset: timedelta,
        seq: int,
        noting: Noting = "",
        memory: Callable[[], Memory] = Memory,
        now: datetime,
    ) -> None:
        """Take in one round: the reports before and after it, and what its decisions rest on.

        ``memory`` is asked where recording begins.

        Only who acts for the targets records them; of a process that stands by there is a gap.
        """
        if not (self.enabled and world.owned):
            self._interrupt()
            return
        self._rest_on(policies, targets, world, boot_offset=boot_offset, memory=memory, now=now)
        target = report.target
        known = self._recorded.get(target)
        if known is None or target not in self._growing or self._growing[target].full:
            self._close(target)
            known = before.readings
        writer = self._writer(target, Opening(before, waiting))
        new = tuple(r for c, r in report.readings.items() if known.get(c) is not r)
        mine = {s: r for s, r in world.refusals.items() if s.target == target}
        told = Circumstances(seq, world.ledger_ok, dict(world.open_operations), mine, noting)
        writer.add_frame(Frame(now, self._next_tick(), new, told))
        self._recorded[target] = report.readings
        self._dirty.add(target)

    def forget(self, target: str) -> None:
        """What comes under this name from now on is another target: a block of its own."""
        self._close(target)
        self._recorded.pop(target, None)
        self._forgotten.append(target)

    async def flush(self, shelf: Shelf) -> None:
        """Write what is new. LedgerUnavailableError: it is kept, and written the next time."""
        if not self._dirty and not self._full:
            return
        growing = {stream: self._growing[stream].snapshot() for stream in self._dirty}
        snapshots = sorted([*self._full, *growing.values()], key=lambda one: one.number)
        self._dirty.clear()
        try:
            bodies = await asyncio.to_thread(lambda: [one.packed() for one in snapshots])
            await shelf.keep_history(tuple(zip(snapshots, bodies, strict=True)))
        except BaseException:
            for stream, snapshot in growing.items():
                if self._numbers[stream] == snapshot.number and stream in self._growing:
                    self._dirty.add(stream)
                elif not any(_same_block(one, snapshot) for one in self._full):
                    self._full.append(snapshot)  # otherwise it has grown since, and is there whole
            raise
        written = {id(one) for one in snapshots}
        self._full = [one for one in self._full if id(one) not in written]

    def _rest_on(
        self,
        policies: tuple[Policy, ...],
        targets: tuple[Target, ...],
        world: World,
        *,
        boot_offset: timedelta,
        memory: Callable[[], Memory],
        now: datetime,
    ) -> None:
        """Note what is the same for all targets when it changes."""
        before = self._backdrop
        if before is not None and abs(boot_offset - before.boot_offset) < _STEADY:
            boot_offset = before.boot_offset
        same = (policies, targets, world.max_mode, world.alarms, boot_offset)
        known = self._rests_on and all(a is b for a, b in zip(same, self._rests_on, strict=True))
        if known and not self._forgotten:
            return
        self._rests_on = same
        setting = self._setting(policies, targets, world.max_mode)
        self._backdrop = Backdrop(setting, world.alarms, boot_offset)
        if self._backdrop != before or self._forgotten:
            gone, self._forgotten = tuple(self._forgotten), []
            begins = memory() if before is None else None
            change = Change(now, self._next_tick(), self._backdrop, gone, begins)
            self._writer("", None).add_change(change)
            self._dirty.add("")

    def _next_tick(self) -> int:
        self._tick += 1
        return self._tick

    def _interrupt(self) -> None:
        for stream in tuple(self._growing):
            self._close(stream)
        self._backdrop, self._rests_on, self._forgotten = None, (), []
        self._recorded.clear()

    def _setting(
        self, policies: tuple[Policy, ...], targets: tuple[Target, ...], max_mode: Mode
    ) -> Setting:
        windows = policies[0].budget.windows if policies else ()
        limits = tuple(one for one in windows if one.scope == "global")
        setting = Setting(tuple(one.text for one in policies), limits, max_mode, targets)
        known = self._backdrop.setting if self._backdrop else None
        return known if known == setting else setting

    def _writer(self, stream: str, opening: Opening | None) -> BlockWriter:
        writer = self._growing.get(stream)
        if writer is None or writer.full:
            self._close(stream)
            number = self._numbers.get(stream, 0) + 1
            self._numbers[stream] = number
            writer = self._growing[stream] = BlockWriter(stream, self._boot, number, opening)
        return writer

    def _close(self, stream: str) -> None:
        writer = self._growing.pop(stream, None)
        if writer is None or stream not in self._dirty:
            return
        self._dirty.discard(stream)
        self._full.append(writer.snapshot(whole=True))
        while len(self._full) > MOST_WAITING or (
            len(self._full) > 1
            and sum(one.characters for one in self._full) > MOST_WAITING_CHARACTERS
        ):
            lost = self._full.pop(0)
            _log.warning("history.lost", target=lost.stream, since=lost.began.isoformat())


def _same_block(one: Snapshot, other: Snapshot) -> bool:
    return (one.stream, one.number) == (other.stream, other.number)
