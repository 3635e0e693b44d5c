"""Decides, for one target, what each policy wants: act, hold for one named reason, or nothing.

Pure: a report, its findings and the world in, decisions out. The gates are in ``gates``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from exporter.model.component import Component
from exporter.model.decision import Decision, Mode, Result, Subject, Verdict
from exporter.model.findings import Findings, Item
from exporter.model.hold import HoldReason
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.case import Case, Spending
from exporter.policy.cel import Outcome, Unknown
from exporter.policy.gates import gates_without, in_flight_behind
from exporter.policy.policy import Policy
from exporter.policy.sight import Sight
from exporter.policy.submit import together
from exporter.policy.waiting import fresh_of, wait_on
from exporter.policy.world import World


def decide(
    policies: Iterable[Policy],
    target: Target,
    report: Report,
    findings: Findings,
    world: World,
    *,
    now: datetime,
    explain: bool = False,
) -> tuple[Decision, ...]:
    """Decide every policy that is about the target, in file order; per item with ``for_each``.

    The gates are asked until one holds; to ``explain``, all of them are.
    A list of items that is unknown gives one decision without an item, and so does an empty one;
    items that the action does not name count as not there.
    Who was decided about before and is not any more (an item that is gone) is clear.
    """
    mine = [policy for policy in policies if policy.matches(target)]
    sight = Sight(findings, (policy.condition for policy in mine))
    fresh = fresh_of(report, now)
    round_ = _Round(target, report, fresh, findings, sight, world, now, explain)
    decisions = [decision for policy in mine for decision in _decide_policy(policy, round_)]
    return _one_at_a_time(decisions, {policy.name: policy for policy in mine})


@dataclass(frozen=True, slots=True)
class _Round:
    target: Target
    report: Report
    fresh: frozenset[Component]
    findings: Findings
    sight: Sight
    world: World
    now: datetime
    explain: bool


class _Judged(NamedTuple):
    """What a condition says about the target or one item, and the values it saw."""

    item: Item | None
    outcome: Outcome
    seen: dict[str, Any]


def _decide_policy(policy: Policy, round_: _Round) -> list[Decision]:
    if policy.for_each is None:
        judged = _judge(policy, None, round_)
        return [_decided(policy, judged, 1, round_)]
    items = round_.findings.items.get(policy.for_each)
    if items is None:
        unknown = _Judged(None, Unknown((policy.for_each,)), {})
        return [_hold_or_act(policy, unknown, 1, round_)]
    items = tuple(item for item in items if policy.concerns(item))
    if not items:
        subject = Subject(policy.name, round_.target.name)
        mode = policy.mode_under(round_.world.max_mode)
        return [Decision(subject, Result.CLEAR, mode=mode, remedy=policy.action)]
    if policy.together > 1:
        # What waited longest goes first, and in the same order each time.
        items = tuple(sorted(items, key=lambda item: (-_age(item), item.key)))
    return _decide_all(policy, items, round_)


def _age(item: Item) -> timedelta:
    age = item.values.get("item.age")
    return age if isinstance(age, timedelta) else timedelta(0)


def _decide_all(policy: Policy, items: Iterable[Item], round_: _Round) -> list[Decision]:
    judged = [_judge(policy, item, round_) for item in items]
    affected = sum(one.outcome is not False for one in judged)
    return [_decided(policy, one, affected, round_) for one in judged]


def _decided(policy: Policy, judged: _Judged, affected: int, round_: _Round) -> Decision:
    if judged.outcome is False:
        return _clear(policy, judged, round_)
    return _hold_or_act(policy, judged, affected, round_)


def _judge(policy: Policy, item: Item | None, round_: _Round) -> _Judged:
    view = round_.sight.view(item)
    seen = view.seen_by(policy.condition)
    presumed = round_.world.presumed
    mended = bool(presumed) and _subject(policy, item, round_) in presumed
    return _Judged(item, not mended and view.judge(policy.condition), seen)


def _subject(policy: Policy, item: Item | None, round_: _Round) -> Subject:
    return Subject(policy.name, round_.target.name, item.key if item else None)


def _clear(policy: Policy, judged: _Judged, round_: _Round) -> Decision:
    subject = _subject(policy, judged.item, round_)
    mode = policy.mode_under(round_.world.max_mode)
    proposal = round_.world.proposal(subject) if mode is Mode.APPROVE else None
    return Decision(
        subject=subject,
        result=Result.CLEAR,
        mode=mode,
        remedy=policy.action,
        values=judged.seen,
        proposal=proposal.id if proposal else None,
    )


def _hold_or_act(policy: Policy, judged: _Judged, affected: int, round_: _Round) -> Decision:
    case = _case(policy, judged, affected, round_)
    verdicts, held = _ask(case, explain=round_.explain)
    return Decision(
        subject=case.subject,
        result=Result.ACT if held is None else Result.HOLD,
        reason=held.gate if held else None,
        detail=held.detail if held else "",
        mode=case.mode,
        remedy=policy.action,
        waiting=case.waiting,
        values=judged.seen,
        verdicts=verdicts,
        proposal=case.proposal.id if case.proposal else None,
    )


def _ask(case: Case, *, explain: bool) -> tuple[tuple[Verdict, ...], Verdict | None]:
    """The gates' verdicts, in order, and the first that holds."""
    verdicts: list[Verdict] = []
    first: Verdict | None = None
    for gate in gates_without(case.policy.waives):
        verdict = gate(case)
        verdicts.append(verdict)
        if verdict.holds and first is None:
            first = verdict
            if not explain:
                break
    return tuple(verdicts), first


