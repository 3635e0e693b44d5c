"""The gates about the time and the people around a target, not about the target itself.

Most are asked twice: when a policy decides, and again before each write (``still_allowed``).
"""

from __future__ import annotations

from datetime import datetime

from exporter.model.decision import Verdict
from exporter.model.hold import HoldReason
from exporter.policy.breaker import opened
from exporter.policy.case import PASSES, Case, held
from exporter.policy.policy import Policy
from exporter.policy.windows import is_open, opens_at
from exporter.policy.world import World


def paused(case: Case) -> Verdict:
    """A person told policies to rest: everywhere, on this target, or this one."""
    return _paused(case.policy, case.subject.target, case.world, case.now)


def breaker_open(case: Case) -> Verdict:
    """The remedy did not help here, or the policy not on several targets: writes are over."""
    if not case.world.ledger_ok:
        return held(
            HoldReason.BREAKER_OPEN, "what failed before is unknown while the ledger is unavailable"
        )
    return _breaker(case.policy, case.subject.target, case.world, case.now)


def outside_window(case: Case) -> Verdict:
    """It is not the time of day, or the day, at which the policy may act."""
    return _window(case.policy, case.now)


def forbidden(policy: Policy, target: str, world: World, *, now: datetime) -> Verdict | None:
    """Why a policy's operation that is under way may not write any more; None: it may."""
    verdicts = (
        _paused(policy, target, world, now),
        _breaker(policy, target, world, now),
        _window(policy, now),
    )
    return next((v for v in verdicts if v.holds), None)


def _paused(policy: Policy, target: str, world: World, now: datetime) -> Verdict:
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
