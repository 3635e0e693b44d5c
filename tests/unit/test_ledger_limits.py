"""Budgets: the one rule that gates and the reserving transaction share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.hold import HoldReason
from exporter.model.operation import Budget, Usage, Window
from exporter.policy.limits import exhausted, remaining

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NONE = timedelta(0)
Scope = Literal["item", "target", "policy", "global"]


def ago(*seconds: float) -> tuple[datetime, ...]:
    return tuple(sorted(NOW - timedelta(seconds=s) for s in seconds))


def limited(scope: Scope, most: int, per: timedelta | None = HOUR) -> Budget:
    return Budget(NONE, (Window(scope, most, per),))


def test_an_unused_budget_is_free() -> None:
    """Nothing was done yet: nothing holds."""
    budget = Budget(HOUR, (Window("target", 1, HOUR), Window("item", 1, None)))
    assert exhausted(budget, Usage(), now=NOW, items=("a",)) is None


def test_the_cooldown_ends_exactly() -> None:
    """A cooldown of an hour holds for an hour, not a microsecond longer."""
    budget = Budget(HOUR)
    last = NOW - HOUR
    assert exhausted(budget, Usage(last=last), now=NOW) is None
    found = exhausted(budget, Usage(last=last), now=NOW - timedelta(microseconds=1))
    assert found is not None
    assert (found.reason, found.until) == (HoldReason.COOLDOWN, NOW)
    assert "1h ends at 2026-03-01 03:00:00 UTC" in found.sentence


def test_a_window_slides_exactly() -> None:
    """An operation exactly ``per`` old no longer counts; the next fits when the oldest leaves."""
    usage = Usage(target=ago(3600, 1800, 60))
    assert exhausted(limited("target", 3), usage, now=NOW) is None
    found = exhausted(limited("target", 2), usage, now=NOW)
    assert found is not None
    reason, sentence, until = found
    assert reason is HoldReason.LIMIT_TARGET
    assert until == NOW + timedelta(seconds=1800)
    assert "limited to 2 within 1h; the next fits at 2026-03-01 03:30:00 UTC" in sentence


def test_moments_in_the_future_count() -> None:
    """A clock that was set back frees nothing."""
    future = Usage(target=ago(-7200), last=NOW + 2 * HOUR)
    assert exhausted(limited("target", 1), future, now=NOW) is not None
    found = exhausted(Budget(HOUR), future, now=NOW)
    assert found is not None
    assert found.until == NOW + 3 * HOUR


@pytest.mark.parametrize(("most", "word"), [(0, "never"), (2, "used up")])
def test_never_and_for_ever(most: int, word: str) -> None:
    """``max: 0`` is never, and a limit for ever does not open by itself."""
    usage = Usage(policy=ago(10**8, 10**7))
    found = exhausted(limited("policy", most, None), usage, now=NOW)
    assert found is not None
    assert (found.reason, found.until) == (HoldReason.LIMIT_POLICY, None)
    assert word in found.sentence
    assert exhausted(limited("policy", 3, None), usage, now=NOW) is None


def test_any_item_that_is_used_up_holds() -> None:
    """One operation over several items needs room for each of them; the full one is named."""
    usage = Usage(item={"a": ago(50), "b": ago(50, 40), "c": ago(30)})
    found = exhausted(limited("item", 2), usage, now=NOW, items=("a", "b", "new"))
    assert found is not None
    assert found.reason is HoldReason.LIMIT_ITEM
    assert "on b " in found.sentence
    assert exhausted(limited("item", 2), usage, now=NOW, items=("a", "c", "new")) is None


def test_a_secret_in_an_items_key_is_not_told() -> None:
    """Sentences are shown to people, so user info stays out of them."""
    found = exhausted(limited("item", 0), Usage(), now=NOW, items=("http://u:hunter2@w/",))
    assert found is not None
    assert "hunter2" not in found.sentence


def test_the_first_reason_in_order_is_told() -> None:
    """Cooldown, item, target, policy, everything: one reason, in the order of the gates."""
    scopes: list[Scope] = ["global", "policy", "target", "item"]
    windows = tuple(Window(scope, 0, HOUR) for scope in scopes)
    usage = Usage(last=NOW)
    expected = [
        HoldReason.LIMIT_ITEM,
        HoldReason.LIMIT_TARGET,
        HoldReason.LIMIT_POLICY,
        HoldReason.LIMIT_GLOBAL,
    ]
    for count, reason in enumerate(reversed(expected), start=1):
        found = exhausted(Budget(NONE, windows[:count]), usage, now=NOW, items=("a",))
        assert found is not None
        assert found.reason is reason
    found = exhausted(Budget(HOUR, windows), usage, now=NOW, items=("a",))
    assert found is not None
    assert found.reason is HoldReason.COOLDOWN


def test_of_several_full_windows_the_last_to_open_is_told() -> None:
    """Who waits until the time that was told can then act."""
    windows = (Window("target", 1, HOUR), Window("target", 2, 24 * HOUR), Window("target", 9, HOUR))
    usage = Usage(target=ago(600, 60))
    found = exhausted(Budget(NONE, windows), usage, now=NOW)
    assert found is not None
    assert found.until == NOW + 24 * HOUR - timedelta(seconds=600)
    assert exhausted(Budget(NONE, windows), usage, now=found.until) is None


def test_what_remains_is_the_scarcest() -> None:
    """The metric shows how many more fit: of several windows or items, the least."""
    windows = (
        Window("target", 5, HOUR),
        Window("target", 2, None),
        Window("item", 3, HOUR),
        Window("global", 1, HOUR),
    )
    usage = Usage(item={"a": ago(5), "b": ago(6, 5)}, target=ago(6, 5), everything=ago(9, 8, 7))
    budget = Budget(NONE, windows)
    left = remaining(budget, usage, now=NOW, items=("a", "b"))
    assert left == {"target": 0, "item": 1, "global": 0}
    assert "item" not in remaining(budget, usage, now=NOW)


@given(
    stamps=st.lists(st.integers(-100, 100), max_size=12),
    most=st.integers(0, 5),
    per=st.none() | st.integers(1, 90),
    later=st.integers(0, 300),
)
def test_counting_is_right_and_until_keeps_its_word(
    stamps: list[int], most: int, per: int | None, later: int
) -> None:
    """Full exactly when ``max`` moments count, and free again exactly at ``until``."""
    window = Window("target", most, None if per is None else timedelta(seconds=per))
    budget, usage = Budget(NONE, (window,)), Usage(target=ago(*stamps))
    counted = sum(per is None or s < per for s in stamps)
    found = exhausted(budget, usage, now=NOW)
    assert (found is not None) == (counted >= most)
    assert remaining(budget, usage, now=NOW) == {"target": max(most - counted, 0)}
    if found is not None and found.until is not None:
        at = NOW + timedelta(seconds=later)
        assert (exhausted(budget, usage, now=at) is None) == (at >= found.until)
    elif found is not None:
        assert exhausted(budget, usage, now=NOW + timedelta(days=3000)) is not None
