"""How far back policies ask the ledger: what retention may forget, and what never. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from exporter.model.duration import format_duration
from exporter.policy.policy import Policy

COUNTED: Mapping[str, str] = MappingProxyType(
    {
        "recoveries": "recover-stuck-workflow",
        "resumes": "resume-invocations",
        "restarts": "restart-invocations",
    }
)
"""What conditions know of an item as a count without a window, and the remedy that it counts."""


@dataclass(frozen=True, slots=True)
class Forever:
    """Which operations limits ``per: forever`` count: those on items and on targets by remedy."""

    items: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    everything: bool = False


def forever(policies: Iterable[Policy]) -> Forever:
    """What these policies count without a window, those that are ``off`` included."""
    found: dict[str, set[str]] = {scope: set() for scope in ("item", "target", "policy", "global")}
    for policy in policies:
        for window in policy.budget.windows:
            if window.per is None:
                name = policy.name if window.scope == "policy" else policy.action
                found[window.scope].add(name)
    return Forever(
        frozenset(found["item"]),
        frozenset(found["target"]),
        frozenset(found["policy"]),
        bool(found["global"]),
    )


def too_short(keep: timedelta, policies: Iterable[Policy]) -> str | None:
    """Why the ledger must be kept for longer than this; None when it is long enough.

    It names the longest time that one of the policies looks back.
    """
    reaches = [(span, what, policy) for policy in policies for span, what in _spans(policy)]
    span, what, policy = max(reaches, key=lambda one: one[0], default=(None, None, None))
    if span is None or policy is None or span <= keep:
        return None
    return (
        f"storage.keep: {format_duration(keep)} is shorter than the {what} of policy {policy.name}"
        f" ({policy.place}), which looks back {format_duration(span)};"
        f" write {format_duration(span)} or more"
    )


def _spans(policy: Policy) -> Iterator[tuple[timedelta, str]]:
    yield policy.budget.cooldown, "cooldown"
    for window in policy.budget.windows:
        if window.per is not None:
            yield window.per, f"limit over {window.scope}"
    yield policy.breaker.per, "breaker"
    if policy.breaker.reset is not None:
        yield policy.breaker.reset, "breaker's reset"
