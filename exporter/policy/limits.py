"""Budgets: whether one more operation fits, and how much is left.

The gates ask this from the standing, and the ledger asks it again inside the transaction that
reserves. Counting is the ledger's; here only rules over the moments it counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from exporter.model.duration import format_duration
from exporter.model.hold import HoldReason
from exporter.model.operation import Budget, Usage, Window
from exporter.model.redact import redact_text

_REASONS: Mapping[str, HoldReason] = MappingProxyType(
    {
        "item": HoldReason.LIMIT_ITEM,
        "target": HoldReason.LIMIT_TARGET,
        "policy": HoldReason.LIMIT_POLICY,
        "global": HoldReason.LIMIT_GLOBAL,
    }
)
"""The scopes, in the order the gates ask."""
_ORDER = tuple(_REASONS.values())

_COUNTED: Mapping[str, str] = MappingProxyType(
    {
        "item": "operations of this remedy on {item}",
        "target": "operations of this remedy on this target",
        "policy": "operations of this policy",
        "global": "operations of all policies",
    }
)


class Exhausted(NamedTuple):
    """Why no operation fits now, and when one may again (None: never by itself)."""

    reason: HoldReason
    sentence: str
    until: datetime | None


def exhausted(
    budget: Budget, usage: Usage, *, now: datetime, items: Iterable[str] = ()
) -> Exhausted | None:
    """The first of cooldown, item, target, policy and global that forbids one more operation.

    A moment exactly ``per`` ago no longer counts; one in the future (the clock was set back) does.
    Of several full windows of one scope, the one that opens last is told.
    """
    cooling = _cooling(budget, usage, now)
    if cooling is not None:
        return cooling
    keys = tuple(items)
    full = [
        _refusal(window, key, stamps)
        for window in budget.windows
        for key, stamps in _counted(window.scope, usage, keys)
        if _is_full(window, stamps, now)
    ]
    if not full:
        return None
    first = min((refusal.reason for refusal in full), key=_ORDER.index)
    return max((refusal for refusal in full if refusal.reason is first), key=_opens)


def remaining(
    budget: Budget, usage: Usage, *, now: datetime, items: Iterable[str] = ()
) -> dict[str, int]:
    """How many more operations fit, by scope: of several windows or items, the scarcest.

    A scope without a window is absent, and so is ``item`` when no items are named.
    """
    keys = tuple(items)
    result: dict[str, int] = {}
    for window in budget.windows:
        for _, stamps in _counted(window.scope, usage, keys):
            count = left(window, stamps, now=now)
            result[window.scope] = min(count, result.get(window.scope, count))
    return result


def left(window: Window, stamps: tuple[datetime, ...], *, now: datetime) -> int:
    """How many more operations fit in one window, given the counted moments, oldest first."""
    if window.per is not None:
        stamps = stamps[bisect_right(stamps, now - window.per) :]
    return max(window.max - len(stamps), 0)


def _cooling(budget: Budget, usage: Usage, now: datetime) -> Exhausted | None:
    last = usage.own if budget.own_cooldown else usage.last
    if last is None or now - last >= budget.cooldown:
        return None
    until = last + budget.cooldown
    whose = "policy" if budget.own_cooldown else "remedy"
    sentence = (
        f"the last operation of this {whose} on this target was at {_moment(last)};"
        f" the cooldown of {format_duration(budget.cooldown)} ends at {_moment(until)}"
    )
    return Exhausted(HoldReason.COOLDOWN, sentence, until)


def _counted(
    scope: str, usage: Usage, items: tuple[str, ...]
) -> tuple[tuple[str, tuple[datetime, ...]], ...]:
    """What a window of this scope counts: moments, and for items whose they are."""
    match scope:
        case "item":
            return tuple((key, usage.item.get(key, ())) for key in items)
        case "target":
            return (("", usage.target),)
        case "policy":
            return (("", usage.policy),)
        case _:
            return (("", usage.everything),)


def _is_full(window: Window, stamps: tuple[datetime, ...], now: datetime) -> bool:
    """Only the ``max`` newest moments matter: it is full while the oldest of them counts."""
    if window.max < 1:
        return True
    if len(stamps) < window.max:
        return False
    return window.per is None or now - stamps[-window.max] < window.per


def _refusal(window: Window, key: str, stamps: tuple[datetime, ...]) -> Exhausted:
    reason = _REASONS[window.scope]
    what = _COUNTED[window.scope].format(item=redact_text(key))
    if window.max < 1:
        return Exhausted(reason, f"{what} are limited to 0: never", None)
    if window.per is None:
        return Exhausted(reason, f"{what} are limited to {window.max} for ever: used up", None)
    until = stamps[-window.max] + window.per
    sentence = (
        f"{what} are limited to {window.max} within {format_duration(window.per)};"
        f" the next fits at {_moment(until)}"
    )
    return Exhausted(reason, sentence, until)


def _opens(refusal: Exhausted) -> datetime:
    """When it opens again; never sorts last."""
    return refusal.until or datetime.max.replace(tzinfo=UTC)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
