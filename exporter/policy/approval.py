"""What becomes of plans that wait for a person, as the world goes on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.model.decision import Decision, Mode, Result
from exporter.model.hold import HoldReason
from exporter.model.operation import Operation, Outcome
from exporter.policy.policy import Policy

_PASSING = frozenset(
    {
        HoldReason.LEDGER_UNAVAILABLE,
        HoldReason.NOT_OWNER,
        HoldReason.CLOCK_SUSPECT,
        HoldReason.FROZEN,
        HoldReason.REPORT_STALE,
        HoldReason.COMPONENT_UNKNOWN,
        HoldReason.PENDING,
        HoldReason.IN_FLIGHT,
        HoldReason.ALERTS_UNKNOWN,
        HoldReason.COOLDOWN,
    }
)
"""What an approved plan waits out: what is unknown, or passes by itself. Whatever else holds it
means that the world has changed."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A plan that must not wait any more: how it ends, and the sentence why."""

    operation_id: str
    outcome: Outcome
    why: str


def rulings(
    proposals: Iterable[Operation],
    decisions: Sequence[Decision],
    policies: Mapping[str, Policy],
    *,
    now: datetime,
) -> tuple[Ruling, ...]:
    """Judge the plans that wait on one target by what was decided about it just now.

    Those whose time is up are not judged: the ledger closes them. Withdrawn is what nobody would
    propose any more. What was approved is refused when a gate other than the window holds it now.
    """
    found = (
        (p, _end(p, decisions, policies))
        for p in proposals
        if p.lease_until and now < p.lease_until
    )
    return tuple(Ruling(p.id, *end) for p, end in found if end is not None)


def _end(
    proposal: Operation, decisions: Sequence[Decision], policies: Mapping[str, Policy]
) -> tuple[Outcome, str] | None:
    policy = policies.get(proposal.policy.name) if proposal.policy else None
    if policy is None:
        return Outcome.WITHDRAWN, "its policy is gone"
    if policy.ref != proposal.policy:
        return Outcome.WITHDRAWN, "its policy was changed"
    of_policy = [d for d in decisions if d.subject.policy == policy.name]
    if any(d.mode is not Mode.APPROVE for d in of_policy):
        return Outcome.WITHDRAWN, f"the mode is {of_policy[0].mode} now"
    mine = [d for d in of_policy if d.proposal == proposal.id]
    unread = any(d.subject.item is None and d.result is Result.HOLD for d in of_policy)
    gone = len(mine) < max(1, len(proposal.items)) and not (proposal.items and unread)
    if gone or any(d.result is Result.CLEAR for d in mine):
        return Outcome.WITHDRAWN, "what called for it is over"
    held = [d for d in mine if d.result is Result.HOLD]
    if proposal.approved_by is None or not held:
        return None
    if len(held) == len(mine) and all(d.reason in _PASSING for d in held):
        return None
    return Outcome.REFUSED, f"{held[0].reason}: {held[0].detail}"
