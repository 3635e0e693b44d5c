"""Every hold reason that exists is produced here, by the whole of ``decide``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Mode, Result, Subject, Waiting
from exporter.model.hold import HoldReason
from exporter.model.operation import Usage, Window
from exporter.model.orders import Pause
from exporter.model.report import Reading
from exporter.model.views import NodeView
from exporter.policy.breaker import Failure
from exporter.policy.clock import Suspicion
from exporter.policy.gates import GATES
from exporter.policy.storm import Others
from exporter.policy.world import LastManual, OpenOperation, Refusal
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
    """One order: the enum's. Every reason has a gate."""
    found = decision(policy(), report(BROKEN))
    asked = [verdict.gate for verdict in found.verdicts]
    assert asked == list(HoldReason)
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
    assert {v.gate: v for v in found.verdicts}[HoldReason.FROZEN].until == NOW + timedelta(
        seconds=20
    )


def test_blocked_partitions_freeze() -> None:
    """What the node says of its partitions counts for every policy, whatever that reads."""
    target = replace(ONE, intervals={**ONE.intervals, Component.NODE: MINUTE})
    seen = report(BROKEN, target=target)
    blocked = Reading(
        Component.NODE,
        Status.DEGRADED,
        NOW,
        NOW,
        MINUTE,
        reason=Reason.BLOCKED,
        error="1 of 24 partitions",
        view=NodeView(24, ("3: ahead_of_log",)),
    )
    with_node = replace(seen, readings={**seen.readings, Component.NODE: blocked})
    found = decision(policy(), with_node, target=target)
    assert (found.reason, found.detail) == (HoldReason.FROZEN, "node reports blocked")


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


def test_not_owner() -> None:
    """While another process acts, or nobody knows who does."""
    found = decision(policy(), report(BROKEN), world(holder="there:1:abc"))
    assert found.reason is HoldReason.NOT_OWNER
    assert found.detail == "there:1:abc acts for this target; this instance stands by"
    assert decision(policy(), report(BROKEN), world(holder="")).reason is HoldReason.NOT_OWNER


def test_paused() -> None:
    """A pause of everything, of the target or of the policy holds while it is in force."""
    for scope, name in (("global", ""), ("target", "prod"), ("policy", "p")):
        pause = Pause(7, scope, name, "mira", "rollout", NOW, NOW + HOUR)  # type: ignore[arg-type]
        found = decision(policy(), report(BROKEN), world(pauses=(pause,)))
        assert found.reason is HoldReason.PAUSED
        assert next(v for v in found.verdicts if v.holds).until == NOW + HOUR
        over = replace(pause, expires_at=NOW)
        assert decision(policy(), report(BROKEN), world(pauses=(over,))).result is Result.ACT
        longer = (pause, replace(pause, expires_at=None))
        found = decision(policy(), report(BROKEN), world(pauses=longer))
        assert next(v for v in found.verdicts if v.holds).until is None


def test_manual_hold() -> None:
    """Ten minutes after a person's operation, policies may act again."""
    last = LastManual(NOW - 9 * MINUTE, "mira", "force-redeploy")
    found = decision(policy(), report(BROKEN), world(manual=last))
    assert found.reason is HoldReason.MANUAL_HOLD
    assert found.detail == "mira ran force-redeploy on this target 9m ago"
    assert next(v for v in found.verdicts if v.holds).until == NOW + MINUTE
    over = replace(last, at=NOW - 10 * MINUTE)
    assert decision(policy(), report(BROKEN), world(manual=over)).result is Result.ACT


def test_clock_suspect() -> None:
    """While the clock is suspect, whatever it says now."""
    suspicion = Suspicion("the clock was set back by 1h", NOW + MINUTE)
    found = decision(policy(), report(BROKEN), world(clock=suspicion))
    assert (found.reason, found.detail) == (HoldReason.CLOCK_SUSPECT, suspicion.sentence)


def test_identity_changed() -> None:
    """What may be another Restate is for a person, and it says how."""
    found = decision(policy(), report(BROKEN), world(identity="the cluster was a and is now b"))
    assert found.reason is HoldReason.IDENTITY_CHANGED
    assert found.detail.endswith("restate-medic accept prod")


def test_breaker_open() -> None:
    """Two failures of the remedy on the target stop it, until a person says otherwise."""
    once = Failure(NOW - HOUR, "p", "prod")
    again = Failure(NOW - MINUTE, "another", "prod")
    assert decision(policy(), report(BROKEN), world(failures=[once])).result is Result.ACT
    found = decision(policy(), report(BROKEN), world(failures=[once, again]))
    assert found.reason is HoldReason.BREAKER_OPEN
    assert "breaker reset prod force-redeploy" in found.detail
    elsewhere = [one._replace(target="other") for one in (once, again)]
    assert decision(policy(), report(BROKEN), world(failures=elsewhere)).result is Result.ACT
    blind = decision(policy(), report(BROKEN), world(ledger_ok=False))
    assert HoldReason.BREAKER_OPEN in {v.gate for v in blind.verdicts if v.holds}


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (Others(1), None),
        (Others(2, 1), "2 of 2 targets are affected, more than 1"),
        (Others(5, 1), None),
        (Others(5, 2), "3 of 5 targets are affected, more than 2"),
        (Others(1000, 19), None),
        (Others(1000, 20), "21 of 1000 targets are affected, more than 20"),
        (Others(5, 0, ("lab", "staging")), "no word yet from lab and staging"),
    ],
)
def test_storm(others: Others, said: str | None) -> None:
    """Too many targets of the policy affected, or some that nobody has heard of."""
    found = decision(policy(), report(BROKEN), world(others=others))
    assert (found.reason is HoldReason.STORM) is (said is not None)
    assert (said or "") in found.detail


def test_too_many_items_of_one_target_are_a_storm() -> None:
    """Those that are unknown count; those that are well do not."""
    rule = policy("size(item.missing) > 0", more="storm: {max_items: 1}", for_each="workers")
    one = report(views(TWO, missing=["Counter"]), target=TWO)
    assert decisions(rule, one, target=TWO)[0].result is Result.ACT
    both = report(views(TWO, missing=["Counter", "Mailer"]), target=TWO)
    found = decisions(rule, both, target=TWO)
    assert {one.reason for one in found} == {HoldReason.STORM}
    assert found[0].detail == "2 items are affected on this target, more than 1"


def test_outside_window() -> None:
    """Outside its hours it holds, whatever they are of; it says when they begin."""
    more = """
        windows:
          - {days: [mon], start: "22:00", end: "05:00", timezone: Europe/Berlin}
    """
    found = decision(policy(more=more), report(BROKEN))  # a Monday, four in the morning there
    assert found.reason is HoldReason.OUTSIDE_WINDOW
    assert found.detail == "only within mon 22:00 to 05:00 Europe/Berlin"
    (verdict,) = [v for v in found.verdicts if v.holds]
    assert verdict.until == NOW.replace(hour=21)
    night = NOW.replace(hour=21)
    seen = report(BROKEN, at=night)
    assert decision(policy(more=more), seen, now=night).result is Result.ACT


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


def test_observing() -> None:
    """To observe is to rehearse, whichever of the two modes is the lower."""
    for found in (
        decision(policy(mode="observe"), report(BROKEN)),
        decision(policy(), report(BROKEN), world(max_mode=Mode.OBSERVE)),
    ):
        assert found.reason is HoldReason.OBSERVING
        assert found.ready
        assert found.mode is Mode.OBSERVE
