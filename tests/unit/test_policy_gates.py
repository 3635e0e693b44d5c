"""Every hold reason that exists is produced here, by the whole of ``decide``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.model.component import Component, Reason
from exporter.model.decision import Mode, Result, Subject, Waiting
from exporter.model.hold import HoldReason
from exporter.model.operation import Usage, Window
from exporter.policy.gates import GATES
from exporter.policy.world import OpenOperation, Refusal
from tests.unit.policy_scenes import (
    NOW,
    ONE,
    TWO,
    URL,
    decision,
    decisions,
    policy,
    report,
    views,
    world,
)

BROKEN = views(missing=["Counter"])
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
UNBUILT = {
    HoldReason.NOT_OWNER,
    HoldReason.PAUSED,
    HoldReason.MANUAL_HOLD,
    HoldReason.CLOCK_SUSPECT,
    HoldReason.IDENTITY_CHANGED,
    HoldReason.BREAKER_OPEN,
    HoldReason.STORM,
    HoldReason.ALERTS_UNKNOWN,
    HoldReason.ALERT_FIRING,
    HoldReason.SILENCED,
    HoldReason.OUTSIDE_WINDOW,
    HoldReason.AWAITING_APPROVAL,
}


def test_it_acts_when_nothing_holds() -> None:
    """A condition that is true behind open gates gives an act, with the values it saw."""
    found = decision(policy(), report(BROKEN))
    assert (found.result, found.reason) == (Result.ACT, None)
    assert found.values == {"services.missing": ["Counter"]}
    assert found.ready


def test_it_is_clear_when_the_condition_is_false_whatever_the_gates_say() -> None:
    """A false condition is clear even when everything would hold."""
    found = decision(policy(mode="off"), report(views()), world(ledger_ok=False))
    assert (found.result, found.reason, found.verdicts) == (Result.CLEAR, None, ())


def test_the_gates_stand_in_the_order_of_the_hold_reasons() -> None:
    """One order: the enum's. Every reason has a gate, or is known not to be built."""
    found = decision(policy(), report(BROKEN))
    asked = [verdict.gate for verdict in found.verdicts]
    assert asked == [reason for reason in HoldReason if reason not in UNBUILT]
    assert len(GATES) == len(asked)


def test_mode_off() -> None:
    """A policy that is off holds; so does everything under max_mode off."""
    assert decision(policy(mode="off"), report(BROKEN)).reason is HoldReason.MODE_OFF
    found = decision(policy(), report(BROKEN), world(max_mode=Mode.OFF))
    assert (found.reason, found.detail) == (HoldReason.MODE_OFF, "max_mode is off")


def test_ledger_unavailable() -> None:
    """Without a ledger nothing acts, and nobody asks it what was done before."""
    found = decision(policy(), report(BROKEN), world(ledger_ok=False))
    assert found.reason is HoldReason.LEDGER_UNAVAILABLE
    held = {v.gate for v in found.verdicts if v.holds}
    assert HoldReason.COOLDOWN in held


@pytest.mark.parametrize("reason", [Reason.THROTTLED, Reason.QUERY_FAILED])
def test_frozen(reason: Reason) -> None:
    """A server that throttles, or whose queries break, gets no writes, whatever else is known."""
    seen = report(BROKEN, failed={Component.INVOCATIONS: reason}, retry_after=timedelta(seconds=20))
    found = decision(policy(), seen)
    assert found.reason is HoldReason.FROZEN
    assert found.verdicts[2].until == NOW + timedelta(seconds=20)


def test_report_stale() -> None:
    """A component that the condition reads must have a fresh reading; other ones need not."""
    old = {Component.SERVICES: NOW - MINUTE}
    found = decision(policy(), report(BROKEN, read_at=old))
    assert (found.reason, found.detail) == (
        HoldReason.REPORT_STALE,
        "no fresh reading of services",
    )
    other = {Component.INGRESS: NOW - MINUTE}
    assert decision(policy(), report(BROKEN, read_at=other)).result is Result.ACT


