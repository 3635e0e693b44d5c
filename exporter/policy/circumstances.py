"""The gates about the time and the people around a target, not about the target itself.

Most are asked twice: when a policy decides, and again before each write (``still_allowed``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exporter.model.decision import Verdict
from exporter.model.duration import format_duration
from exporter.model.hold import HoldReason
from exporter.model.target import Target
from exporter.policy.alarm_gates import alarm_verdicts
from exporter.policy.breaker import opened
from exporter.policy.case import PASSES, Case, held
from exporter.policy.policy import Policy
from exporter.policy.windows import is_open, opens_at
from exporter.policy.world import World

MANUAL_HOLD = timedelta(minutes=10)
"""After a person's operation, policies leave its target alone for so long."""


def not_owner(case: Case) -> Verdict:
    """Another process on the same ledger acts for the target."""
    return _owner(case.world)


def paused(case: Case) -> Verdict:
    """A person told policies to rest: everywhere, on this target, or this one."""
    return _paused(case.policy, case.subject.target, case.world, case.now)


def manual_hold(case: Case) -> Verdict:
    """A person is at work on the target: let them finish, and see what it did."""
    last = case.world.manual
    until = None if last is None else last.at + MANUAL_HOLD
    if last is None or until is None or until <= case.now:
        return PASSES[HoldReason.MANUAL_HOLD]
    detail = f"{last.actor} ran {last.remedy} on this target {_ago(case.now - last.at)}"
    return held(HoldReason.MANUAL_HOLD, detail, until)


def clock_suspect(case: Case) -> Verdict:
    """The wall clock was set, so that nobody knows how long ago anything was."""
    found = case.world.clock
    if found is None:
        return PASSES[HoldReason.CLOCK_SUSPECT]
    return held(HoldReason.CLOCK_SUSPECT, found.sentence, found.until)


def identity_changed(case: Case) -> Verdict:
    """It may be another Restate, or one that was wiped: a person must say that it is right."""
    if case.world.identity is None:
        return PASSES[HoldReason.IDENTITY_CHANGED]
    mend = f"if that is right: restate-medic accept {case.subject.target}"
    return held(HoldReason.IDENTITY_CHANGED, f"{case.world.identity}; {mend}")


def breaker_open(case: Case) -> Verdict:
    """The remedy did not help here, or the policy not on several targets: writes are over."""
    if not case.world.ledger_ok:
        return held(
            HoldReason.BREAKER_OPEN, "what failed before is unknown while the ledger is unavailable"
        )
    return _breaker(case.policy, case.subject.target, case.world, case.now)


def storm(case: Case) -> Verdict:
    """Too many targets, or items of this one, are affected at once."""
    others = case.world.others(case.policy.name)
    found = case.policy.storm.holds(others, case.affected_items)
    return PASSES[HoldReason.STORM] if found is None else held(HoldReason.STORM, found)


def outside_window(case: Case) -> Verdict:
    """It is not the time of day, or the day, at which the policy may act; approved, it may."""
    return PASSES[HoldReason.OUTSIDE_WINDOW] if case.approved else _window(case.policy, case.now)


def forbidden(
    policy: Policy, target: Target, world: World, *, now: datetime, approved: bool = False
) -> Verdict | None:
    """Why a policy's operation that is under way may not write any more; None: it may.

    What a person ``approved`` may go on outside the window.
    """
    verdicts = (
        _owner(world),
        _paused(policy, target.name, world, now),
        _breaker(policy, target.name, world, now),
        *alarm_verdicts(policy, target, world, now),
        PASSES[HoldReason.OUTSIDE_WINDOW] if approved else _window(policy, now),
    )
    return next((v for v in verdicts if v.holds), None)


def _owner(world: World) -> Verdict:
    if world.owned:
        return PASSES[HoldReason.NOT_OWNER]
    who = world.holder or "nobody yet"
    return held(HoldReason.NOT_OWNER, f"{who} acts for this target; this instance stands by")


def _paused(policy: Policy, target: str, world: World, now: datetime) -> Verdict:
    if not world.pauses:
        return PASSES[HoldReason.PAUSED]
    found = [
        pause
        for pause in world.pauses
        if pause.in_force(now) and pause.covers(policy=policy.name, target=target)
    ]
    if not found:
        return PASSES[HoldReason.PAUSED]
    ends = [pause.expires_at for pause in found]
    until = None if None in ends else max(end for end in ends if end is not None)
    first = found[0]
    more = f", and {len(found) - 1} more" if found[1:] else ""
    detail = f"{first.owner} paused {first.what}: {first.reason} (pause {first.id}{more})"
    return held(HoldReason.PAUSED, detail, until)


def breaker_is_open(policy: Policy, target: str, world: World, *, now: datetime) -> bool:
    """Whether the policy's breaker is open on the target, for its metric."""
    return _breaker(policy, target, world, now).holds


def _breaker(policy: Policy, target: str, world: World, now: datetime) -> Verdict:
    if HoldReason.BREAKER_OPEN in policy.waives:
        return PASSES[HoldReason.BREAKER_OPEN]
    found = opened(
        policy.breaker,
        policy=policy.name,
        target=target,
        remedy=policy.action,
        here=world.failures(target, policy.action),
        of_policy=world.failures_of(policy.name),
        now=now,
    )
    if found is None:
        return PASSES[HoldReason.BREAKER_OPEN]
    return held(HoldReason.BREAKER_OPEN, found.sentence, found.until)


def _window(policy: Policy, now: datetime) -> Verdict:
    if is_open(policy.windows, now):
        return PASSES[HoldReason.OUTSIDE_WINDOW]
    shown = "; ".join(map(str, policy.windows))
    detail = f"only within {shown}"
    return held(HoldReason.OUTSIDE_WINDOW, detail, opens_at(policy.windows, now))


def _ago(passed: timedelta) -> str:
    return "just now" if passed < timedelta(seconds=1) else f"{format_duration(passed)} ago"
