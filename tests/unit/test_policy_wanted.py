"""What policies make a target be asked beyond what is always asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model.component import Component
from exporter.model.decision import Mode, Result
from exporter.model.hold import HoldReason
from exporter.model.target import Target
from exporter.model.views import InvocationsView
from exporter.model.wanted import Wanted
from exporter.policy.policy import Policy, Selector
from exporter.policy.wanted import wanted_by
from exporter.remediate.verification import verification_of
from tests.unit.policy_scenes import ONE, decision, policy, report, views


def purge(service: str = "Greeter", mode: str = "observe", **changes: str) -> Policy:
    keys = {"for_each": "invocations.completed", "mode": mode} | changes
    action = f"{{purge-invocations: {{service: {service}, max_items: 9}}}}"
    return policy("item.restarts == 0", **{"action": action, **keys})


NOTHING = Wanted()


@pytest.mark.parametrize(
    ("policies", "most", "expected"),
    [
        ([], Mode.ENFORCE, NOTHING),
        ([policy()], Mode.ENFORCE, NOTHING),
        ([purge(mode="off")], Mode.ENFORCE, NOTHING),
        ([purge()], Mode.OFF, NOTHING),
        ([replace(purge(), selector=Selector(("other",)))], Mode.ENFORCE, NOTHING),
        ([purge()], Mode.OBSERVE, Wanted(frozenset({"Greeter"}))),
        (
            [purge(), purge("[Greeter, Counter]")],
            Mode.ENFORCE,
            Wanted(frozenset({"Greeter", "Counter"})),
        ),
        ([purge(), purge("any")], Mode.ENFORCE, Wanted(frozenset())),
    ],
)
def test_only_what_a_policy_in_force_looks_at_is_wanted(
    policies: list[Policy], most: Mode, expected: Wanted
) -> None:
    """An ``off`` policy, or one about other targets, costs the server nothing."""
    assert wanted_by(policies, ONE, most) == expected
    assert wanted_by(policies, Target("elsewhere"), most) in (expected, NOTHING)


def test_what_nobody_asked_for_holds_and_is_not_empty() -> None:
    """Right after a reload the newest scan may not have the list yet."""
    unasked = InvocationsView((), (), frozenset(), 0.1)
    found = decision(purge(), report(views() | {Component.INVOCATIONS: unasked}))
    assert (found.result, found.reason) == (Result.HOLD, HoldReason.COMPONENT_UNKNOWN)
    assert decision(purge(), report(views())).result is Result.CLEAR


def test_what_stays_as_it_was_is_verified_by_its_remedy_alone() -> None:
    """A restarted invocation is still listed as completed; a purged one must be gone."""
    restart = purge(
        action="{restart-invocations: {service: Greeter, max_items: 9}}",
        limits="[{scope: item, max: 1, per: forever}]",
    )
    found = verification_of(restart, "inv_1@x")
    assert (found.item_wrong, found.components) == (None, frozenset())
    assert found.within == restart.verify.within
    assert verification_of(purge(), "inv_1@x").item_wrong is not None
