"""How many targets are affected: counted as rounds come in, the same as counting them anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from exporter.policy.fleet_health import FleetHealth
from exporter.policy.storm import Others, Storm
from tests.unit.policy_scenes import NOW, ONE, policy

TARGETS = tuple(replace(ONE, name=name) for name in "abcde")
ALL = policy(name="all")
SOME = policy(name="some", targets="{names: [a, b, c]}")
notes = st.lists(
    st.tuples(
        st.sampled_from(TARGETS),
        st.frozensets(st.sampled_from(["all", "some"])),
        st.integers(0, 40),
    ),
    max_size=20,
)


@given(notes, st.sampled_from("abcde"))
def test_it_counts_what_the_last_rounds_said(
    rounds: list[tuple[object, frozenset[str], int]], target: str
) -> None:
    """The oracle keeps the last word of each target, and its time."""
    health, last, now = FleetHealth(), {}, NOW
    health.configure((ALL, SOME), TARGETS)
    for one, affected, seconds in rounds:
        now += timedelta(seconds=seconds)
        health.note(one, affected, now=now)  # type: ignore[arg-type]
        last[one.name] = (affected, now)  # type: ignore[attr-defined]
    for rule in (ALL, SOME):
        matched = {t.name for t in TARGETS if rule.matches(t)}
        minute = timedelta(minutes=1)
        bad = {
            name
            for name, (affected, at) in last.items()
            if name in matched and (rule.name in affected or now - at > minute)
        } - {target}
        silent = tuple(sorted(matched - last.keys() - {target}))
        found = health.others(rule.name, target, now=now)
        assert found == Others(len(matched | {target}), len(bad), silent)


def test_what_is_no_longer_configured_does_not_count() -> None:
    """Neither targets that are gone nor policies that are."""
    health = FleetHealth()
    health.configure((ALL,), TARGETS)
    for target in TARGETS:
        health.note(target, ["all"], now=NOW)
    assert health.counts(NOW) == {"all": (5, 5)}
    health.configure((ALL, SOME), TARGETS[:2])
    assert health.counts(NOW) == {"all": (2, 2), "some": (0, 2)}


@given(st.integers(0, 100), st.integers(0, 30), st.integers(0, 30), st.integers(0, 2000))
def test_the_allowed_number_is_the_formula(share: int, low: int, high: int, matched: int) -> None:
    """min(at_most, max(at_least, floor(share of matched))), without rounding errors."""
    found = Storm(Fraction(share, 100), low, high).allowed(matched)
    assert found == min(high, max(low, share * matched // 100))
