"""Policies that only tell people: what they may say, what holds them, and what they hold up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result
from exporter.model.derive import derive
from exporter.model.hold import HoldReason
from exporter.model.operation import Budget, Usage, Window
from exporter.model.orders import Pause
from exporter.model.target import Target
from exporter.policy.actions import ACTIONS
from exporter.policy.breaker import Failure
from exporter.policy.circumstances import breaker_is_open, forbidden
from exporter.policy.clock import Suspicion
from exporter.policy.conflicts import problems_against
from exporter.policy.load import load_policies, read_policies
from exporter.policy.policy import Policy
from exporter.policy.served import Served
from exporter.policy.storm import Others
from exporter.policy.submit import first_acts, to_request, together
from exporter.policy.world import LastManual, OpenOperation, World
from tests.unit.policy_scenes import (
    NOW,
    ONE,
    TWO,
    decision,
    decisions,
    policy,
    report,
    views,
    world,
)

BROKEN = views(missing=["Counter"])
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BUILT = {"prod": Served.all_of(ACTIONS)}
TELLS = """\
policies:
  - name: tell
    mode: enforce
    when: size(services.missing) > 0
    action: {notify: {to: [ops], message: look at the rollout}}
    cooldown: 1h
"""


def tells(*args: str, action: str = "{notify: {to: [ops]}}", **changes: str) -> Policy:
    return policy(*args, **({"action": action, "limits": ""} | changes))


def problems(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "p.yaml").write_text(text)
    return list(read_policies(["p.yaml"], base=tmp_path).problems)


# What may be written


def test_it_needs_no_limits_and_the_ones_over_everything_do_not_count(tmp_path: Path) -> None:
    """All it has is a cooldown of its own."""
    (tmp_path / "p.yaml").write_text(TELLS)
    everything = Window("global", 20, HOUR)
    (rule,) = load_policies(["p.yaml"], base=tmp_path, limits=(everything,))
    assert rule.budget == Budget(HOUR, (), own_cooldown=True)
    assert rule.arguments["to"] == ["ops"]
    assert not rule.mends


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limits", "[{scope: target, max: 3, per: 24h}]"),
        ("storm", "{at_most: 3}"),
        ("breaker", "{failed: 3}"),
        ("verify", "{within: 10m}"),
        ("notify", "[ops]"),
    ],
)
def test_a_key_that_would_say_nothing_is_refused(tmp_path: Path, key: str, value: str) -> None:
    """Who writes it counts on it."""
    (found,) = problems(tmp_path, f"{TELLS}    {key}: {value}\n")
    assert found == (
        f"p.yaml:7:5: policies[0].{key}: notify mends nothing, so {key} says nothing about it;"
        f" leave {key} out"
    )


def test_nobody_approves_a_message(tmp_path: Path) -> None:
    """It is refused where it stands, with what to write instead."""
    found = problems(tmp_path, TELLS.replace("mode: enforce", "mode: approve"))
    assert (
        "p.yaml:3:11: policies[0].mode: notify changes nothing that a person could approve;"
        " write observe or enforce"
    ) in found


def test_where_people_approve_everything_a_message_is_sent() -> None:
    """`max_mode: approve` is about writes; `observe` is about everything."""
    rule = tells()
    assert rule.mode_under(Mode.APPROVE) is Mode.ENFORCE
    assert rule.mode_under(Mode.OBSERVE) is Mode.OBSERVE
    assert decision(rule, report(BROKEN), world(max_mode=Mode.APPROVE)).result is Result.ACT


def test_every_other_action_still_needs_limits(tmp_path: Path) -> None:
    """And is told what to write."""
    (found,) = problems(
        tmp_path,
        TELLS.replace("{to: [ops], message: look at the rollout}", "{}").replace(
            "notify", "force-redeploy"
        ),
    )
    assert found == (
        "p.yaml:2:5: policies[0].limits: is missing;"
        " write limits: [{scope: target, max: 3, per: 24h}]"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{to: []}", "5:27: policies[0].action.notify.to: is empty; write to: [ops]"),
        ("{to: ops}", "5:27: policies[0].action.notify.to: must be a list, not text ('ops')"),
        ("{to: [a, a]}", "5:27: policies[0].action.notify.to: names 'a' twice; name it once"),
        ("{too: [a]}", "5:23: policies[0].action.notify.too: 'too' is not an argument of notify"),
        ("{max_items: 0}", "0 is too small; write 1 or more"),
    ],
)
def test_arguments_are_checked(tmp_path: Path, arguments: str, said: str) -> None:
    """With place and mend, as everywhere."""
    text = TELLS.replace("{to: [ops], message: look at the rollout}", arguments)
    (found,) = problems(tmp_path, text)
    assert said in found


def test_a_name_that_is_no_notifier_is_an_error() -> None:
    """Under `notify` and under `to`, with its place and what there is."""
    heals = policy(more="notify: [opps]")
    found = problems_against((heals, tells()), (ONE,), BUILT, ("ops",))
    assert found == [
        "policies/test.yaml:9:13: notify: 'opps' is not a notifier; did you mean 'ops'?"
    ]
    (found_one,) = problems_against((tells(),), (ONE,), BUILT, ("night",))
    assert found_one.endswith(": action.notify.to: 'ops' is not a notifier; write night")
    (found_one,) = problems_against((tells(),), (ONE,), BUILT)
    assert "add notifiers: {ops: {webhook: {file: PATH}}} to the configuration" in found_one


def test_all_of_no_notifiers_is_an_error_only_when_somebody_would_be_told() -> None:
    """A policy that rehearses may be loaded where nobody is configured yet."""
    everybody = tells(action="{notify: {}}")
    assert problems_against((everybody,), (ONE,), BUILT, ("ops",)) == []
    (found,) = problems_against((everybody,), (ONE,), BUILT)
    assert "there is no notifier to tell" in found
    assert problems_against((tells(action="{notify: }", mode="observe"),), (ONE,), BUILT) == []


def test_it_verifies_nothing_so_no_interval_is_too_long_for_it() -> None:
    """What other policies could not verify within ten minutes may be told."""
    slow = Target("prod", intervals={Component.SERVICES: HOUR})
    assert problems_against((tells(),), (slow,), BUILT, ("ops",)) == []


# What holds it


FULL = Usage(target=(NOW,), policy=(NOW,), everything=(NOW,), last=NOW)
BUSY = {"prod": OpenOperation("op_1", "force-redeploy")}


def everything_against_writes() -> World:
    failures = tuple(Failure(NOW, "p", "prod") for _ in range(9))
    return world(
        usage=FULL,
        open_operations=BUSY,
        failures=failures,
        manual=LastManual(NOW, "mira", "force-redeploy"),
        identity="another cluster",
        others=Others(matched=100, affected=99, silent=("far",)),
    )


def test_what_only_keeps_restate_from_harm_does_not_hold_it() -> None:
    """A person at work, a storm, an open breaker, a throttled server: all the more to tell."""
    around = everything_against_writes()
    broken = report(BROKEN, failed={Component.INVOCATIONS: Reason.QUERY_FAILED})
    assert decision(policy(), broken, around).result is Result.HOLD
    found = decision(tells(), broken, around)
    assert (found.result, found.reason) == (Result.ACT, None)
    assert forbidden(tells(), ONE, around, now=NOW) is None
    assert not breaker_is_open(tells(), "prod", around, now=NOW)


@pytest.mark.parametrize(
    ("reason", "rule", "around"),
    [
        (HoldReason.MODE_OFF, tells(mode="off"), world()),
        (HoldReason.LEDGER_UNAVAILABLE, tells(), world(ledger_ok=False)),
        (HoldReason.NOT_OWNER, tells(), world(holder="other")),
        (
            HoldReason.PAUSED,
            tells(),
            world(pauses=(Pause(1, "global", "", "mira", "x", NOW, None),)),
        ),
        (HoldReason.CLOCK_SUSPECT, tells(), world(clock=Suspicion("it was set", NOW + HOUR))),
        (HoldReason.PENDING, tells(more="for: 2m"), world()),
        (
            HoldReason.OUTSIDE_WINDOW,
            tells(more="windows: [{days: [tue], start: '22:00', end: '23:00', timezone: UTC}]"),
            world(),
        ),
        (HoldReason.COOLDOWN, tells(), world(usage=Usage(own=NOW - MINUTE))),
        (HoldReason.OBSERVING, tells(mode="observe"), world()),
        (HoldReason.OBSERVING, tells(), world(max_mode=Mode.OBSERVE)),
    ],
    ids=lambda value: str(value) if isinstance(value, HoldReason) else "",
)
def test_all_other_gates_hold_it_as_they_hold_others(
    reason: HoldReason, rule: Policy, around: World
) -> None:
    """Without a ledger there is no message, a pause silences it, windows are kept."""
    assert decision(rule, report(BROKEN), around).reason is reason


def test_unknown_holds_it_too() -> None:
    """Nobody is told what nobody knows."""
    seen = report(BROKEN, failed={Component.SERVICES: Reason.HTTP_STATUS})
    assert decision(tells(), seen).reason is HoldReason.COMPONENT_UNKNOWN


def test_the_cooldown_is_its_own() -> None:
    """Neither another policy that tells people nor its remedy on the target starts it."""
    found = decision(tells(), report(BROKEN), world(usage=Usage(last=NOW)))
    assert found.result is Result.ACT
    held = decision(tells(), report(BROKEN), world(usage=Usage(own=NOW - MINUTE)))
    assert held.detail == (
        "the last operation of this policy on this target was at 2026-11-02 02:59:00 UTC;"
        " the cooldown of 15m ends at 2026-11-02 03:14:00 UTC"
    )


def test_its_last_message_must_have_arrived_or_been_given_up() -> None:
    """A webhook that hangs for longer than the cooldown gets no pile of the same."""
    own = {"prod/p": OpenOperation("preflight", "notify")}
    assert decision(tells(), report(BROKEN), world(open_operations=own)).reason is (
        HoldReason.IN_FLIGHT
    )
    assert decision(policy(), report(BROKEN), world(open_operations=own)).result is Result.ACT


def test_explain_shows_every_gate_in_the_same_order() -> None:
    """A gate that does not apply passes; it is not missing."""
    one, other = (decision(rule, report(BROKEN)) for rule in (tells(), policy()))
    assert [v.gate for v in one.verdicts] == [v.gate for v in other.verdicts]


def test_only_what_mends_nothing_is_let_through() -> None:
    """No action that writes to Restate waives a gate."""
    assert {name for name, action in ACTIONS.items() if action.waives} == {"notify"}
    assert {name for name, action in ACTIONS.items() if not action.mends} == {"notify"}


# Beside others


def acts(found: tuple[Decision, ...]) -> list[str]:
    return [d.subject.policy for d in found if d.result is Result.ACT]


def test_it_neither_waits_for_a_repair_nor_delays_one() -> None:
    """Of two repairs one waits; messages go beside them, each policy's own."""
    rules = [tells(name="t1"), policy(name="a"), policy(name="b"), tells(name="t2")]
    found = decisions(rules, report(BROKEN))
    assert acts(found) == ["t1", "a", "t2"]
    submitted = first_acts(found, {rule.name: rule for rule in rules})
    assert [d.subject.policy for d in submitted] == ["t1", "a", "t2"]
    assert {d.subject.policy: d.reason for d in found}["b"] is HoldReason.IN_FLIGHT


