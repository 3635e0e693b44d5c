"""What policies want, in words: decisions that are alike are one row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exporter.model.decision import Decision, Result
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
    def proposals(self) -> tuple[str, ...]:
        """The operations that wait for a yes."""
        return tuple(dict.fromkeys(item.proposal for item in self.items if item.proposal))

    @property
    def look(self) -> str:
        """How it is coloured."""
        return "waiting" if self.reason == HoldReason.AWAITING_APPROVAL else str(self.result)

    @property
    def told(self) -> str:
        """What it comes to, in a word or two."""
        word = self.reason or f"does {self.remedy}"
        return f"{word}, {self.count} items" if self.count > 1 else word


@dataclass(frozen=True, slots=True)
class Group:
    """The same before it is put into words, which takes its time: the oldest first."""

    standings: tuple[StandingDecision, ...]

    @property
    def first(self) -> Decision:
        """The oldest."""
        return self.standings[0].decision

    @property
    def held(self) -> int:
        """How many of its decisions are held for another reason than that a person is asked."""
        asked = self.first.reason is HoldReason.AWAITING_APPROVAL
        return 0 if asked or self.first.result is not Result.HOLD else len(self.standings)

    @property
    def urgency(self) -> tuple[bool, bool, datetime]:
        """What acts comes first, then what waits for a person, each the oldest first."""
        waits = self.first.reason is HoldReason.AWAITING_APPROVAL
        return self.first.result is not Result.ACT, not waits, self.standings[0].since


def group_decisions(decisions: Iterable[StandingDecision]) -> list[Group]:
    """Every decision that is not clear, the most urgent first."""
    groups: dict[tuple[str, str, Result, str], list[StandingDecision]] = {}
    for standing in decisions:
        one = standing.decision
        if one.result is not Result.CLEAR:
            key = (one.subject.target, one.subject.policy, one.result, str(one.reason or ""))
            groups.setdefault(key, []).append(standing)
    found = (
        Group(tuple(sorted(group, key=lambda s: (s.since, s.decision.subject.item or ""))))
        for group in groups.values()
    )
    return sorted(found, key=lambda group: group.urgency)


def decision_row(group: Group, now: datetime) -> DecisionRow:
    """A group in words."""
    first, since = group.first, group.standings[0].since
    items = tuple(
        ItemRow(
            _item(one.decision.subject.item),
            redact_text(one.decision.detail),
            one.decision.proposal,
        )
        for one in group.standings[:_ITEMS]
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
        count=len(group.standings),
    )


def _item(name: str | None) -> str:
    """An item's name without the moment that makes it one of a kind: ``inv_1x@2026-…``."""
    text = redact_text(name or "")
    return text.partition("@")[0] if text.startswith("inv_") else text
