"""From decisions to what is submitted: which of them go together, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from exporter.model.decision import Decision, Result
from exporter.model.duration import format_duration
from exporter.model.findings import Findings
from exporter.model.operation import Request
from exporter.policy.policy import Policy
from exporter.policy.sight import item_of


def first_act(decisions: Iterable[Decision]) -> Decision | None:
    """The one decision to submit: the first that acts, else the first that may rehearse."""
    ready = [d for d in decisions if d.ready]
    return next((d for d in ready if d.result is Result.ACT), ready[0] if ready else None)


def first_acts(
    decisions: Iterable[Decision], policies: Mapping[str, Policy]
) -> tuple[Decision, ...]:
    """The decisions to submit: of those that would lock the same thing, ``first_act``'s."""
    by_lock: dict[str, list[Decision]] = {}
    for decision in decisions:
        subject = decision.subject
        by_lock.setdefault(policies[subject.policy].lock_on(subject.target), []).append(decision)
    return tuple(d for some in by_lock.values() if (d := first_act(some)) is not None)


def together(
    first: Decision, decisions: Iterable[Decision], policy: Policy
) -> tuple[Decision, ...]:
    """The decisions that one operation may hold: this one, and more items of its policy.

    What a person approved is one operation, with nothing more in it.
    """
    more = (
        d
        for d in decisions
        if d.ready
        and (d.result, d.proposal) == (first.result, first.proposal)
        and d.subject.policy == first.subject.policy
    )
    return tuple(islice(more, policy.together)) if policy.together > 1 else (first,)


def to_request(
    decision: Decision, policy: Policy, findings: Findings, rest: Sequence[Decision] = ()
) -> Request:
    """What the remediator is asked for: the decision must be this policy's, on these findings.

    ``rest`` are the others of ``together``, whose items the operation is to hold as well.
    """
    about = [decision, *(d for d in rest if d is not decision)]
    items = [i for d in about if (i := item_of(policy, findings, d.subject.item)) is not None]
    item = items[0] if items else None
    return Request(
        target=decision.subject.target,
        remedy=policy.action,
        arguments=dict(policy.arguments),
        source="policy",
        actor=f"policy:{policy.name}",
        mode=decision.mode,
        policy=policy.ref,
        items=tuple(item.key for item in items),
        item_values={} if item is None else plain(item.values),
        each_item=tuple(plain(item.values) for item in items),
        values=_values(about),
        budget=policy.budget,
        proposal=decision.proposal if decision.result is Result.ACT else None,
        true_since=decision.waiting.since if decision.waiting and policy.mends else None,
        mends=policy.mends,
    )


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values as JSON can hold them: durations as text such as ``1h30m``."""
    return {
        name: format_duration(value) if isinstance(value, timedelta) else value
        for name, value in values.items()
    }


def _values(decisions: Sequence[Decision]) -> dict[str, Any]:
    """What the condition saw; of several items each its own, by the item's key."""
    values = plain(decisions[0].values)
    if len(decisions) > 1:
        for name in values:
            if name.startswith("item."):
                values[name] = {str(d.subject.item): plain(d.values).get(name) for d in decisions}
    return values
