"""The gates a decision passes, in the designed order: the first that holds names the hold.

Each is a pure function of a case to a verdict. A round asks until one holds; ``explain`` asks all,
so each answers whatever the others say. What the ledger would have to tell holds while it cannot.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from types import MappingProxyType

from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Mode, Verdict
from exporter.model.duration import format_duration
from exporter.model.findings import ComponentState
from exporter.model.hold import HoldReason
from exporter.model.operation import Budget
from exporter.policy.alarm_gates import alert_firing, alerts_unknown, silenced
from exporter.policy.case import PASSES, Case, Gate, held
from exporter.policy.cel import Failed, Unknown
from exporter.policy.circumstances import (
    breaker_open,
    clock_suspect,
    identity_changed,
    manual_hold,
    not_owner,
    outside_window,
    paused,
    storm,
)
from exporter.policy.limits import exhausted
from exporter.policy.waiting import ENOUGH_READINGS

_FREEZING = frozenset({Reason.THROTTLED, Reason.QUERY_FAILED, Reason.BLOCKED})
_SCOPES = MappingProxyType(
    {
        HoldReason.LIMIT_ITEM: "item",
        HoldReason.LIMIT_TARGET: "target",
        HoldReason.LIMIT_POLICY: "policy",
        HoldReason.LIMIT_GLOBAL: "global",
    }
)


def mode_off(case: Case) -> Verdict:
    """The policy, or everything, is switched off."""
    if case.mode is not Mode.OFF:
        return PASSES[HoldReason.MODE_OFF]
    whose = "the policy's mode" if case.policy.mode is Mode.OFF else "max_mode"
    return held(HoldReason.MODE_OFF, f"{whose} is off")


def ledger_unavailable(case: Case) -> Verdict:
    """No ledger, no action."""
    if case.world.ledger_ok:
        return PASSES[HoldReason.LEDGER_UNAVAILABLE]
    return held(HoldReason.LEDGER_UNAVAILABLE, "the ledger cannot be written")


def frozen(case: Case) -> Verdict:
    """The server throttles, its queries break, its partitions are blocked: do not add to it."""
    for component, state in case.findings.components.items():
        if state.status is Status.OK:
            continue
        if state.reason in _FREEZING or (
            component is Component.INVOCATIONS and _query_fails(state)
        ):
            until = None
            reading = case.report.readings.get(component)
            if reading is not None and reading.retry_after is not None:
                until = reading.finished_at + reading.retry_after
            return held(HoldReason.FROZEN, f"{component} reports {state.reason}", until)
    return PASSES[HoldReason.FROZEN]


def _query_fails(state: ComponentState) -> bool:
    """Only a real query proves the engine; one that hangs or breaks is a failed one."""
    return state.status is Status.DEGRADED or state.reason is Reason.TIMEOUT


def report_stale(case: Case) -> Verdict:
    """Something the condition reads has no fresh reading."""
    if not case.stale:
        return PASSES[HoldReason.REPORT_STALE]
    return held(HoldReason.REPORT_STALE, f"no fresh reading of {', '.join(case.stale)}")


def component_unknown(case: Case) -> Verdict:
    """CEL cannot decide the condition without values that are unknown now."""
    if not isinstance(case.outcome, Unknown):
        return PASSES[HoldReason.COMPONENT_UNKNOWN]
    return held(
        HoldReason.COMPONENT_UNKNOWN, f"{', '.join(case.outcome.variables)} unknown at present"
    )


def expression_error(case: Case) -> Verdict:
    """The condition fails when it is evaluated."""
    if not isinstance(case.outcome, Failed):
        return PASSES[HoldReason.EXPRESSION_ERROR]
    return held(HoldReason.EXPRESSION_ERROR, case.outcome.message)


def pending(case: Case) -> Verdict:
    """Not true for long enough yet, or not on enough distinct readings."""
    wanted, waiting = case.policy.for_, case.waiting
    if wanted <= timedelta(0):
        return PASSES[HoldReason.PENDING]
    if waiting is None:
        return held(HoldReason.PENDING, "not seen to be true now")
    lasted = case.now - waiting.since
    if lasted >= wanted and waiting.distinct >= ENOUGH_READINGS:
        return PASSES[HoldReason.PENDING]
    detail = f"true for {format_duration(lasted)} of {format_duration(wanted)}"
    few = [name for name, (_, count) in waiting.readings.items() if count < ENOUGH_READINGS]
    if few:
        detail += f", waiting for a second reading of {', '.join(sorted(few))}"
    return held(HoldReason.PENDING, detail, waiting.since + wanted)


def in_flight(case: Case) -> Verdict:
    """Another operation is open on the target."""
    operation = case.world.open_operations.get(case.policy.lock_on(case.subject.target))
    if operation is None:
        return PASSES[HoldReason.IN_FLIGHT]
    return in_flight_behind(f"{operation.remedy} ({operation.id}) is open on the target")


def in_flight_behind(detail: str) -> Verdict:
    """The verdict on what has to wait for another operation on its target."""
    return held(HoldReason.IN_FLIGHT, detail)


def cooldown(case: Case) -> Verdict:
    """The remedy was used on this target a short while ago."""
    return _spent(case, HoldReason.COOLDOWN, replace(case.policy.budget, windows=()))


def _limit(reason: HoldReason) -> Gate:
    scope = _SCOPES[reason]

    def gate(case: Case) -> Verdict:
        windows = tuple(w for w in case.policy.budget.windows if w.scope == scope)
        if not windows:
            return PASSES[reason]
        return _spent(case, reason, Budget(timedelta(0), windows))

    gate.__name__ = str(reason)
    gate.__doc__ = f"A limit of scope {scope} is used up."
    return gate


def _spent(case: Case, reason: HoldReason, budget: Budget) -> Verdict:
    if not case.world.ledger_ok:
        return held(reason, "what was done before is unknown while the ledger is unavailable")
    if case.spending.fits:
        return PASSES[reason]
    found = exhausted(budget, case.spending.usage, now=case.now, items=case.items)
    if found is None:
        return PASSES[reason]
    _, detail, until = found
    return held(reason, detail, until)


def preflight_refused(case: Case) -> Verdict:
    """The remedy's own preflight refused lately, and waits before it is asked again."""
    refusal = case.world.refusals.get(case.subject)
    if refusal is None or refusal.until <= case.now:
        return PASSES[HoldReason.PREFLIGHT_REFUSED]
    return held(HoldReason.PREFLIGHT_REFUSED, f"{refusal.reason}: {refusal.detail}", refusal.until)


