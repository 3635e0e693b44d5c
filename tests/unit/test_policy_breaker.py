"""Breakers: stopped after exactly its number, and closed only as it is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.policy.breaker import Breaker, Failure, Open, opened
from tests.unit.policy_scenes import NOW

HOUR = timedelta(hours=1)
MANUAL = Breaker(2, 24 * HOUR)
TIMED = Breaker(2, 24 * HOUR, HOUR)


def ago(hours: float, target: str = "prod") -> Failure:
    return Failure(NOW - hours * HOUR, "heal", target)


def look(
    rule: Breaker, here: Sequence[Failure] = (), all_: Sequence[Failure] = (), now: datetime = NOW
) -> Open | None:
    return opened(
        rule, policy="heal", target="prod", remedy="redeploy", here=here, of_policy=all_, now=now
    )


def test_it_opens_with_exactly_its_number() -> None:
    """One failure less is closed; what lies exactly a ``per`` apart does not count together."""
    assert look(MANUAL, [ago(1)]) is None
    assert look(MANUAL, [ago(1), ago(2)]) is not None
    assert look(MANUAL, [ago(1), ago(25)]) is None
    assert look(MANUAL, [ago(1), ago(24.9)]) is not None
    assert look(Breaker(1), [ago(1)]) is not None
    assert look(MANUAL) is None


def test_a_manual_one_stays_open_however_long_ago() -> None:
    """Time does not close it."""
    found = look(MANUAL, [ago(1000), ago(1001)])
    assert found is not None
    assert found.until is None
    assert "a person closes it with restate-medic breaker reset prod redeploy" in found.sentence


def test_a_timed_one_closes_by_itself_and_counts_anew() -> None:
    """It was opened by the last failure; after its time the next one is the first again."""
    rows = [ago(2), ago(1)]
    found = look(TIMED, rows, now=NOW - timedelta(minutes=1))
    assert found is not None
    assert found.until == NOW
    assert look(TIMED, rows) is None
    assert look(TIMED, [*rows, ago(0)]) is None
    assert look(TIMED, [*rows, ago(0.1), ago(0)]) is not None


def test_three_targets_stop_a_policy_everywhere() -> None:
    """It does not have to fail on each of a thousand; two open ones do not suffice."""
    two = [ago(h, t) for t in "ab" for h in (1, 2)]
    once = [ago(1, t) for t in "cdefg"]
    assert look(MANUAL, all_=[*two, *once]) is None
    found = look(MANUAL, all_=[*two, *once, ago(2, "c")])
    assert found is not None
    assert "a, b and c" in found.sentence
    assert "breaker reset --policy heal" in found.sentence


def test_a_timed_stop_everywhere_ends_when_less_than_three_are_open() -> None:
    """By the times of the single ones."""
    rows = [ago(h, t) for t, h in (("a", 0.1), ("b", 0.2), ("c", 0.3), ("d", 0.4))]
    found = look(Breaker(1, 24 * HOUR, HOUR), all_=rows)
    assert found is not None
    assert found.until == NOW - 0.3 * HOUR + HOUR - (0.0 * HOUR)


hours = st.lists(st.integers(0, 100), max_size=8)


@given(hours, st.integers(1, 4), st.integers(1, 48))
def test_a_manual_one_is_open_exactly_when_a_window_ever_held_its_number(
    ages: list[int], number: int, per: int
) -> None:
    """The oracle looks at every failure and counts back from it."""
    rows = [ago(h) for h in ages]
    windows = [sum(0 <= other - h < per for other in ages) for h in ages]
    found = look(Breaker(number, per * HOUR), rows)
    assert (found is not None) is any(count >= number for count in windows)


@given(hours, st.integers(1, 4), st.integers(1, 48), st.integers(1, 48))
def test_a_timed_one_is_never_open_longer_than_its_time(
    ages: list[int], number: int, per: int, reset: int
) -> None:
    """Nor where a manual one would be closed."""
    rows = [ago(h) for h in ages]
    found = look(Breaker(number, per * HOUR, reset * HOUR), rows)
    if found is not None:
        assert found.until is not None
        assert NOW < found.until <= NOW + reset * HOUR
        assert look(Breaker(number, per * HOUR), rows) is not None


@pytest.mark.parametrize("count", [3, 12])
def test_many_targets_are_told_shortly(count: int) -> None:
    """A sentence, not a list of a thousand names."""
    rows = [ago(h, f"target-{n}") for n in range(count) for h in (1, 2)]
    found = look(MANUAL, all_=rows)
    assert found is not None
    assert len(found.sentence) < 300
