"""When a remedy that does not help is stopped. Pure: failures, a rule and ``now`` in.

What counts as a failure, and what a person has reset, is the ledger's to say.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from exporter.policy.words import listing

FLEET = 3
"""Targets on which a policy's breaker is open before the policy is stopped everywhere."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Open after ``failed`` failures within ``per``, until a person resets it, or for ``reset``."""

    failed: int = 2
    per: timedelta = timedelta(hours=24)
    reset: timedelta | None = None
    """None: only a person closes it."""


class Failure(NamedTuple):
    """One operation of a policy that ended badly."""

    at: datetime
    policy: str
    target: str


class Open(NamedTuple):
    """A breaker that is open, in words, and when it closes by itself (None: never)."""

    sentence: str
    until: datetime | None
    everywhere: bool = False
    """Whether it is the policy's own, which stops it on every target."""


class _Trip(NamedTuple):
    at: datetime
    times: int
    until: datetime | None


def opened(
    breaker: Breaker,
    *,
    policy: str,
    target: str,
    remedy: str,
    here: Iterable[Failure],
    of_policy: Iterable[Failure],
    now: datetime,
) -> Open | None:
    """Why a policy may not use its remedy on a target any more; None when it may.

    ``here`` are the failures of the remedy on the target, every policy's; ``of_policy`` the
    policy's own on all targets. A person's reset leaves out what came before it.
    """
    trip = _tripped(breaker, here, now)
    if trip is not None:
        mend = f"restate-medic breaker reset {target} {remedy}"
        what = f"{remedy} failed {_times(trip.times)} on this target, last at {_moment(trip.at)}"
        return Open(f"{what}; {_closes(trip.until, mend)}", trip.until)
    return _everywhere(breaker, policy, of_policy, now)


def _everywhere(
    breaker: Breaker, policy: str, failures: Iterable[Failure], now: datetime
) -> Open | None:
    by_target: defaultdict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        by_target[failure.target].append(failure)
    if len(by_target) < FLEET:
        return None
    trips = {t: trip for t, rows in by_target.items() if (trip := _tripped(breaker, rows, now))}
    if len(trips) < FLEET:
        return None
    ends = sorted(t.until or datetime.max.replace(tzinfo=UTC) for t in trips.values())
    until = None if breaker.reset is None else ends[-FLEET]
    mend = f"restate-medic breaker reset --policy {policy}"
    what = f"the policy's breaker is open on {listing(sorted(trips), 'and')}, so it is everywhere"
    return Open(f"{what}; {_closes(until, mend)}", until, everywhere=True)


def _tripped(breaker: Breaker, failures: Iterable[Failure], now: datetime) -> _Trip | None:
    """The trip that holds now. A failure exactly ``per`` before another no longer counts."""
    moments = sorted(failure.at for failure in failures)
    recent: deque[datetime] = deque()
    trip: datetime | None = None
    for at in moments:
        recent.append(at)
        while recent[0] <= at - breaker.per:
            recent.popleft()
        if len(recent) >= breaker.failed:
            trip = at
            if breaker.reset is not None:
                recent.clear()
    if trip is None:
        return None
    if breaker.reset is None:
        return _Trip(moments[-1], len(moments), None)
    until = trip + breaker.reset
    return _Trip(trip, len(moments), until) if now < until else None


def _closes(until: datetime | None, mend: str) -> str:
    by_itself = f"it closes at {_moment(until)}, or with" if until else "a person closes it with"
    return f"{by_itself} {mend}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
