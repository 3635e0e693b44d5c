"""Mode approve, through whole rounds: a plan waits, and is carried out only as approved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.hold import HoldReason
from exporter.model.operation import Operation, Outcome, Phase
from tests.unit.fakes import by_policy, ledger_at, plan_for
from tests.unit.policy_scenes import ONE, policy, views
from tests.unit.shift import Shift

MONDAY_UNTIL_FIVE_PAST_THREE = (
    'windows: [{days: [mon], start: "03:00", end: "03:05", timezone: UTC}]'
)
"""The scenes begin on a Monday at three."""


@pytest.fixture
async def shift(tmp_path: Path) -> AsyncIterator[Shift]:
    async with ledger_at(tmp_path) as ledger:
        yield Shift(ledger, (policy(mode="approve"),))


async def proposed(shift: Shift) -> Operation:
    """One round, and the plan that waits after it."""
    (found,) = await shift.round()
    assert (found.result, found.reason) == (Result.HOLD, HoldReason.AWAITING_APPROVAL)
    (row,) = await shift.ledger.operations(open_only=True)
    assert (row.phase, shift.remedy.written) == (Phase.PROPOSED, [])
    return row


async def say_yes(shift: Shift, row: Operation) -> None:
    await shift.ledger.approve(row.id, actor="mira", reason="", now=shift.clock.now())


async def ended(shift: Shift, row: Operation) -> tuple[Outcome | None, str | None]:
    found = await shift.ledger.operation(row.id)
    assert found is not None
    return found.outcome, found.error


async def next_round(shift: Shift) -> Decision:
    shift.clock.advance(15)
    (found,) = await shift.round()
    return found


async def test_a_plan_waits_and_is_carried_out_after_a_yes(shift: Shift) -> None:
    """Only one waits however many rounds pass; after the yes its own row is verified."""
    row = await proposed(shift)
    found = await next_round(shift)
    assert (found.proposal, found.ready) == (row.id, False)
    assert f"restate-medic approve {row.id}" in found.detail
    assert shift.remedy.preflights == 1
    await say_yes(shift, row)
    assert (await next_round(shift)).result is Result.ACT
    assert shift.remedy.written == ["register it"]
    assert await ended(shift, row) == (Outcome.VERIFIED, None)
    assert [one.id for one in await shift.ledger.operations()] == [row.id]


async def test_max_mode_makes_an_enforcing_policy_ask(shift: Shift) -> None:
    """The lower of the two modes wins."""
    shift.rules, shift.max_mode = (policy(),), Mode.APPROVE
    await proposed(shift)


async def test_a_no_stands_until_the_condition_has_been_false(shift: Shift) -> None:
    """What comes up again is another matter, and asked anew."""
    row = await proposed(shift)
    await shift.ledger.reject(row.id, actor="jo", reason="on it", now=shift.clock.now())
    found = await next_round(shift)
    assert found.reason is HoldReason.AWAITING_APPROVAL
    assert "rejected by jo: on it" in found.detail
    assert await shift.ledger.operations(open_only=True) == ()
    target = shift.parts["prod"]
    target.failing[Component.SERVICES] = Reason.TIMEOUT
    assert (await next_round(shift)).reason is HoldReason.COMPONENT_UNKNOWN
    target.failing.clear()
    assert "rejected by jo" in (await next_round(shift)).detail
    broken, target.shown = target.shown, dict(views(ONE))
    assert (await next_round(shift)).result is Result.CLEAR
    target.shown = broken
    await next_round(shift)
    assert len(await shift.ledger.operations(open_only=True)) == 1


async def test_a_plan_is_withdrawn_when_its_cause_is_over(shift: Shift) -> None:
    """Approved or not; what is only unknown withdraws nothing."""
    row = await proposed(shift)
    target = shift.parts["prod"]
    target.failing[Component.SERVICES] = Reason.TIMEOUT
    assert (await next_round(shift)).reason is HoldReason.COMPONENT_UNKNOWN
    assert await ended(shift, row) == (None, None)
    target.failing.clear()
    target.shown = dict(views(ONE))
    await next_round(shift)
    assert await ended(shift, row) == (Outcome.WITHDRAWN, "what called for it is over")
    assert [one.outcome for one, _ in shift.closed] == [Outcome.WITHDRAWN]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ((), "its policy is gone"),
        ((policy(mode="approve", cooldown="16m"),), "its policy was changed"),
        ((policy(mode="approve", targets="{names: [other]}"),), "its policy was changed"),
    ],
    ids=["gone", "changed", "elsewhere"],
)
async def test_a_plan_is_withdrawn_with_its_policy(
    shift: Shift, rules: tuple[object, ...], why: str
) -> None:
    """Nobody can approve what no policy wants any more."""
    row = await proposed(shift)
    shift.rules = rules  # type: ignore[assignment]
    shift.clock.advance(15)
    await shift.round()
    assert await ended(shift, row) == (Outcome.WITHDRAWN, why)


async def test_a_plan_is_withdrawn_when_nobody_need_be_asked(shift: Shift) -> None:
    """The mode was raised or lowered: the policy acts by itself, or rehearses."""
    shift.rules, shift.max_mode = (policy(),), Mode.APPROVE
    row = await proposed(shift)
    shift.max_mode = Mode.ENFORCE
    assert (await next_round(shift)).result is Result.ACT
    assert await ended(shift, row) == (Outcome.WITHDRAWN, "the mode is enforce now")
    assert shift.remedy.written == ["register it"]


async def test_an_approved_plan_is_refused_when_a_gate_holds_it(shift: Shift) -> None:
    """Every gate is asked again: what holds now was not so when the plan was made."""
    row = await proposed(shift)
    await say_yes(shift, row)
    await shift.ledger.pause("target", "prod", owner="jo", reason="work", now=shift.clock.now())
    assert (await next_round(shift)).reason is HoldReason.PAUSED
    outcome, error = await ended(shift, row)
    assert outcome is Outcome.REFUSED
    assert (error or "").startswith("paused: jo paused target prod")
    assert shift.remedy.written == []


async def test_the_window_is_not_asked_again(shift: Shift) -> None:
    """A person's yes stands for the window. Outside it, nothing new is proposed."""
    shift.rules = (policy(mode="approve", more=MONDAY_UNTIL_FIVE_PAST_THREE),)
    row = await proposed(shift)
    shift.clock.advance(300)
    assert (await next_round(shift)).reason is HoldReason.OUTSIDE_WINDOW
    await say_yes(shift, row)
    assert (await next_round(shift)).result is Result.ACT
    assert await ended(shift, row) == (Outcome.VERIFIED, None)
    shift.helps = False
    target = shift.parts["prod"]
    target.shown = dict(views(ONE, missing=["Counter"]))
    shift.clock.advance(3600)
    assert (await next_round(shift)).reason is HoldReason.OUTSIDE_WINDOW
    assert await shift.ledger.operations(open_only=True) == ()


