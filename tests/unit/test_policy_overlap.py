"""Policies that would undo each other's work are refused when they are loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.decision import Mode
from exporter.model.target import Target
from exporter.policy.actions import ACTIONS
from exporter.policy.check import check
from exporter.policy.conflicts import overlap
from exporter.policy.policy import Policy, Selector
from exporter.policy.served import Served
from tests.unit.policy_scenes import policy

KINDS = {
    "resume-invocations": ("invocations.paused",),
    "cancel-invocations": ("invocations.paused", "invocations.retrying", "invocations.zombies"),
    "kill-invocations": ("invocations.paused", "invocations.retrying", "invocations.zombies"),
    "recover-stuck-workflow": ("workflows.failed",),
    "purge-invocations": ("invocations.completed",),
    "restart-invocations": ("invocations.completed",),
}
USES = [(action, kind) for action, kinds in KINDS.items() for kind in kinds]
OPPOSED = {
    frozenset({("resume-invocations", "invocations.paused"), (verb, "invocations.paused")})
    for verb in ("cancel-invocations", "kill-invocations")
} | {
    frozenset(
        {
            ("recover-stuck-workflow", "workflows.failed"),
            ("purge-invocations", "invocations.completed"),
        }
    )
}
TARGETS = (Target("a", labels={"tier": "x"}), Target("b"), Target("c", labels={"tier": "x"}))


def rule(
    action: str,
    kind: str,
    *,
    services: tuple[str, ...],
    mode: Mode,
    selector: Selector,
) -> Policy:
    base = policy("item.age >= item.age", for_each=kind, action=f"{{{_ANY_OF[kind]}}}", **_ONCE)
    arguments = {**base.arguments, "service": services}
    return replace(base, action=action, arguments=arguments, mode=mode, selector=selector)


_ONCE = {"mode": "observe", "limits": "[{scope: item, max: 1, per: forever}]"}
_ANY_OF = {kind: f"{action}: {{service: A, max_items: 1}}" for action, kind in reversed(USES)}

services = st.one_of(
    st.just(("any",)),
    st.lists(st.sampled_from("ABC"), min_size=1, unique=True).map(tuple),
)
selectors = st.one_of(
    st.just(Selector()),
    st.builds(Selector, st.lists(st.sampled_from("abc"), min_size=1, unique=True).map(tuple)),
    st.just(Selector(labels={"tier": "x"})),
)
modes = st.sampled_from([Mode.OFF, Mode.OBSERVE, Mode.APPROVE, Mode.ENFORCE, Mode.ENFORCE])


def rules(use: tuple[str, str]) -> st.SearchStrategy[Policy]:
    return st.builds(
        lambda services, mode, selector: rule(
            *use, services=services, mode=mode, selector=selector
        ),
        services,
        modes,
        selectors,
    )


pairs = st.one_of(
    st.tuples(st.sampled_from(USES), st.sampled_from(USES)),
    st.sampled_from(sorted(map(tuple, map(sorted, OPPOSED)))),
).flatmap(lambda uses: st.tuples(*map(rules, uses)))


@given(pair=pairs)
def test_it_is_found_exactly_where_they_can_meet(pair: tuple[Policy, Policy]) -> None:
    """Whichever comes first; never for disjoint services or targets, or what is off."""
    first, second = pair
    found, back = overlap(first, second, TARGETS), overlap(second, first, TARGETS)
    assert (found is None) == (back is None)
    if found is not None and back is not None:
        assert set(found.services) == set(back.services)
        assert found.targets == back.targets
    mine, yours = (set(p.arguments["service"]) for p in (first, second))
    meet = "any" in mine | yours or bool(mine & yours)
    there = [t.name for t in TARGETS if first.matches(t) and second.matches(t)]
    opposed = frozenset({(p.action, p.for_each) for p in (first, second)}) in OPPOSED
    off = Mode.OFF in {first.mode, second.mode}
    assert (found is not None) == (opposed and meet and bool(there) and not off)


RESUME = """\
policies:
  - name: resume
    for_each: invocations.paused
    when: item.resumes < 2
    targets: {names: [a, b, c]}
    action: {resume-invocations: {service: [Billing, Signup], max_items: 5}}
    cooldown: 10m
    limits: [{scope: target, max: 1, per: 24h}]
"""
KILL = """\
policies:
  - name: kill
    for_each: invocations.paused
    when: item.age > duration("24h")
    mode: approve
    targets: {names: [b, c]}
    action: {kill-invocations: {service: Billing, max_items: 5}}
    cooldown: 10m
    limits: [{scope: target, max: 1, per: 24h}]
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("service: Billing", "service: Mailer"),
        ("mode: approve", "mode: 'off'"),
        ("names: [b, c]", "names: [z]"),
    ],
)
def test_it_is_refused_with_both_places_and_what_to_write(
    tmp_path: Path, old: str, new: str
) -> None:
    """One problem that names both files; each mend that it offers is one."""
    (tmp_path / "a.yaml").write_text(RESUME)

    def problems(text: str) -> tuple[str, ...]:
        (tmp_path / "b.yaml").write_text(text)
        served = dict.fromkeys("abcz", Served.all_of(ACTIONS))
        targets = (*TARGETS, Target("z"))
        return check(["*.yaml"], targets=targets, served=served, base=tmp_path).problems

    (found,) = problems(KILL)
    assert found == (
        "b.yaml:7:13: action: kill-invocations of policy 'kill' opposes resume-invocations of "
        "policy 'resume' at a.yaml:6:13: both are about Billing on 'b' and 'c'; write service "
        "lists that have nothing in common, other targets, or mode: off in one of them"
    )
    assert old in KILL
    assert problems(KILL.replace(old, new)) == ()
