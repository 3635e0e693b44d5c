"""Blocks as bytes: written while they grow, and read as a whole. Pure.

JSON, deflated: what repeats is stored once and referred to by number, moments are differences. A
reading that sees what the one before it saw costs a few bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.history.codec import Decoder, Encoder, Json, UnreadableError, text_of
from exporter.history.frames import (
    Backdrop,
    Block,
    Change,
    Circumstances,
    Frame,
    Opening,
    ProcessBlock,
    TargetBlock,
)
from exporter.model.component import Component
from exporter.model.report import Reading
from exporter.model.views import InvocationsView

VERSION = 1
MOST_FRAMES = 128
MOST_OBJECTS = 20_000
MOST_CHARACTERS = 2_000_000
"""Of a block's text: a growing one is in memory, and is packed and written again and again."""
_LEVEL = 6
_QUICK_LEVEL = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TENTHS = 10_000
"""Of a millisecond in a second: as exactly as a latency is kept."""
_UNREADABLE = (zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A block as it is now, safe to be packed in another thread."""

    stream: str
    """The target's name; empty for what is the same for all."""
    boot: str
    number: int
    began: datetime
    ended: datetime
    frames: int
    classes: tuple[tuple[str, tuple[str, ...]], ...]
    objects: tuple[str, ...]
    """These, ``opening`` and ``rows`` are JSON text."""
    opening: str
    rows: tuple[str, ...]
    characters: int = 0
    """How much text it is, about: what it needs in memory."""
    whole: bool = False
    """Whether it has ended; what grows is written again soon, and so only quickly deflated."""

    def packed(self) -> bytes:
        """Its body."""
        objects, rows = ",".join(self.objects), ",".join(self.rows)
        text = f"[{VERSION},{text_of(self.classes)},[{objects}],{self.opening},[{rows}]]"
        return zlib.compress(text.encode(), _LEVEL if self.whole else _QUICK_LEVEL)


class BlockWriter:
    """One block that grows."""

    def __init__(self, stream: str, boot: str, number: int, opening: Opening | None) -> None:
        self._stream, self._boot, self._number = stream, boot, number
        self._encoder = Encoder()
        self._opening = text_of(None if opening is None else self._open(opening))
        self._rows: list[str] = []
        self._row_characters = 0
        self._began: datetime | None = None
        self._ended = _EPOCH
        self._tick = 0
        self._last: Circumstances | Backdrop | None = None
        self._shapes: dict[Component, tuple[Reading, int]] = {}

    @property
    def full(self) -> bool:
        """Whether the next frame belongs into another block."""
        return (
            len(self._rows) >= MOST_FRAMES
            or len(self._encoder.objects) >= MOST_OBJECTS
            or self._characters >= MOST_CHARACTERS
        )

    @property
    def _characters(self) -> int:
        return self._encoder.characters + len(self._opening) + self._row_characters

    def add_frame(self, frame: Frame) -> None:
        """Add a round of a target."""
        readings = [self._reading(one, frame.at) for one in frame.readings]
        self._add(frame, frame.circumstances, readings)

    def add_change(self, change: Change) -> None:
        """Add a change of the backdrop."""
        self._add(change, change.backdrop, self._encoder.encode((change.forgotten, change.memory)))

    def snapshot(self, *, whole: bool = False) -> Snapshot:
        """What it holds now; ``whole`` when nothing more will come."""
        encoder = self._encoder
        return Snapshot(
            stream=self._stream,
            boot=self._boot,
            number=self._number,
            began=self._began or self._ended,
            ended=self._ended,
            frames=len(self._rows),
            classes=tuple((name, known) for name, (_, known) in encoder.classes.items()),
            objects=tuple(encoder.objects),
            opening=self._opening,
            rows=tuple(self._rows),
            characters=self._characters,
            whole=whole or self.full,
        )

    def _open(self, opening: Opening) -> Json:
        readings = [replace(one, view=_kept(one)) for one in opening.report.readings.values()]
        report = replace(opening.report, readings={one.component: one for one in readings})
        return [self._encoder.encode(report), self._encoder.encode(opening.waiting)]

    def _add(self, one: Frame | Change, about: Circumstances | Backdrop, more: Json) -> None:
        at, tick = one.at, one.tick
        step = (at - self._ended) // _MICROSECOND  # the first: since 1970
        if self._began is None:
            self._began = at
        row: list[Json] = [step, tick - self._tick, more]
        if about != self._last:
            self._last = about
            row.append(self._encoder.encode(about))
        text = text_of(row)
        self._rows.append(text)
        self._row_characters += len(text)
        self._ended, self._tick = at, tick

    def _reading(self, reading: Reading, at: datetime) -> Json:
        latency = reading.latency_seconds
        return [
            self._shape(reading),
            (at - reading.started_at) // _MICROSECOND,
            (reading.finished_at - reading.started_at) // _MICROSECOND,
            None if latency is None else round(latency * _TENTHS),
        ]

    def _shape(self, reading: Reading) -> int:
        """The number of what was read, whenever that was."""
        known = self._shapes.get(reading.component)
        view = _kept(reading)
        if known is not None and known[0].view == view:
            view = known[0].view  # compared once more below, and then at no cost
        shape = replace(
            reading, started_at=_EPOCH, finished_at=_EPOCH, latency_seconds=None, view=view
        )
        if known is not None and known[0] == shape:
            return known[1]
        number: int = self._encoder.encode(shape)["o"]
        self._shapes[reading.component] = shape, number
        return number


def _kept(reading: Reading) -> Any:  # noqa: ANN401 - any view, or none
    """Its view, without what differs each time and nobody decides by."""
    view = reading.view
    return replace(view, scan_seconds=0.0) if isinstance(view, InvocationsView) else view


def read_block(stream: str, boot: str, body: bytes) -> Block:
    """A block as it was written. UnreadableError says what cannot be told."""
    try:
        return _read(stream, boot, json.loads(zlib.decompress(body)))
    except UnreadableError:
        raise
    except _UNREADABLE as error:
        msg = f"it is damaged: {error}"
        raise UnreadableError(msg) from error


def _read(stream: str, boot: str, said: Json) -> Block:
    version, classes, objects, opening, rows = said
    if version != VERSION:
        msg = f"it is of version {version}, and this one reads version {VERSION}"
        raise UnreadableError(msg)
    decoder = Decoder(classes, objects)
    if not stream:
        return ProcessBlock(boot, tuple(_changes(decoder, rows)))
    report, waiting = (decoder.decode(one) for one in opening)
    return TargetBlock(stream, boot, Opening(report, waiting), tuple(_frames(decoder, rows)))


def _frames(decoder: Decoder, rows: Iterable[Json]) -> Iterable[Frame]:
    shapes: dict[int, Reading] = {}
    for at, tick, readings, told in _told(decoder, rows):
        found = tuple(_readings(decoder.decode, shapes, readings, at))
        yield Frame(at, tick, found, told)


def _told(decoder: Decoder, rows: Iterable[Json]) -> Iterable[tuple[datetime, int, Json, Any]]:
    """Each row's moment, place, content, and what it rests on: as the row before, or anew."""
    at, tick, told = _EPOCH, 0, None
    for step, further, content, *new in rows:
        at += timedelta(microseconds=step)
        tick += further
        if new:
            told = decoder.decode(new[0])
        if told is None:
            msg = "its first row does not tell what it rests on"
            raise UnreadableError(msg)
        yield at, tick, content, told


def _readings(
    decode: Callable[[Json], Any], shapes: dict[int, Reading], rows: Iterable[Json], at: datetime
) -> Iterable[Reading]:
    for number, before, took, latency in rows:
        if number not in shapes:
            shapes[number] = decode({"o": number})
        began = at - timedelta(microseconds=before)
        yield replace(
            shapes[number],
            started_at=began,
            finished_at=began + timedelta(microseconds=took),
            latency_seconds=None if latency is None else latency / _TENTHS,
        )


def _changes(decoder: Decoder, rows: Iterable[Json]) -> Iterable[Change]:
    for at, tick, content, told in _told(decoder, rows):
        yield Change(at, tick, told, *decoder.decode(content))
