"""Policies whose operation may hold several items: what goes together, and what may be enforced."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.component import Component
from exporter.model.decision import Mode, Result
from exporter.model.derive import derive
from exporter.model.hold import HoldReason
from exporter.model.operation import Usage
from exporter.model.report import Report
from exporter.model.views import InvocationItem, InvocationsView
from exporter.policy.actions import ACTIONS, highest_mode
from exporter.policy.load import read_policies
from exporter.policy.policy import Policy
from exporter.policy.submit import first_act, to_request, together
from exporter.policy.world import World
from tests.unit.policy_scenes import NOW, ONE, decisions, policy, report, views, world

RESUME = "{resume-invocations: {service: [Greeter, Counter], max_items: 3}}"


def paused(number: int, *, service: str = "Greeter", minutes: int = 1) -> InvocationItem:
    at = NOW - timedelta(minutes=minutes)
    return InvocationItem(
        f"inv_{number}", service, "service", None, "run", "dp_0", at, at, paused_by="retries"
    )


def seen(*items: InvocationItem) -> Report:
    shown = views()
    shown[Component.INVOCATIONS] = InvocationsView((), (), frozenset(), 0.1, paused=items)
    return report(shown)


def resume(**changes: str) -> Policy:
    keys = {
        "for_each": "invocations.paused",
        "action": RESUME,
        "limits": "[{scope: item, max: 1, per: forever}]",
    }
    return policy('item.paused_by == "retries"', **keys | changes)


def test_as_many_as_the_policy_says_go_together_the_longest_waiting_first() -> None:
    """One operation of three; the other two are behind it, for one named reason."""
    found = decisions(resume(), seen(*(paused(n, minutes=n) for n in range(1, 6))))
    acting = [d.subject.item for d in found if d.result is Result.ACT]
    assert [str(key).partition("@")[0] for key in acting] == ["inv_5", "inv_4", "inv_3"]
    assert [d.reason for d in found if d.result is not Result.ACT] == [HoldReason.IN_FLIGHT] * 2


def test_the_request_holds_each_item_with_its_own_values() -> None:
    """The ledger learns what the condition saw of every one of them."""
    rule, shown = resume(), seen(paused(1, minutes=1), paused(2, minutes=2))
    found = decisions(rule, shown)
    first = first_act(found)
    assert first is not None
    batch = together(first, found, rule)
    request = to_request(first, rule, derive(shown, ONE, now=NOW), batch)
    assert [key.partition("@")[0] for key in request.items] == ["inv_2", "inv_1"]
    assert [values["item.id"] for values in request.each_item] == ["inv_2", "inv_1"]
    assert request.item_values == request.each_item[0]
    assert request.values == {"item.paused_by": dict.fromkeys(request.items, "retries")}


def test_an_item_whose_own_limit_is_spent_is_not_taken_along() -> None:
    """Limits of scope item are each item's own."""
    spent = f"inv_2@{(NOW - timedelta(minutes=2)).isoformat()}"

    def usage(_p: str, _t: str, _r: str, items: tuple[str, ...], _m: Mode, /) -> Usage:
        return Usage(item={key: (NOW,) if key == spent else () for key in items})

    around = World(ledger_ok=True, usage=usage)
    found = decisions(resume(), seen(*(paused(n, minutes=n) for n in range(1, 4))), around)
    reasons = {str(d.subject.item).partition("@")[0]: d.reason for d in found}
    assert reasons == {"inv_1": None, "inv_2": HoldReason.LIMIT_ITEM, "inv_3": None}


def test_what_the_action_does_not_name_is_not_there() -> None:
    """Another service's items take no place in the batch; with only those there is nothing."""
    others = [paused(n, service="Billing", minutes=10 + n) for n in range(5)]
    found = decisions(resume(), seen(*others, paused(9)))
    assert [(str(d.subject.item)[:5], d.result) for d in found] == [("inv_9", Result.ACT)]
    (found_none,) = decisions(resume(), seen(*others))
    assert (found_none.subject.item, found_none.result) == (None, Result.CLEAR)
    anybody = resume(mode="observe", action="{resume-invocations: {service: any, max_items: 9}}")
    assert len(decisions(anybody, seen(*others, paused(9)))) == 6


def test_rehearsals_go_together_too_and_never_with_acts() -> None:
    """An observing policy rehearses the batch it would have done."""
    rule, shown = resume(mode="observe"), seen(*(paused(n, minutes=n) for n in range(1, 6)))
    found = decisions(rule, shown, world())
    assert {d.reason for d in found} == {HoldReason.OBSERVING}
    first = first_act(found)
    assert first is not None
    assert len(together(first, found, rule)) == 3


def test_policies_on_one_thing_still_go_one_by_one() -> None:
    """``max_items`` of a cleanup counts deployments, not workers."""
    rule = policy(for_each="workers", action="{cleanup-stale-deployments: {max_items: 5}}")
    assert rule.together == 1
    assert replace(resume(), for_each=None).together == 1