async def test_an_approved_plan_waits_for_its_turn(shift: Shift) -> None:
    """Somebody else's operation on the target is no change of the world."""
    row = await proposed(shift)
    await say_yes(shift, row)
    other, now = by_policy("other", remedy="cleanup-stale-deployments"), shift.clock.now()
    await shift.ledger.reserve(other, plan_for(other), owner="x", lease=shift.lease, now=now)
    assert (await next_round(shift)).reason is HoldReason.IN_FLIGHT
    assert await ended(shift, row) == (None, None)


async def test_an_approved_plan_outlives_what_is_only_unknown(shift: Shift) -> None:
    """A reading that fails, or a preflight that cannot read, says nothing about the world."""
    row = await proposed(shift)
    await say_yes(shift, row)
    target = shift.parts["prod"]
    target.failing[Component.SERVICES] = Reason.TIMEOUT
    assert (await next_round(shift)).reason is HoldReason.COMPONENT_UNKNOWN
    assert await ended(shift, row) == (None, None)
    target.failing.clear()
    shift.remedy.refusal = CallFailedError(Reason.TIMEOUT, "it was silent")
    await next_round(shift)
    assert await ended(shift, row) == (None, None)
    shift.remedy.refusal = None
    await next_round(shift)
    assert await ended(shift, row) == (Outcome.VERIFIED, None)


async def test_a_preflight_that_refuses_after_the_yes_ends_it(shift: Shift) -> None:
    """The person sees why in the row, and nothing was written."""
    row = await proposed(shift)
    await say_yes(shift, row)
    shift.remedy.refusal = RefusedError("not-latest", "it would pull traffic back")
    await next_round(shift)
    assert await ended(shift, row) == (
        Outcome.REFUSED,
        "not-latest: it would pull traffic back",
    )
    assert (await next_round(shift)).reason is HoldReason.PREFLIGHT_REFUSED


async def test_what_nobody_answers_is_proposed_again(shift: Shift) -> None:
    """After its hour a fresh plan takes its place, made from the world as it is then."""
    row = await proposed(shift)
    shift.clock.advance(3600)
    again = await proposed(shift)
    assert again.id != row.id
    assert await ended(shift, row) == (Outcome.EXPIRED, "nobody approved it in time")
