"""What policies want, in words: decisions that are alike are one row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exporter.model.decision import Result
from exporter.model.hold import HoldReason
from exporter.model.redact import redact_text
from exporter.web.page.words import length, moment
from exporter.web.status import StandingDecision

_ITEMS = 30
"""Of a row, shown by name; the API has all."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """What a policy wants about one item; ``name`` is empty when it is about the whole target."""

    name: str
    detail: str
    proposal: str | None
    """The operation that waits for a yes."""


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """The decisions of a policy on a target with one result and one reason."""

    policy: str
    target: str
    remedy: str
    result: Result
    reason: str
    """A hold's word; empty when it acts."""
    detail: str
    """Of the first item."""
    since: str
    since_at: str
    items: tuple[ItemRow, ...]
    count: int

    @property
    def waits(self) -> bool:
        """Whether a person is asked."""
        return self.reason == HoldReason.AWAITING_APPROVAL

    @property
    def proposals(self) -> tuple[str, ...]:
        """The operations that wait for a yes."""
        return tuple(dict.fromkeys(item.proposal for item in self.items if item.proposal))

    @property
    def look(self) -> str:
        """How it is coloured."""
        return "waiting" if self.waits else str(self.result)

    @property
    def told(self) -> str:
        """What it comes to, in one line."""
        if self.result is Result.ACT:
            return f"{self.policy} does {self.remedy}"
        return f"{self.policy} holds: {self.reason}" + (f", {self.detail}" if self.detail else "")


def decision_rows(decisions: Iterable[StandingDecision], now: datetime) -> list[DecisionRow]:
    """Every decision that is not clear: what acts, what waits for a person, what is held.

    Each the oldest first.
    """
    groups: dict[tuple[str, str, Result, str], list[StandingDecision]] = {}
    for standing in decisions:
        one = standing.decision
        if one.result is not Result.CLEAR:
            key = (one.subject.target, one.subject.policy, one.result, str(one.reason or ""))
            groups.setdefault(key, []).append(standing)
    found = [
        sorted(group, key=lambda s: (s.since, s.decision.subject.item or ""))
        for group in groups.values()
    ]
    found.sort(key=_urgency)
    return [_row(group, now) for group in found]


def _urgency(group: list[StandingDecision]) -> tuple[bool, bool, datetime]:
    first = group[0].decision
    waits = first.reason is HoldReason.AWAITING_APPROVAL
    return first.result is not Result.ACT, not waits, group[0].since


def _row(group: list[StandingDecision], now: datetime) -> DecisionRow:
    first, since = group[0].decision, group[0].since
    items = tuple(
        ItemRow(
            _item(one.decision.subject.item),
            redact_text(one.decision.detail),
            one.decision.proposal,
        )
        for one in group[:_ITEMS]
    )
    return DecisionRow(
        policy=first.subject.policy,
        target=first.subject.target,
        remedy=first.remedy,
        result=first.result,
        reason=str(first.reason or ""),
        detail=items[0].detail,
        since=length(max(now, since).replace(microsecond=0) - since.replace(microsecond=0)),
        since_at=moment(since),
        items=items,
        count=len(group),
    )


def _item(name: str | None) -> str:
    """An item's name without the moment that makes it one of a kind: ``inv_1x@2026-…``."""
    text = redact_text(name or "")
    return text.partition("@")[0] if text.startswith("inv_") else text
