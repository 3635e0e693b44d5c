"""What is decided, about what, and what is handed on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.model.component import Component, Reason
from exporter.model.decision import Mode, Result, Subject
from exporter.model.derive import derive
from exporter.model.hold import HoldReason
from exporter.model.report import Report
from exporter.model.target import DEFAULT_INTERVALS, Target
from exporter.policy.sight import still_wrong
from exporter.policy.submit import first_act, to_request
from exporter.policy.world import waiting_of
from tests.unit.policy_scenes import (
    NOW,
    ONE,
    OTHER_URL,
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


def test_a_policy_is_decided_only_on_the_targets_it_selects() -> None:
    """Names and labels must both match; a policy about others says nothing."""
    tiered = replace(ONE, labels={"tier": "critical"})
    for selector, expected in (
        ("{names: [prod]}", 1),
        ("{names: [other]}", 0),
        ("{labels: {tier: critical}}", 1),
        ("{labels: {tier: low}}", 0),
        ("{names: [prod], labels: {tier: low}}", 0),
    ):
        rule = policy(targets=selector)
        assert len(decisions(rule, report(BROKEN), target=tiered)) == expected, selector


def test_for_each_decides_every_item_by_itself() -> None:
    """One item that is fine does not hide another that is not."""
    rule = policy("size(item.missing) > 0", for_each="workers")
    first, second = decisions(rule, report(views(TWO, missing=["Mailer"]), target=TWO), target=TWO)
    assert (first.subject, first.result) == (Subject("p", "prod", URL), Result.CLEAR)
    assert (second.subject, second.result) == (Subject("p", "prod", OTHER_URL), Result.ACT)
    assert second.values == {"item.missing": ["Mailer"]}


def test_an_unknown_list_of_items_holds_and_an_empty_one_is_clear() -> None:
    """Not to know the items is not the same as that there are none."""
    rule = replace(policy(), for_each="workflows.failed")
    rule = replace(rule, condition=replace(rule.condition, components=frozenset(DEFAULT_INTERVALS)))
    fine = report(views())
    assert decision(rule, fine).result is Result.CLEAR
    broken = report(views(), failed={Component.INVOCATIONS: Reason.REFUSED})
    found = decision(rule, broken)
    assert (found.subject.item, found.reason) == (None, HoldReason.COMPONENT_UNKNOWN)
    never = Report("prod", {c: r for c, r in fine.readings.items() if c != "invocations"})
    assert decision(rule, never).reason is HoldReason.REPORT_STALE


def test_what_nobody_looked_at_does_not_turn_clear() -> None:
    """A stale status is unknown, so a condition on it holds instead of looking healed."""
    rule = policy('ingress.status == "unreachable"')
    down = report(views(), failed={Component.INGRESS: Reason.REFUSED})
    assert decision(rule, down).result is Result.ACT
    later = NOW + timedelta(minutes=5)
    assert decision(rule, down, now=later).reason is HoldReason.REPORT_STALE
    rule = policy('size(item.missing) > 0 && item.reachable == "yes"', for_each="workers")
    blind = report(BROKEN, failed={Component.DRIFT: Reason.TIMEOUT})
    assert decision(rule, blind).reason is HoldReason.COMPONENT_UNKNOWN


def test_cel_decides_without_what_is_unknown_when_it_can() -> None:
    """``false && unknown`` is false; ``true || unknown`` is true, and held only when stale."""
    failed = {Component.INVOCATIONS: Reason.REFUSED}
    both = policy("size(services.missing) > 0 && invocations.paused > 0")
    assert decision(both, report(views(), failed=failed)).result is Result.CLEAR
    either = policy("size(services.missing) > 0 || invocations.paused > 0")
    assert decision(either, report(BROKEN, failed=failed)).result is Result.ACT
    stale = {Component.INVOCATIONS: NOW - timedelta(hours=1)}
    assert decision(either, report(BROKEN, read_at=stale)).reason is HoldReason.REPORT_STALE


def test_every_component_a_condition_uses_needs_two_readings() -> None:
    """The slowest component of a condition sets the pace of ``for``."""
    rule = policy("size(services.missing) > 0 && size(drift.added) > 0", "for: 30s")
    around, reasons = world(), []
    for second in range(0, 400, 15):
        now = NOW + timedelta(seconds=second)
        drift_at = {Component.DRIFT: NOW + timedelta(minutes=5) * (second // 300)}
        found = decision(rule, report(BROKEN, at=now, read_at=drift_at), around, now=now)
        reasons.append((second, found.reason))
        around = world(waiting=waiting_of([found]))
    assert next(s for s, reason in reasons if reason is None) == 300


def test_status_and_age_count_as_use_of_their_component() -> None:
    """The words of a component are always there, yet ``for`` needs its readings."""
    rule = policy('ingress.status != "ok" && admin.age < duration("1m")', "for: 30s")
    assert rule.condition.components == {Component.INGRESS, Component.ADMIN}


def test_first_act_prefers_to_act() -> None:
    """One plan a round: the first act, else the first rehearsal, else nothing."""
    seen = report(BROKEN)
    both = decisions([policy(name="a", mode="observe"), policy(name="b")], seen)
    assert first_act(both) is both[1]
    rehearsals = decisions([policy(name=n, mode="observe") for n in "ab"], seen)
    assert first_act(rehearsals) is rehearsals[0]
    assert first_act(decisions([policy(mode="off")], seen)) is None


def test_a_request_says_who_why_and_what() -> None:
    """The request names the policy and its revision, the item, and the values, as JSON."""
    rule = policy(
        'size(item.missing) > 0 && drift.age < duration("1h")',
        for_each="workers",
        action="{force-redeploy: {stable_for: 45s}}",
    )
    seen = report(BROKEN)
    request = to_request(decision(rule, seen), rule, derive(seen, ONE, now=NOW))
    assert request.actor == "policy:p"
    assert request.policy is not None
    assert (request.policy.name, request.policy.revision) == ("p", rule.revision)
    assert (request.target, request.remedy) == ("prod", "force-redeploy")
    assert request.mode is Mode.ENFORCE
    assert request.items == (URL,)
    assert request.item_values["item.url"] == URL
    assert request.arguments == {"stable_for": timedelta(seconds=45)}
    assert request.values == {"item.missing": ["Counter"], "drift.age": "0s"}
    assert request.budget == rule.budget
    json.dumps([request.values, request.item_values])


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(report(BROKEN), True, id="still"),
        pytest.param(report(views()), False, id="healed"),
        pytest.param(
            report(views(), failed={Component.SERVICES: Reason.TIMEOUT}), True, id="unknown"
        ),
    ],
)
def test_verification_waits_for_a_condition_that_is_known_to_be_false(
    seen: Report, expected: bool
) -> None:
    """Neither a true nor an undecided condition counts as healed."""
    findings = derive(seen, ONE, now=NOW)
    assert still_wrong(policy(), findings, None) is expected
    each = policy("size(item.missing) > 0", for_each="workers")
    assert still_wrong(each, findings, URL) is expected


def test_an_item_that_is_gone_is_healed_but_an_unknown_list_is_not() -> None:
    """What has left the list needs no repair; a list that cannot be read says nothing."""
    rule = replace(policy("size(item.missing) > 0", for_each="workers"), for_each="deployments")
    fine = derive(report(views()), ONE, now=NOW)
    assert still_wrong(rule, fine, "dp_gone") is False
    blind = derive(report(views(), failed={Component.DEPLOYMENTS: Reason.TIMEOUT}), ONE, now=NOW)
    assert still_wrong(rule, blind, "dp_gone") is True


def test_a_target_without_workers_gives_one_clear_decision() -> None:
    """No items is a known answer."""
    bare = Target("prod")
    rule = policy("size(item.missing) > 0", for_each="workers")
    found = decision(rule, report(views(bare), target=bare), target=bare)
    assert (found.subject, found.result) == (Subject("p", "prod"), Result.CLEAR)
