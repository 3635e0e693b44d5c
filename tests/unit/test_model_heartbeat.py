"""How beats are named and when the next is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.heartbeat import (
    Beat,
    Ended,
    Heartbeat,
    beat_named,
    due,
    in_order,
    pause_after,
    prefix_of,
)
from exporter.model.phase import began

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WANT = Heartbeat("Heartbeat", "run", every=6 * HOUR, within=timedelta(seconds=30))

targets = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - made aware here
    lambda at: at.replace(tzinfo=UTC, microsecond=0)
)
intervals = st.integers(1, 7 * 86_400).map(lambda s: timedelta(seconds=s))


def ended(beat: Beat, *, at: datetime = NOW, bad: int = 0) -> Ended:
    return Ended(beat, "inv_1", at, 0.1, "boom" if bad else None, bad_in_a_row=bad)


@given(targets, moments, st.integers(0, 9999))
def test_a_name_says_which_beat_it_is(target: str, slot: datetime, attempt: int) -> None:
    """After a restart the names on the server are all there is to go by."""
    beat = Beat(slot, attempt)
    assert beat_named(beat.name(target), target) == beat
    assert beat.name(target).startswith(prefix_of(target))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "restate-medic-prod-",
        "restate-medic-prod-eu-20261121T120000Z",
        "restate-medic-prod-20261321T120000Z",
        "restate-medic-prod-20261121T120000Z-x",
        "order-1",
    ],
)
def test_what_is_no_beat_of_the_target_is_left_alone(name: str) -> None:
    """Another target's name may begin like ours, and users name things as they like."""
    assert beat_named(name, "prod") is None


@given(targets, moments, intervals, st.floats(0, 0.999))
def test_all_moments_of_an_interval_name_the_same_beat(
    target: str, now: datetime, every: timedelta, share: float
) -> None:
    """A restart, and a second instance, ask for the beat that is there."""
    slot = began(target, every, now=now)
    assert slot <= now < slot + every
    later = slot + (every - timedelta(microseconds=1)) * share
    assert began(target, every, now=later) == slot
    want = Heartbeat("H", "run", every, min(every, timedelta(seconds=30)))
    assert due(want, target, None, now=now) == due(want, target, None, now=later) == Beat(slot)


@given(moments, st.integers(0, 40), st.integers(0, 20 * 3600))
def test_no_name_is_used_twice(now: datetime, bad: int, seconds: int) -> None:
    """Whatever came before, and whichever way the clock was set: a beat that is due is new."""
    last = ended(Beat(began("t", WANT.every, now=now), 3), at=now, bad=bad)
    for at in (now + timedelta(seconds=seconds), now - timedelta(seconds=seconds)):
        beat = due(WANT, "t", last, now=at)
        assert beat is None or beat > last.beat
        if beat is not None and not bad:
            assert beat.slot > last.beat.slot
            assert at >= beat.slot


def test_after_a_bad_beat_the_next_comes_sooner_and_less_and_less_often() -> None:
    """A repair is seen soon, and a service that stays broken is not flooded."""
    pauses = [pause_after(WANT, count) for count in range(1, 12)]
    assert pauses[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert pauses[-1] == WANT.every
    slot = began("t", WANT.every, now=NOW)
    last = ended(Beat(slot), bad=1)
    assert due(WANT, "t", last, now=NOW + timedelta(seconds=59)) is None
    assert due(WANT, "t", last, now=NOW + timedelta(seconds=60)) == Beat(slot, 1)


def test_bad_beats_are_counted_from_the_last_good_one() -> None:
    """Names tell their order, whatever order the server lists them in."""
    beats = [Beat(NOW, n) for n in range(4)]
    told = in_order(
        Ended(b, f"inv_{n}", NOW, 1.0, None if n == 1 else "boom", late=n == 1)
        for n, b in reversed(list(enumerate(beats)))
    )
    assert [(one.beat, one.bad_in_a_row) for one in told] == list(
        zip(beats, (1, 2, 3, 4), strict=True)
    )
    good = in_order(
        [Ended(beats[0], "inv_0", NOW, 1.0, "boom"), Ended(beats[1], "inv_1", NOW, 1.0)]
    )
    assert [one.bad_in_a_row for one in good] == [1, 0]
