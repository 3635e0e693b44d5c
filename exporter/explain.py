"""Why each policy does what it does on a target now: its condition, every gate, the next moment.

The same facts and the same ``decide`` as a round's, and no traces: nothing is remembered, recorded
or started.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exporter.model.decision import Decision, Mode, Result
from exporter.model.duration import format_duration
from exporter.model.hold import HoldReason
from exporter.model.redact import redact_text
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.decide import decide
from exporter.policy.policy import Policy
from exporter.surroundings import Surroundings
from exporter.wire.body import moment
from exporter.wire.decisions import decision_body
from exporter.wire.explain import ExplanationBody


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision with all its verdicts, and what follows from them."""

    policy: Policy
    decision: Decision
    unknown: tuple[str, ...]
    """The condition's variables that have no value now."""
    acts_at: datetime | None
    """The earliest moment at which no gate would hold it; None: clear, or nobody knows."""
    open_ended: tuple[HoldReason, ...]
    """The gates that hold it and do not say until when."""


@dataclass(frozen=True, slots=True)
class Acting:
    """An owner that acts: as whoever acts for the targets would decide."""

    owned: bool = True
    holder: str = ""


def explain(
    policies: Iterable[Policy],
    target: Target,
    report: Report,
    surroundings: Surroundings,
    *,
    max_mode: Mode,
    ledger_ok: bool,
    now: datetime,
) -> tuple[Explanation, ...]:
    """Explain every policy that is about the target, per item with ``for_each``, in file order."""
    policies = tuple(policies)
    findings, world = surroundings.scene(
        target, report, max_mode=max_mode, ledger_ok=ledger_ok, now=now
    )
    decisions = decide(policies, target, report, findings, world, now=now, explain=True)
    by_name = {policy.name: policy for policy in policies}
    return tuple(explained(by_name[d.subject.policy], d, now) for d in decisions)


def explanation_body(found: Explanation, since: datetime | None) -> ExplanationBody:
    """One explanation and since when its decision stands, free of secrets."""
    return ExplanationBody(
        **dict(decision_body(found.decision, since)),
        condition=redact_text(found.policy.condition.source),
        for_=format_duration(found.policy.for_),
        unknown=found.unknown,
        acts_at=moment(found.acts_at),
        open_ended=found.open_ended,
    )


def explained(policy: Policy, decision: Decision, now: datetime) -> Explanation:
    """What follows from a decision whose gates were all asked."""
    holding = [verdict for verdict in decision.verdicts if verdict.holds]
    open_ended = tuple(verdict.gate for verdict in holding if verdict.until is None)
    acts_at = None
    if decision.result is not Result.CLEAR and not open_ended:
        # What is past is a wait that is over, and then for a second reading, which may come now.
        acts_at = max([now, *(v.until for v in holding if v.until is not None)])
    return Explanation(policy, decision, _unknown(policy, decision), acts_at, open_ended)


def _unknown(policy: Policy, decision: Decision) -> tuple[str, ...]:
    if policy.for_each is not None and decision.subject.item is None:
        # The list has no items of the policy's, or is unknown itself.
        return () if decision.result is Result.CLEAR else (policy.for_each,)
    return tuple(name for name in policy.condition.names if name not in decision.values)
