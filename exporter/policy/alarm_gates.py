"""The gates that ask Alertmanager: whether it is known, whether an alert fires, and silences.

Asked when a policy decides and again before each write. What is not known holds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exporter.model.decision import Verdict
from exporter.model.duration import format_duration
from exporter.model.hold import HoldReason
from exporter.model.target import Target
from exporter.policy.alarms import Heard, Silence
from exporter.policy.case import PASSES, Case, held
from exporter.policy.policy import Policy
from exporter.policy.world import World

_FIRES = "which alerts fire is unknown"
_SILENCES = "which silences there are is unknown"


def alerts_unknown(case: Case) -> Verdict:
    """Alertmanager was never read, or not lately enough."""
    return _unknown(case.policy, case.world, case.now)


def alert_firing(case: Case) -> Verdict:
    """An alert fires that the policy must not act beside."""
    return _firing(case.policy, case.target, case.world, case.now)


def silenced(case: Case) -> Verdict:
    """A person silenced the target's alerts: it is being worked on."""
    return _silenced(case.target, case.world, case.now)


def alarm_verdicts(
    policy: Policy, target: Target, world: World, now: datetime
) -> tuple[Verdict, ...]:
    """The verdicts of all three that the policy must pass, in the order of the gates."""
    verdicts = (
        _unknown(policy, world, now),
        _firing(policy, target, world, now),
        _silenced(target, world, now),
    )
    return tuple(verdict for verdict in verdicts if verdict.gate not in policy.waives)


def _unknown(policy: Policy, world: World, now: datetime) -> Verdict:
    concerned = bool(policy.block_on_alerts) or _silences_count(world)
    if not concerned or _known(world, now) is not None:
        return PASSES[HoldReason.ALERTS_UNKNOWN]
    return held(HoldReason.ALERTS_UNKNOWN, _why_unknown(world, now))


def _firing(policy: Policy, target: Target, world: World, now: datetime) -> Verdict:
    if not policy.block_on_alerts:
        return PASSES[HoldReason.ALERT_FIRING]
    known = _known(world, now)
    if known is None:
        return held(HoldReason.ALERT_FIRING, _FIRES)
    for blocker in policy.block_on_alerts:
        matchers = blocker.on(target)
        alert = known.firing(matchers)
        if alert is not None:
            since = f"{alert.since:%F %H:%M:%SZ}"
            said = ", ".join(map(str, matchers))
            return held(HoldReason.ALERT_FIRING, f"{alert.name} fires since {since} ({said})")
    return PASSES[HoldReason.ALERT_FIRING]


def _silenced(target: Target, world: World, now: datetime) -> Verdict:
    if not _silences_count(world):
        return PASSES[HoldReason.SILENCED]
    known = _known(world, now)
    if known is None:
        return held(HoldReason.SILENCED, _SILENCES)
    found = known.silencing(target)
    return PASSES[HoldReason.SILENCED] if found is None else _by(found)


def _by(silence: Silence) -> Verdict:
    comment = f": {silence.comment}" if silence.comment else ""
    detail = f"{silence.author or 'somebody'} silenced this target{comment} (silence {silence.id})"
    return held(HoldReason.SILENCED, detail, silence.until)


def _silences_count(world: World) -> bool:
    return world.alarms is not None and world.alarms.silences_count


def _known(world: World, now: datetime) -> Heard | None:
    """The newest reading, if it is not too old; one from the future is of another clock."""
    alarms = world.alarms
    if alarms is None or alarms.heard is None:
        return None
    age = now - alarms.heard.read_at
    return alarms.heard if timedelta(0) <= age <= alarms.max_age else None


def _why_unknown(world: World, now: datetime) -> str:
    alarms = world.alarms
    if alarms is None:
        return "no Alertmanager is configured"
    trouble = f": {alarms.trouble}" if alarms.trouble else ""
    if alarms.heard is None:
        return f"Alertmanager was not read yet{trouble}"
    age = now - alarms.heard.read_at
    if age < timedelta(0):
        return "Alertmanager was read later than now: the clock was set back"
    ages = f"{format_duration(age)} ago, more than {format_duration(alarms.max_age)}"
    return f"Alertmanager was last read {ages}{trouble}"
