"""Refusals: each in a row waits twice as long, up to a quarter of an hour."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exporter.model.component import Reason
from exporter.model.decision import Subject
from exporter.model.errors import (
    CallFailedError,
    InFlightError,
    LimitReachedError,
    MedicError,
    RefusedError,
)
from exporter.remediate.refusals import Refusals
from tests.unit.fakes import Clock

ONE, OTHER = Subject("heal", "prod"), Subject("heal", "prod", "http://w1:9080/")
NO = RefusedError("not-latest", "it would pull traffic back")


def test_waits_grow_from_one_minute_to_fifteen() -> None:
    """Asking again and again would only load the server: 1, 2, 4, 8, 15, 15 minutes."""
    refusals, clock = Refusals(), Clock()
    waits = []
    for _ in range(6):
        refusal = refusals.note(ONE, NO, now=clock.now())
        waits.append((refusal.until - clock.now()) / timedelta(minutes=1))
        clock.at = refusal.until
    assert waits == [1, 2, 4, 8, 15, 15]


def test_a_refusal_says_why_and_until_when() -> None:
    """The bounded word, the sentence for people, and the time: what the hold shows."""
    refusals, clock = Refusals(), Clock()
    refusal = refusals.note(ONE, NO, now=clock.now())
    assert (refusal.reason, refusal.detail) == ("not-latest", "it would pull traffic back")
    assert refusals.current() == {ONE: refusal}


def test_subjects_wait_for_themselves() -> None:
    """What was refused for one item says nothing of another, nor of the whole target."""
    refusals, clock = Refusals(), Clock()
    refusals.note(ONE, NO, now=clock.now())
    refusals.note(ONE, NO, now=clock.now())
    assert refusals.note(OTHER, NO, now=clock.now()).until == clock.now() + timedelta(minutes=1)


def test_what_is_forgotten_begins_anew() -> None:
    """After the condition was clear, or the operation went through, the first wait is short."""
    refusals, clock = Refusals(), Clock()
    for _ in range(4):
        refusals.note(ONE, NO, now=clock.now())
    refusals.forget([ONE, OTHER])
    assert refusals.current() == {}
    assert refusals.note(ONE, NO, now=clock.now()).until == clock.now() + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (NO, "not-latest"),
        (CallFailedError(Reason.TIMEOUT, "no answer"), "timeout"),
        (LimitReachedError("cooldown", "too soon"), "cooldown"),
        (InFlightError("another one", operation_id="op_1"), "refused"),
        (MedicError("no"), "refused"),
    ],
)
def test_every_error_has_a_word(error: MedicError, word: str) -> None:
    """A preflight that could not read waits like one that said no."""
    assert Refusals().note(ONE, error, now=Clock().now()).reason == word
