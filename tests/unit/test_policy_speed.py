"""Deciding stays cheap beside evaluating the conditions, with a thousand targets too."""

from __future__ import annotations

from tests.benchmarks import decide


def test_deciding_costs_little_more_than_the_conditions() -> None:
    """A pair costs about four times its bare condition; ``make bench`` shows microseconds."""
    result = decide.measure(targets=decide.TARGETS, repeat=3)
    assert result.policies == 20
    assert 0.2 < result.held < 0.3
    assert result.ratio < 7  # shared machines are noisy