def _case(policy: Policy, judged: _Judged, affected: int, round_: _Round) -> Case:
    item, outcome = judged.item, judged.outcome
    report, world, now = round_.report, round_.world, round_.now
    subject = _subject(policy, item, round_)
    mode = policy.mode_under(world.max_mode)
    components = policy.condition.components
    stale = () if components <= round_.fresh else tuple(sorted(components - round_.fresh))
    waiting = None
    if outcome is True and not stale:
        waiting = wait_on(world.waiting.get(subject), components, report, now, policy.revision)
    proposal = None
    if mode is Mode.APPROVE:
        proposal = world.proposal(subject)
    items = () if item is None else (item.key,)
    look_up = partial(world.usage, policy.name, subject.target, policy.action, items, mode)
    return Case(
        policy=policy,
        subject=subject,
        target=round_.target,
        mode=mode,
        outcome=outcome,
        stale=stale,
        waiting=waiting,
        spending=Spending(look_up, policy.budget, items, now),
        affected_items=affected,
        report=report,
        findings=round_.findings,
        world=world,
        now=now,
        proposal=proposal,
    )


def _one_at_a_time(
    decisions: list[Decision], policies: Mapping[str, Policy]
) -> tuple[Decision, ...]:
    """Of several that would hold the same lock, one operation's worth does; the rest wait."""
    first: dict[str, Decision] = {}
    for d in decisions:
        if d.result is Result.ACT:
            first.setdefault(policies[d.subject.policy].lock_on(d.subject.target), d)
    if not first:
        return tuple(decisions)
    going = {
        id(d)
        for one in first.values()
        for d in together(one, decisions, policies[one.subject.policy])
    }
    return tuple(
        d
        if id(d) in going or d.result is not Result.ACT
        else _behind(d, first[policies[d.subject.policy].lock_on(d.subject.target)])
        for d in decisions
    )


def _behind(decision: Decision, first: Decision) -> Decision:
    about = f" for {first.subject.item}" if first.subject.item else ""
    verdict = in_flight_behind(f"policy {first.subject.policy}{about} goes first on this target")
    return replace(
        decision,
        result=Result.HOLD,
        reason=HoldReason.IN_FLIGHT,
        detail=verdict.detail,
        verdicts=tuple(verdict if v.gate is HoldReason.IN_FLIGHT else v for v in decision.verdicts),
    )
