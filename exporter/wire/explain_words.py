"""An explanation in sentences, the same for the terminal and the page. Pure text, not escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from exporter.model.decision import Result
from exporter.model.hold import HoldReason
from exporter.wire.explain import ExplanationBody

_DOES: Mapping[HoldReason, str] = MappingProxyType(
    {
        HoldReason.OBSERVING: "it only rehearses",
        HoldReason.AWAITING_APPROVAL: "a person must say yes to its plan",
    }
)


def when_text(moment: str) -> str:
    """A moment as people read it: UTC to the second."""
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%SZ}"


def since_words(one: ExplanationBody) -> str:
    """Since when the condition has been true, and the decision stands."""
    stands = "" if one.since is None else f"; {one.result} since {when_text(one.since)}"
    if one.waiting is None:
        what = "not true" if one.result is Result.CLEAR else "not known to be true"
        return f"{what}, must be for {one.for_}{stands}"
    count = one.waiting.readings
    readings = f"{count} reading{'' if count == 1 else 's'}"
    return f"true since {when_text(one.waiting.since)} on {readings}, for {one.for_}{stands}"


def next_words(one: ExplanationBody) -> str:
    """When it could act."""
    if one.result is Result.CLEAR:
        return "nothing to do"
    if one.result is Result.ACT:
        return f"{one.remedy} now"
    if one.acts_at is not None:
        return f"{one.remedy} at {when_text(one.acts_at)}, if nothing else changes"
    untils = [v.until for v in one.verdicts if v.holds and v.until is not None]
    if set(one.open_ended) <= _DOES.keys():
        does = " and ".join(_DOES[gate] for gate in one.open_ended)
        return f"mode {one.mode}: {does}{_not_before(untils)}"
    return f"unknown: nobody can say when {_and(one.open_ended)} will open{_not_before(untils)}"


def _not_before(untils: list[str]) -> str:
    return f", not before {when_text(max(untils))}" if untils else ""


def _and(gates: tuple[HoldReason, ...]) -> str:
    *most, last = map(str, gates)
    return f"{', '.join(most)} and {last}" if most else last
