"""Compares what came of a test with what it expects, and says what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest

from exporter.model.decision import Decision, Mode, Result
from exporter.model.duration import format_duration
from exporter.model.operation import Outcome
from exporter.replay.simulation import Deed
from exporter.simulate.run import Played
from exporter.simulate.scenario import ExpectedDecision, ExpectedOperation, Scenario
from exporter.simulate.spread import gather

EXACT = 4
"""Units of a duration: two moments that differ must look different."""
DOES = {Mode.OBSERVE: "rehearse", Mode.APPROVE: "propose", Mode.ENFORCE: "act"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as expected."""

    place: str
    """``file:line:column`` of the expectation."""
    about: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class _Begun:
    at: timedelta
    deed: Deed
    outcome: Outcome | None


def judge(scenario: Scenario, played: Played) -> tuple[Difference, ...]:
    """Everything that is not as expected; nothing when the test passes."""
    return (*_operations(scenario, played), *_decisions(scenario, played))


def _operations(scenario: Scenario, played: Played) -> Iterator[Difference]:
    if scenario.operations is None:
        return
    ends = {d.operation: d.outcome for _, d in played.deeds if d.outcome is not None}
    begun = [
        _Begun(at, deed, ends.get(deed.operation))
        for at, deed in played.deeds
        if deed.outcome is None
    ]
    pairs = zip_longest(scenario.operations, begun)
    for number, (expected, found) in enumerate(pairs, start=1):
        if expected is None or found is None or not _same(expected, found):
            yield Difference(
                place=scenario.operations_place if expected is None else expected.place,
                about=f"operation {number}",
                expected="none" if expected is None else _said(expected, found),
                found="none" if found is None else _told(found),
            )


def _same(expected: ExpectedOperation, found: _Begun) -> bool:
    deed = found.deed
    return (
        expected.at == found.at
        and expected.policy in {None, deed.policy}
        and expected.does in {None, DOES[deed.mode]}
        and expected.items in {None, deed.items}
        and expected.outcome in {None, found.outcome}
    )


def _said(expected: ExpectedOperation, found: _Begun | None) -> str:
    """What was written; the rest as it was found, so that only what differs stands out."""
    deed = found.deed if found else None
    does = expected.does or (DOES[deed.mode] if deed else None)
    items = deed.items if expected.items is None and deed else expected.items
    outcome = expected.outcome or (found.outcome if found else None)
    policy = expected.policy or (deed.policy if deed else None)
    return _line(expected.at, policy, does, items, outcome)


def _told(found: _Begun) -> str:
    deed = found.deed
    return _line(found.at, deed.policy, DOES[deed.mode], deed.items, found.outcome)


def _line(
    at: timedelta,
    policy: str | None,
    does: str | None,
    items: tuple[str, ...] | None,
    outcome: Outcome | None,
) -> str:
    on = f"on {', '.join(gather(items))}" if items else None
    told = (format_duration(at, EXACT), policy, does, on, outcome and f"({outcome})")
    return " ".join(part for part in told if part)


def _decisions(scenario: Scenario, played: Played) -> Iterator[Difference]:
    for expected in scenario.decisions:
        found = _found(expected, played)
        word = "clear" if found is None else word_of(found)
        if word != expected.word:
            detail = f": {found.detail}" if found is not None and found.detail else ""
            about = f", {expected.item}" if expected.item else ""
            yield Difference(
                place=expected.place,
                about=f"{expected.policy}{about} at {format_duration(expected.at, EXACT)}",
                expected=expected.word,
                found=f"{word}{detail}",
            )


def _found(expected: ExpectedDecision, played: Played) -> Decision | None:
    """The decision; None when the item is not there, which is clear.

    Without an item: the one that is not clear, so that a policy over many must be clear on all.
    """
    mine = [d for d in played.stand(expected.at).decisions if d.subject.policy == expected.policy]
    if expected.item is not None:
        return next((d for d in mine if d.subject.item == expected.item), None)
    unclear = [d for d in mine if d.result is not Result.CLEAR]
    return next((d for d in unclear if word_of(d) == expected.word), None) or next(
        iter(unclear or mine), None
    )


def word_of(decision: Decision) -> str:
    """How a test calls it: ``clear``, ``act``, or the reason of its hold."""
    return str(decision.reason or decision.result)