def test_a_rehearsed_repair_and_a_message_go_together() -> None:
    """Each lock has its own first: an act does not stand before a rehearsal of another lock."""
    rules = [policy(name="a", mode="observe"), tells(name="t")]
    found = decisions(rules, report(BROKEN))
    submitted = first_acts(found, {rule.name: rule for rule in rules})
    assert [d.subject.policy for d in submitted] == ["a", "t"]


def test_one_message_names_many_items() -> None:
    """Up to max_items; the others wait for the cooldown like everything the policy has to say."""
    rule = tells(
        "size(item.missing) > 0", action="{notify: {max_items: 1}}", more="for_each: workers"
    )
    both = tells("size(item.missing) > 0", more="for_each: workers")
    seen = report(views(TWO, missing=["Counter", "Mailer"]), target=TWO)
    for one, count in ((rule, 1), (both, 2)):
        found = decisions(one, seen, target=TWO)
        assert len(acts(found)) == count
        assert {d.reason for d in found if d.result is Result.HOLD} <= {HoldReason.IN_FLIGHT}
        first = first_acts(found, {one.name: one})[0]
        assert len(together(first, found, one)) == count


def test_its_request_locks_nothing_and_heals_nothing() -> None:
    """So it is no repair in any statistics."""
    rule = tells(more="for: 2m")
    seen = report(BROKEN)
    found = decision(rule, seen)
    request = to_request(found, rule, derive(seen, ONE, now=NOW))
    assert (request.mends, request.lock, request.true_since) == (False, "prod/p", None)