def test_a_reading_from_the_future_is_stale() -> None:
    """After the clock was set back, what seems to be read later than now does not count."""
    ahead = {Component.SERVICES: NOW + HOUR}
    assert decision(policy(), report(BROKEN, read_at=ahead)).reason is HoldReason.REPORT_STALE


def test_component_unknown() -> None:
    """A failed read leaves its values unknown, and what needs them holds."""
    found = decision(policy(), report(BROKEN, failed={Component.SERVICES: Reason.HTTP_STATUS}))
    assert found.reason is HoldReason.COMPONENT_UNKNOWN
    assert "services.missing" in found.detail


def test_expression_error() -> None:
    """A condition that fails holds; its error text is not taken for true."""
    found = decision(policy('services.missing[5] == "x"'), report(BROKEN))
    assert found.reason is HoldReason.EXPRESSION_ERROR
    assert "Index error" in found.detail


def test_pending() -> None:
    """True once is not enough for ``for``: not before the time, not on one reading."""
    rule = policy(more="for: 2m")
    found = decision(rule, report(BROKEN))
    assert found.reason is HoldReason.PENDING
    assert found.waiting == Waiting(NOW, {"services": (NOW, 1)}, rule.revision)


def test_pending_ends_after_the_time_and_two_readings() -> None:
    """Both are needed: the whole time, and a second distinct reading."""
    rule, subject = policy(more="for: 2m"), Subject("p", "prod")
    waiting = {subject: Waiting(NOW, {"services": (NOW, 1)}, rule.revision)}

    def at(later: timedelta, read: timedelta) -> HoldReason | None:
        seen = report(BROKEN, at=NOW + read)
        return decision(rule, seen, world(waiting=waiting), now=NOW + later).reason

    assert at(2 * MINUTE, 2 * MINUTE) is None
    assert at(2 * MINUTE - timedelta(seconds=1), MINUTE * 1.9) is HoldReason.PENDING
    slow = replace(ONE, intervals=dict.fromkeys(Component, HOUR))
    same = report(BROKEN, at=NOW, target=slow)
    found = decision(rule, same, world(waiting=waiting), target=slow, now=NOW + 3 * MINUTE)
    assert found.reason is HoldReason.PENDING
    assert "a second reading of services" in found.detail


def test_waiting_starts_anew_after_false_unknown_and_stale() -> None:
    """Whatever is not true on fresh readings clears the waiting."""
    rule, subject = policy(more="for: 2m"), Subject("p", "prod")
    around = world(
        waiting={subject: Waiting(NOW - HOUR, {"services": (NOW - MINUTE, 9)}, rule.revision)}
    )
    assert decision(rule, report(BROKEN), around).result is Result.ACT
    for seen in (
        report(views()),
        report(BROKEN, failed={Component.SERVICES: Reason.TIMEOUT}),
        report(BROKEN, read_at={Component.SERVICES: NOW - HOUR}),
    ):
        assert decision(rule, seen, around).waiting is None


def test_in_flight() -> None:
    """An operation that is open on the target, whoever's, holds."""
    around = world(open_operations={"prod": OpenOperation("op_1", "force-redeploy")})
    found = decision(policy(), report(BROKEN), around)
    assert found.reason is HoldReason.IN_FLIGHT
    assert "op_1" in found.detail


def test_several_ready_on_one_target_go_in_file_order() -> None:
    """The first that would act does; the rest are in flight behind it."""
    first, second, third = decisions(
        [policy(name="a"), policy(name="b"), policy(name="c")], report(BROKEN)
    )
    assert first.result is Result.ACT
    assert {second.reason, third.reason} == {HoldReason.IN_FLIGHT}
    assert "policy a" in second.detail
    assert [v.gate for v in second.verdicts if v.holds] == [HoldReason.IN_FLIGHT]


