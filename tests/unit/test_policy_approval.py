"""What a person's yes and no mean to the gates, and what becomes of plans that wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.operation import Operation, Outcome, Phase
from exporter.policy.approval import rulings
from exporter.policy.world import Proposal
from tests.unit.policy_scenes import NOW, decision, policy, report, views, world

BROKEN = views(missing=["Greeter"])
MINUTE = timedelta(minutes=1)
RULE = policy(mode="approve")
PASSING = {
    HoldReason.LEDGER_UNAVAILABLE,
    HoldReason.NOT_OWNER,
    HoldReason.CLOCK_SUSPECT,
    HoldReason.FROZEN,
    HoldReason.REPORT_STALE,
    HoldReason.COMPONENT_UNKNOWN,
    HoldReason.PENDING,
    HoldReason.IN_FLIGHT,
    HoldReason.ALERTS_UNKNOWN,
    HoldReason.COOLDOWN,
}
proposals = st.none() | st.builds(
    Proposal,
    id=st.just("op_1"),
    detail=st.just("said so"),
    approved=st.booleans(),
)


@given(
    mode=st.sampled_from(Mode),
    most=st.sampled_from(Mode),
    proposal=proposals,
    open_window=st.booleans(),
)
def test_without_a_yes_only_enforce_acts(
    mode: Mode, most: Mode, proposal: Proposal | None, *, open_window: bool
) -> None:
    """In every combination; and a yes opens the window, for mode approve only."""
    day = "mon" if open_window else "tue"
    window = f'windows: [{{days: [{day}], start: "00:00", end: "24:00", timezone: UTC}}]'
    found = decision(
        policy(mode=str(mode), more=window),
        report(BROKEN),
        world(max_mode=most, proposal=proposal),
    )
    lower = min(mode, most, key=lambda m: m.rank)
    approved = lower is Mode.APPROVE and proposal is not None and proposal.approved
    acts = approved or (lower is Mode.ENFORCE and open_window)
    assert (found.result is Result.ACT) == acts
    assert (found.reason is None) == acts


def test_a_no_is_no_plan_that_could_be_made_again() -> None:
    """As long as the ledger knows of it, nothing is proposed; the hold tells of it."""
    found = decision(RULE, report(BROKEN), world(proposal=Proposal("op_1", "jo said no")))
    assert (found.reason, found.detail) == (HoldReason.AWAITING_APPROVAL, "jo said no")
    assert found.ready is False
    assert decision(RULE, report(BROKEN), world()).ready is True


def waiting(**changes: object) -> Operation:
    plan = Operation(
        id="op_1",
        target="prod",
        remedy="force-redeploy",
        source="policy",
        actor="policy:p",
        mode=Mode.APPROVE,
        phase=Phase.PROPOSED,
        created_at=NOW,
        arguments={},
        policy=RULE.ref,
        lease_until=NOW + MINUTE,
        approved_by="mira",
        items=("a", "b"),
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


def standing(item: str | None, reason: HoldReason | None = None, **changes: object) -> Decision:
    found = Decision(
        Subject("p", "prod", item),
        Result.ACT if reason is None else Result.HOLD,
        reason=reason,
        detail="why",
        mode=Mode.APPROVE,
        proposal="op_1",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def ruled(plan: Operation, *found: Decision) -> tuple[Outcome, str] | None:
    result = rulings([plan], found, {"p": RULE}, now=NOW)
    return (result[0].outcome, result[0].why) if result else None


@given(reason=st.sampled_from(HoldReason))
def test_an_approved_plan_waits_out_only_what_passes(reason: HoldReason) -> None:
    """A busy target, a restart, a silent ledger; whatever else holds ends it, with its word."""
    held = [standing(item, reason) for item in ("a", "b")]
    expected = None if reason in PASSING else (Outcome.REFUSED, f"{reason}: why")
    assert ruled(waiting(), *held) == expected
    assert ruled(waiting(approved_by=None), *held) is None


@given(reason=st.sampled_from(HoldReason))
def test_a_plan_is_carried_out_whole_or_not_at_all(reason: HoldReason) -> None:
    """One item that holds ends what was approved for several."""
    end = ruled(waiting(), standing("a"), standing("b", reason))
    assert end == (Outcome.REFUSED, f"{reason}: why")
    assert ruled(waiting(), standing("a"), standing("b")) is None


def test_what_is_gone_or_well_withdraws_the_plan() -> None:
    """One item is enough; a list that cannot be read now withdraws nothing."""
    over = (Outcome.WITHDRAWN, "what called for it is over")
    assert ruled(waiting(), standing("a")) == over
    assert ruled(waiting(), standing("a"), standing("b", result=Result.CLEAR)) == over
    unread = standing(None, HoldReason.COMPONENT_UNKNOWN, proposal=None)
    assert ruled(waiting(), unread) is None
    assert ruled(waiting(items=()), standing(None, proposal=None)) == over


def test_what_has_expired_is_left_to_the_ledger() -> None:
    """Otherwise it would seem to be withdrawn because nothing refers to it any more."""
    assert ruled(waiting(lease_until=NOW)) is None