@pytest.mark.parametrize(
    ("action", "arguments", "expected"),
    [
        ("resume-invocations", {"service": ("A",)}, Mode.ENFORCE),
        ("resume-invocations", {"service": ("any",)}, Mode.APPROVE),
        ("recover-stuck-workflow", {"service": ("any",)}, Mode.APPROVE),
        ("kill-invocations", {"service": ("A",)}, Mode.APPROVE),
        ("kill-invocations", {"service": ("A",), "accept_risk": True}, Mode.ENFORCE),
        ("kill-invocations", {"service": ("any",), "accept_risk": True}, Mode.APPROVE),
        ("purge-invocations", {"service": ("A",), "accept_risk": False}, Mode.APPROVE),
        ("restart-invocations", {"service": ("A",), "accept_risk": False}, Mode.APPROVE),
        ("cleanup-stale-deployments", {"force_drain": True, "max_kills": 1}, Mode.APPROVE),
        ("force-redeploy", {}, Mode.ENFORCE),
    ],
)
def test_how_far_an_action_may_go(
    action: str, arguments: dict[str, object], expected: Mode
) -> None:
    """What cannot be taken back, and what is aimed at nothing in particular, a person approves."""
    assert highest_mode(action, arguments)[0] is expected
    assert action in ACTIONS


@pytest.mark.parametrize(
    ("action", "place", "said"),
    [
        ("{kill-invocations: {service: A, max_items: 1}}", "4:11", "add accept_risk: true"),
        ("{resume-invocations: {service: any, max_items: 1}}", "4:11", "name the services"),
        ("{resume-invocations: {service: A}}", "6:34", "max_items: 10"),
        ("{resume-invocations: {max_items: 3}}", "6:34", "service: Billing"),
        ("{resume-invocations: {service: [], max_items: 1}}", "6:44", "write service: Billing"),
        ("{resume-invocations: {service: [any, A], max_items: 1}}", "6:44", "write it alone"),
        ("{resume-invocations: {service: A, max_items: 0}}", "6:58", "1 or more"),
        ("{recover-stuck-workflow: {service: A}}", "5:15", "write workflows.failed"),
    ],
)
def test_each_mistake_has_its_place_and_mend(
    tmp_path: Path, action: str, place: str, said: str
) -> None:
    """A policy that may not be enforced like this is refused with what to write."""
    (tmp_path / "x.yaml").write_text(f"""\
policies:
  - name: x
    when: item.resumes < 1
    mode: enforce
    for_each: invocations.paused
    action: {action}
    cooldown: 1m
    limits: [{{scope: target, max: 1, per: 1h}}]
""")
    found = read_policies(["x.yaml"], base=tmp_path).problems
    assert any(said in one for one in found), found
    assert any(one.startswith(f"x.yaml:{place}") for one in found if said in one), found


@pytest.mark.parametrize("action", ["purge-invocations", "restart-invocations"])
def test_what_is_aimed_at_completed_work_has_a_risk_to_accept(tmp_path: Path, action: str) -> None:
    """Both work on what has completed; without accept_risk a person approves."""
    text = f"""\
policies:
  - name: x
    when: item.age > duration("24h") && item.restarts == 0
    mode: enforce
    for_each: invocations.completed
    action: {{{action}: {{service: A, max_items: 9, accept_risk: true}}}}
    cooldown: 1m
    limits: [{{scope: item, max: 1, per: forever}}]
"""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert read_policies([path]).problems == ()
    path.write_text(text.replace(", accept_risk: true", ""))
    (problem,) = read_policies([path]).problems
    assert "approve at most; add accept_risk: true" in problem
    path.write_text(text.replace("completed", "paused"))
    assert any("write invocations.completed" in p for p in read_policies([path]).problems)


@pytest.mark.parametrize(
    "limits",
    [
        "[{scope: target, max: 1, per: 1h}]",
        "[{scope: item, max: 2, per: forever}]",
        "[{scope: item, max: 1, per: 24h}]",
        "[{scope: item, max: [1], per: forever}]",
    ],
)
def test_what_leaves_no_trace_on_its_item_needs_a_limit_for_ever(
    tmp_path: Path, limits: str
) -> None:
    """A restarted invocation looks as it did before: only the ledger knows, even after a crash."""
    (tmp_path / "x.yaml").write_text(f"""\
policies:
  - name: x
    when: item.result == "error"
    for_each: invocations.completed
    action: {{restart-invocations: {{service: A, max_items: 9}}}}
    cooldown: 1m
    limits: {limits}
""")
    problems = read_policies(["x.yaml"], base=tmp_path).problems
    (problem,) = [p for p in problems if "again and again" in p]
    assert problem.startswith("x.yaml:7:13: ")
    assert "add {scope: item, max: 1, per: forever}" in problem


def test_without_items_there_is_nothing_to_work_on(tmp_path: Path) -> None:
    """These remedies need for_each; its absence is said with what to write."""
    (tmp_path / "x.yaml").write_text("""\
policies:
  - name: x
    when: workflows.failed > 0
    action: {recover-stuck-workflow: {service: A}}
    cooldown: 1m
    limits: [{scope: target, max: 1, per: 1h}]
""")
    (problem,) = read_policies(["x.yaml"], base=tmp_path).problems
    assert "write for_each: workflows.failed" in problem
