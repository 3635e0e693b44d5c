"""Decides, for one target, what each policy wants: act, hold for one named reason, or nothing.

Pure: a report, its findings and the world in, decisions out. The gates are in ``gates``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from exporter.model.component import Component
from exporter.model.decision import Decision, Mode, Result, Subject, Verdict
from exporter.model.duration import format_duration
from exporter.model.findings import Findings, Item
from exporter.model.hold import HoldReason
from exporter.model.operation import Request
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.case import Case, Spending
from exporter.policy.cel import Outcome, Unknown
from exporter.policy.gates import gates_without, in_flight_behind
from exporter.policy.policy import Policy
from exporter.policy.sight import Sight, holds
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


def still_wrong(policy: Policy, findings: Findings, item_key: str | None) -> bool:
    """Whether the condition holds or cannot be decided: what verification waits to see end.

    An item that has left a known list is not wrong any more.
    """
    if policy.for_each is None:
        return holds(policy.condition, findings) is not False
    if findings.items.get(policy.for_each) is None:
        return True
    item = item_of(policy, findings, item_key)
    if item is None:
        return False
    return holds(policy.condition, findings, item) is not False


def item_of(policy: Policy, findings: Findings, key: str | None) -> Item | None:
    """The item of the policy's kind with this key, if it is listed now."""
    items = findings.items.get(policy.for_each) if policy.for_each and key is not None else None
    return next((item for item in items or () if item.key == key), None)


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
    return _Judged(item, view.judge(policy.condition), view.seen_by(policy.condition))


def _clear(policy: Policy, judged: _Judged, round_: _Round) -> Decision:
    item = judged.item
    subject = Subject(policy.name, round_.target.name, item.key if item else None)
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
    subject = Subject(policy.name, round_.target.name, item.key if item else None)
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
