"""The heartbeat: what is wanted of it, how its invocations are named, and when the next is due.

Pure. A beat's name says which of the target's intervals it is of, so that a restart, or a second
restate-medic on the same target, starts no second one: Restate answers a name that it knows with
the invocation it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from exporter.model.phase import began

_STAMP = "%Y%m%dT%H%M%SZ"
_NAMED = re.compile(r"(?P<slot>\d{8}T\d{6}Z)(?:-(?P<attempt>\d{1,4}))?")
_SOONEST_AGAIN = timedelta(minutes=1)
_MOST_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Which handler is called, how often, and within what time it should have answered."""

    service: str
    handler: str
    every: timedelta
    within: timedelta


@dataclass(frozen=True, slots=True, order=True)
class Beat:
    """One invocation: the interval it is of, and the how manieth of that (0 unless one failed)."""

    slot: datetime
    attempt: int = 0

    def name(self, target: str) -> str:
        """Its idempotency key, or its key as a workflow: what may stand in a URL as it is."""
        again = f"-{self.attempt}" if self.attempt else ""
        return f"{prefix_of(target)}{self.slot:{_STAMP}}{again}"


def prefix_of(target: str) -> str:
    """What the names of all beats of a target begin with."""
    return f"restate-medic-{target}-"


def beat_named(name: str, target: str) -> Beat | None:
    """The beat of that name; None for what is none of this target's."""
    prefix = prefix_of(target)
    found = _NAMED.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
    if found is None:
        return None
    try:
        slot = datetime.strptime(found["slot"], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Beat(slot, int(found["attempt"] or 0))


@dataclass(frozen=True, slots=True)
class Ended:
    """A beat that has completed. ``failure`` is None when it succeeded."""

    beat: Beat
    id: str
    at: datetime
    seconds: float | None
    """From handing it in to its end; None when that is unknown."""
    failure: str | None = None
    late: bool = False
    bad_in_a_row: int = 0
    """How many failed or were late up to this one, which is one of them."""

    @property
    def bad(self) -> bool:
        """Whether it did not end as it should, or not in time."""
        return self.late or self.failure is not None


def in_order(ended: Iterable[Ended]) -> tuple[Ended, ...]:
    """The beats by name, the newest last, each with how many bad ones there were up to it."""
    told: list[Ended] = []
    for one in sorted(ended, key=lambda one: one.beat):
        before = told[-1].bad_in_a_row if told else 0
        told.append(replace(one, bad_in_a_row=before + 1 if one.bad else 0))
    return tuple(told)


def due(want: Heartbeat, target: str, last: Ended | None, *, now: datetime) -> Beat | None:
    """The beat to start now, when none is outstanding; None while it is too early.

    One a slot; after a bad one again after a minute, then twice as long each time, so that a
    repair is seen soon and a broken service is not flooded.
    """
    slot = began(target, want.every, now=now)
    if last is None or slot > last.beat.slot:
        return Beat(slot)
    if not last.bad_in_a_row or now < last.at + pause_after(want, last.bad_in_a_row):
        return None
    # A clock that was set back must not name a beat that is over.
    return Beat(last.beat.slot, last.beat.attempt + 1)


def pause_after(want: Heartbeat, bad_in_a_row: int) -> timedelta:
    """How long to wait after so many bad beats before the next."""
    first = max(_SOONEST_AGAIN, want.within)
    doublings = min(bad_in_a_row - 1, _MOST_DOUBLINGS)
    return min(first * (1 << doublings), want.every)


@dataclass(frozen=True, slots=True)
class HeartbeatView:
    """What is known of the heartbeat now. None is unknown."""

    late: bool
    """The newest beat took longer than it should, or is outstanding for longer."""
    seconds: float | None = None
    """How long the newest successful beat took, durably."""
    last_success_at: datetime | None = None
    outstanding_since: datetime | None = None
    invocation_id: str | None = None
    """Of the outstanding beat, else of the newest."""
