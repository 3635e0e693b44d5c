"""What each policy sees on a target and what every gate says, for its page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.explain import Explanation, explanation_body
from exporter.model.decision import Result
from exporter.model.hold import HoldReason
from exporter.web.status import WebStatus
from exporter.wire.explain import ExplanationBody
from exporter.wire.explain_words import next_words, since_words

_ITEMS = 10
"""Of a policy, those that are not clear first; the API has all."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One decision, explained."""

    body: ExplanationBody
    since: str
    next: str
    """When it could act."""

    @property
    def look(self) -> str:
        """How it is coloured."""
        if self.body.result is Result.CLEAR:
            return "ok"
        asked = self.body.reason is HoldReason.AWAITING_APPROVAL
        return "waiting" if asked else str(self.body.result)

    @property
    def passing(self) -> tuple[str, ...]:
        """The gates that do not hold it."""
        return tuple(str(v.gate) for v in self.body.verdicts if not v.holds)


@dataclass(frozen=True, slots=True)
class PolicyExplained:
    """What a policy decides about the target, or its items."""

    name: str
    shown: tuple[Explained, ...]
    more: int


def explained_rows(found: Iterable[Explanation], status: WebStatus) -> list[PolicyExplained]:
    """Every policy that is about the target, in file order."""
    by_policy: dict[str, list[Explanation]] = {}
    for one in found:
        by_policy.setdefault(one.policy.name, []).append(one)
    since = {(s.decision.subject, s.decision.standing): s.since for s in status.decisions}
    rows = []
    for name, mine in by_policy.items():
        first = sorted(mine, key=lambda e: e.decision.result is Result.CLEAR)[:_ITEMS]
        bodies = [
            explanation_body(e, since.get((e.decision.subject, e.decision.standing))) for e in first
        ]
        shown = tuple(Explained(b, since_words(b), next_words(b)) for b in bodies)
        rows.append(PolicyExplained(name, shown, len(mine) - len(shown)))
    return rows