def test_an_observing_policy_does_not_block_an_enforcing_one() -> None:
    """Rehearsing comes second even when it comes first in the file."""
    first, second = decisions([policy(name="a", mode="observe"), policy(name="b")], report(BROKEN))
    assert first.reason is HoldReason.OBSERVING
    assert second.result is Result.ACT


def test_the_items_of_a_target_go_in_their_order() -> None:
    """With for_each the first item acts, the next waits its turn."""
    rule = policy("size(item.missing) > 0", for_each="workers")
    seen = report(views(TWO, missing=["Counter", "Mailer"]), target=TWO)
    first, second = decisions(rule, seen, target=TWO)
    assert (first.subject.item, first.result) == (URL, Result.ACT)
    assert second.reason is HoldReason.IN_FLIGHT


def test_cooldown() -> None:
    """An operation of this remedy on this target a short while ago holds, until it is over."""
    last = NOW - timedelta(minutes=14)
    found = decision(policy(), report(BROKEN), world(usage=Usage(last=last)))
    assert found.reason is HoldReason.COOLDOWN
    (verdict,) = [v for v in found.verdicts if v.holds]
    assert verdict.until == NOW + MINUTE


@pytest.mark.parametrize(
    ("limits", "usage", "reason"),
    [
        ("item", Usage(item={URL: (NOW - HOUR,)}), HoldReason.LIMIT_ITEM),
        ("target", Usage(target=(NOW - HOUR,)), HoldReason.LIMIT_TARGET),
        ("policy", Usage(policy=(NOW - HOUR,)), HoldReason.LIMIT_POLICY),
    ],
)
def test_limits(limits: str, usage: Usage, reason: HoldReason) -> None:
    """A used-up window of each scope holds under its own name; another item's use does not."""
    rule = policy(
        "size(item.missing) > 0",
        for_each="workers",
        limits=f"[{{scope: {limits}, max: 1, per: 24h}}]",
    )
    assert decision(rule, report(BROKEN), world(usage=usage)).reason is reason
    elsewhere = Usage(item={"http://other/": (NOW - HOUR,)})
    assert decision(rule, report(BROKEN), world(usage=elsewhere)).result is Result.ACT


def test_limit_global() -> None:
    """The limits over everything are part of each policy's budget."""
    rule = policy()
    windows = (*rule.budget.windows, Window("global", 1, HOUR))
    rule = replace(rule, budget=replace(rule.budget, windows=windows))
    around = world(usage=Usage(everything=(NOW - MINUTE,)))
    assert decision(rule, report(BROKEN), around).reason is HoldReason.LIMIT_GLOBAL


def test_a_maximum_of_zero_is_never() -> None:
    """``max: 0`` holds although nothing was ever done."""
    rule = policy(limits="[{scope: policy, max: 0, per: forever}]")
    assert decision(rule, report(BROKEN)).reason is HoldReason.LIMIT_POLICY


def test_preflight_refused() -> None:
    """A refusal holds until its time is over, and only the subject that was refused."""
    subject = Subject("p", "prod")
    refusal = Refusal("not-latest", "it would pull traffic back", NOW + MINUTE)
    found = decision(policy(), report(BROKEN), world(refusals={subject: refusal}))
    assert (found.reason, found.detail) == (
        HoldReason.PREFLIGHT_REFUSED,
        "not-latest: it would pull traffic back",
    )
    over = replace(refusal, until=NOW)
    assert decision(policy(), report(BROKEN), world(refusals={subject: over})).result is Result.ACT


@pytest.mark.parametrize("most", [Mode.OBSERVE, Mode.APPROVE])
def test_observing(most: Mode) -> None:
    """Below enforce nothing acts, whichever of the two modes is the lower; it may be rehearsed."""
    for found in (
        decision(policy(mode="observe"), report(BROKEN)),
        decision(policy(), report(BROKEN), world(max_mode=most)),
    ):
        assert found.reason is HoldReason.OBSERVING
        assert found.ready
        assert found.mode is Mode.OBSERVE
