"""What the page of the policies shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from exporter.model.decision import Result
from exporter.model.orders import OpenBreaker
from exporter.web.api.policy_bodies import policy_body
from exporter.web.status import WebStatus
from exporter.wire.policies import PolicyBody

_TARGETS = 20
"""Of a policy, shown by name."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy, what it decides now, and what stops it."""

    policy: PolicyBody
    targets: tuple[str, ...]
    more_targets: int
    counts: tuple[tuple[str, str, int], ...]
    """Look, word and number of its present decisions: ``act``, ``clear``, or a hold's reason."""
    breakers: tuple[OpenBreaker, ...]


def policy_rows(status: WebStatus, breakers: tuple[OpenBreaker, ...]) -> list[PolicyRow]:
    """Every policy in force, in file order."""
    counts: dict[str, Counter[tuple[str, str]]] = {}
    for standing in status.decisions:
        decision = standing.decision
        look = "ok" if decision.result is Result.CLEAR else str(decision.result)
        word = str(decision.reason or decision.result)
        counts.setdefault(decision.subject.policy, Counter())[look, word] += 1
    targets = [row.target for row in status.targets]
    return [
        _row(
            policy_body(policy, targets, max_mode=status.max_mode),
            counts.get(policy.name, Counter()),
            tuple(one for one in breakers if one.policy == policy.name),
        )
        for policy in status.policies
    ]


def _row(
    policy: PolicyBody, counts: Counter[tuple[str, str]], breakers: tuple[OpenBreaker, ...]
) -> PolicyRow:
    return PolicyRow(
        policy,
        targets=policy.targets[:_TARGETS],
        more_targets=max(len(policy.targets) - _TARGETS, 0),
        counts=tuple((look, word, number) for (look, word), number in counts.most_common()),
        breakers=breakers,
    )
