"""Deciding stays cheap beside evaluating the conditions, with a thousand targets too."""

from __future__ import annotations

import pytest

from exporter.policy import regex
from exporter.policy.alarms import Heard
from tests.benchmarks import alerts, decide, synthetic


def test_deciding_costs_little_more_than_the_conditions() -> None:
    """A pair costs about four times its bare condition; ``make bench`` shows microseconds."""
    result = decide.measure(targets=decide.TARGETS, repeat=3)
    assert result.policies == 20
    assert 0.2 < result.held < 0.3
    assert result.ratio < 7  # shared machines are noisy


def test_asking_about_alerts_again_compiles_no_pattern_and_costs_little() -> None:
    """A thousand alerts and a hundred silences are looked through once a reading."""
    result = alerts.measure(targets=200)
    assert result.again_us < result.first_us
    assert result.again_us < 300  # some 15 on a quiet machine


def test_no_decision_compiles_a_pattern_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine compiles at each call, so the second round must not call it."""
    calls: list[str] = []
    real = regex._search  # noqa: SLF001 - the one place that calls the engine

    def counted(whole: str, text: str) -> bool:
        calls.append(whole)
        return real(whole, text)

    monkeypatch.setattr(regex, "_search", counted)
    around = alerts.world(Heard(synthetic.START, alerts.firing(), alerts.silences()))
    rule, fleet = alerts.policy(), [synthetic.target(f"again-{n}", ("Orders",)) for n in range(20)]
    alerts.ask(rule, fleet, around)
    assert calls
    calls.clear()
    alerts.ask(rule, fleet, around)
    assert not calls
