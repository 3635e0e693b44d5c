"""History in the order in which it happened, read from the ledger block by block."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from exporter.history.blocks import read_block
from exporter.history.codec import UnreadableError
from exporter.history.frames import Block, Change, Frame, Opening, ProcessBlock
from exporter.ledger.archive import Archive, Stored
from exporter.model.errors import MedicError


class HistoryUnreadableError(MedicError):
    """A block of history cannot be read: which one, and why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that was recorded: a round of a target, or a change of what all rounds rest on."""

    at: datetime
    boot: str
    change: Change | None = None
    target: str = ""
    frame: Frame | None = None
    opening: Opening | None = None
    """With the first frame of a block: what was remembered before it."""

    def __lt__(self, other: Moment) -> bool:
        """Whether it was before: in one run by its place there, else by the clock."""
        if self.boot == other.boot:
            return self.tick < other.tick
        return self.at < other.at

    @property
    def tick(self) -> int:
        """Its place in its run."""
        one = self.change if self.frame is None else self.frame
        return 0 if one is None else one.tick


def moments(
    archive: Archive, targets: Iterable[str], *, since: datetime, until: datetime
) -> Iterator[Moment]:
    """Everything recorded of these targets that reaches into a time, oldest first.

    Blocks begin earlier than asked for: their first frames are only there to be remembered.
    HistoryUnreadableError for a block that is damaged or of another version.
    """
    streams = [_changes(archive, since, until)]
    streams += [_rounds(archive, target, since, until) for target in targets]
    return heapq.merge(*streams)


def _changes(archive: Archive, since: datetime, until: datetime) -> Iterator[Moment]:
    for stored in _blocks(archive, "", since, until):
        block = _read(stored)
        if isinstance(block, ProcessBlock):
            for change in block.changes:
                yield Moment(change.at, block.boot, change=change)


def _rounds(archive: Archive, target: str, since: datetime, until: datetime) -> Iterator[Moment]:
    for stored in _blocks(archive, target, since, until):
        block = _read(stored)
        if not isinstance(block, ProcessBlock):
            opening: Opening | None = block.opening
            for frame in block.frames:
                yield Moment(frame.at, block.boot, target=target, frame=frame, opening=opening)
                opening = None


def _blocks(archive: Archive, stream: str, since: datetime, until: datetime) -> Iterator[Stored]:
    after, page = 0, 4
    while blocks := archive.history(
        stream=stream, since=since, until=until, after=after, limit=page
    ):
        yield from blocks
        after = blocks[-1].id


def _read(stored: Stored) -> Block:
    try:
        return read_block(stored.stream, stored.boot, stored.body)
    except UnreadableError as error:
        of = f" of {stored.stream}" if stored.stream else ""
        msg = f"history{of} since {stored.began:%Y-%m-%d %H:%M:%SZ} cannot be read: {error}"
        raise HistoryUnreadableError(msg) from error