def observing(case: Case) -> Verdict:
    """Everything else is open, but the effective mode only rehearses."""
    if case.mode.rank > Mode.OBSERVE.rank:
        return PASSES[HoldReason.OBSERVING]
    if case.policy.mode is case.mode:
        return held(HoldReason.OBSERVING, f"the policy's mode is {case.mode}")
    return held(HoldReason.OBSERVING, f"max_mode is {case.world.max_mode}")


def awaiting_approval(case: Case) -> Verdict:
    """A person must say yes to the plan. A no stands until the condition has been false."""
    if case.mode is not Mode.APPROVE or case.approved:
        return PASSES[HoldReason.AWAITING_APPROVAL]
    if case.proposal is None:
        return held(HoldReason.AWAITING_APPROVAL, "its plan is being made")
    return held(HoldReason.AWAITING_APPROVAL, case.proposal.detail)


GATES: tuple[Gate, ...] = (
    mode_off,
    ledger_unavailable,
    not_owner,
    paused,
    manual_hold,
    clock_suspect,
    identity_changed,
    frozen,
    report_stale,
    component_unknown,
    expression_error,
    pending,
    in_flight,
    breaker_open,
    storm,
    alerts_unknown,
    alert_firing,
    silenced,
    outside_window,
    cooldown,
    _limit(HoldReason.LIMIT_ITEM),
    _limit(HoldReason.LIMIT_TARGET),
    _limit(HoldReason.LIMIT_POLICY),
    _limit(HoldReason.LIMIT_GLOBAL),
    preflight_refused,
    observing,
    awaiting_approval,
)
"""In the order of ``HoldReason``, which a test compares."""


@cache
def gates_without(waived: frozenset[HoldReason]) -> tuple[Gate, ...]:
    """The same gates in the same order; those that are waived pass, whatever they are asked."""
    return tuple(
        _passing(reason) if (reason := HoldReason(gate.__name__)) in waived else gate
        for gate in GATES
    )


def _passing(reason: HoldReason) -> Gate:
    return lambda _case: PASSES[reason]
