"""From a request to its outcome: no write without a row, one operation a target, none unaccounted.

The other side is a remedy that notes what reached it; the ledger is a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from exporter.model.component import Component, Reason
from exporter.model.decision import Mode, Subject
from exporter.model.errors import (
    CallFailedError,
    InFlightError,
    LeaseLostError,
    LedgerUnavailableError,
    LimitReachedError,
    MedicError,
    RefusedError,
)
from exporter.model.operation import (
    ActResult,
    Budget,
    Operation,
    Outcome,
    Phase,
    Request,
    Window,
)
from exporter.remediate.preflight import preview
from exporter.remediate.verification import Verification
from tests.unit.fakes import (
    REMEDY,
    ROOMY,
    Ward,
    by_person,
    by_policy,
    ledger_at,
    locked,
    plan_for,
    until,
)

HEAL = Subject("heal", "prod")
DAY = timedelta(hours=24)
ONCE = Budget(timedelta(0), (Window("target", 1, DAY),))
QUICKLY = Verification(within=timedelta(seconds=2))
REFUSED = RefusedError("not-latest", "it would pull traffic back")


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    async with ledger_at(tmp_path) as ledger:
        yield Ward(ledger)


async def submit(ward: Ward, request: Request | None = None) -> None:
    """What a round does, and then waits for, which a round never does."""
    ward.remediator.submit(HEAL, request or by_policy(), ward.target.backend, QUICKLY)
    await ward.settle()


async def perform(ward: Ward, request: Request | None = None) -> Operation:
    return await ward.remediator.perform(request or by_person(), ward.target.backend, QUICKLY)


def unreachable(status: int | None = None, *, sent: bool = True) -> CallFailedError:
    reason = Reason.TIMEOUT if status is None else Reason.HTTP_STATUS
    return CallFailedError(reason, "no answer", http_status=status, sent=sent)


# The whole way


async def test_an_operation_goes_all_the_way(ward: Ward) -> None:
    """Planned, reserved, announced before each write, verified on later readings, closed."""
    ward.remedy.result = ActResult(after={"deploymentId": "dp_2"})
    request = by_policy(true_since=ward.clock.now())
    await submit(ward, request)
    row = await ward.row()
    assert (row.outcome, row.phase, row.error) == (Outcome.VERIFIED, Phase.CLOSED, None)
    assert (row.actor, row.policy, row.after) == (
        "policy:heal",
        request.policy,
        {"deploymentId": "dp_2"},
    )
    assert row.values == {"services.missing": ["Greeter"]}
    assert ward.remedy.written == ["register it"]
    assert await ward.kinds(row) == ["reserved", "acting", "item", "acted", "verifying", "closed"]
    assert ward.closed == [(row, request)]
    assert ward.remedy.checked == [(row.arguments, row.after)]
    assert ward.remediator.busy == {}


async def test_a_person_gets_the_closed_row(ward: Ward) -> None:
    """The same preflight, lock and ledger; who it was and why stands in it."""
    row = await perform(ward)
    assert (row.outcome, row.source, row.actor, row.reason) == (
        Outcome.VERIFIED,
        "cli",
        "mira",
        "rollout",
    )
    assert row == await ward.row()


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (ActResult(nothing_to_do=True), Outcome.NOTHING_TO_DO),
        (ActResult(partial=True), Outcome.PARTIAL),
        (ActResult(), Outcome.VERIFIED),
    ],
)
async def test_what_the_act_says_decides_the_outcome(
    ward: Ward, result: ActResult, outcome: Outcome
) -> None:
    """Nothing to do needs no verification; what was left out is told although the rest healed."""
    ward.remedy.result = result
    row = await perform(ward)
    assert row.outcome is outcome
    assert bool(ward.remedy.checked) == (outcome is not Outcome.NOTHING_TO_DO)


async def test_what_does_not_show_is_unverified(ward: Ward) -> None:
    """With the words of the check, after the time that was given."""
    ward.remedy.missing = "the ingress does not list service Greeter"
    row = await perform(ward)
    assert (row.outcome, row.error) == (Outcome.UNVERIFIED, ward.remedy.missing)


async def test_only_readings_after_the_last_write_verify_it(ward: Ward) -> None:
    """A report from before the write looks healthy, and does not count."""
    fleet, target = ward.fleet, ward.target
    fleet.merge(target.target, target.readings(), now=ward.clock.now())
    ward.target.failing = {Component.SERVICES: Reason.REFUSED}
    began: list[object] = []
    ward.seen_while_waiting = lambda: began.append(ward.clock.now())
    await perform(ward)
    row = await ward.row()
    assert row.acted_at is not None
    assert began
    assert fleet.report("prod").readings[Component.SERVICES].started_at > row.acted_at


async def test_a_check_that_crashes_is_unverified(ward: Ward) -> None:
    """Otherwise its row would stay open, and be taken over and crash again for ever."""
    ward.seen_while_waiting = broken
    with structlog.testing.capture_logs() as logs:
        row = await perform(ward)
    assert (row.outcome, row.error) == (Outcome.UNVERIFIED, "internal error: ZeroDivisionError")
    assert "operation.crashed" in {line["event"] for line in logs}


def broken() -> None:
    raise ZeroDivisionError


# Preflight


async def test_a_policy_that_is_refused_leaves_no_row(ward: Ward) -> None:
    """It waits, its hold says why, and nothing was written."""
    ward.remedy.refusal = REFUSED
    with structlog.testing.capture_logs() as logs:
        await submit(ward)
    assert await ward.ledger.operations() == ()
    assert ward.remediator.refusals.current()[HEAL].reason == "not-latest"
    (line,) = [line for line in logs if line["event"] == "preflight.refused"]
    assert (line["policy"], line["target"], line["reason"]) == ("heal", "prod", "not-latest")
    assert ward.remedy.acts == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (REFUSED, "not-latest: it would pull traffic back"),
        (unreachable(), "timeout: no answer"),
    ],
)
async def test_a_person_who_is_refused_is_on_record(
    ward: Ward, error: MedicError, told: str
) -> None:
    """A closed row says who wanted what and why not; the person gets the error itself."""
    ward.remedy.refusal = error
    with pytest.raises(type(error)):
        await perform(ward)
    row = await ward.row()
    assert (row.outcome, row.error, row.actor) == (Outcome.REFUSED, told, "mira")
    assert row.arguments == by_person().arguments
    assert ward.remedy.acts == 0


async def test_a_remedy_the_target_does_not_have_is_refused(ward: Ward) -> None:
    """On record too, when a person asked for it."""
    with pytest.raises(RefusedError, match="target prod cannot resume-invocations"):
        await perform(ward, by_person(remedy="resume-invocations"))
    row = await ward.row()
    assert row.error is not None
    assert row.error.startswith("remedy-unsupported: ")


async def test_a_preflight_that_crashes_waits_like_a_refusal(ward: Ward) -> None:
    """It is logged, and not tried again in every round."""
    ward.remedy.refusal = ZeroDivisionError()
    with structlog.testing.capture_logs() as logs:
        await submit(ward)
    assert "operation.crashed" in {line["event"] for line in logs}
    refusal = ward.remediator.refusals.current()[HEAL]
    assert (refusal.reason, refusal.detail) == ("internal", "internal error: ZeroDivisionError")
    assert ward.remediator.busy == {}


async def test_losing_a_race_is_no_refusal(ward: Ward) -> None:
    """Another one spent the budget first: the next round's gates say so, in their own words."""
    await submit(ward, by_policy(budget=ONCE))
    with structlog.testing.capture_logs() as logs:
        await submit(ward, by_policy(budget=ONCE))
    assert "operation.not_reserved" in {line["event"] for line in logs}
    assert ward.remediator.refusals.current() == {}
    assert ward.remedy.acts == 1


async def test_what_is_no_longer_wanted_is_not_reserved(ward: Ward) -> None:
    """A preflight may take long: the configuration may have changed, or the daemon stops."""
    wanted = iter([False])
    ward.remediator.submit(
        HEAL, by_policy(), ward.target.backend, QUICKLY, still_wanted=lambda: next(wanted)
    )
    await ward.settle()
    assert (ward.remedy.preflights, ward.remedy.acts) == (1, 0)
    assert await ward.ledger.operations() == ()
    assert ward.remediator.refusals.current()[HEAL].reason == "not-wanted"


async def test_only_the_plan_that_was_confirmed_is_carried_out(ward: Ward) -> None:
    """A person said yes to this one; if it is another one by now, they are asked again."""
    request = by_person()
    plan = await preview(request, ward.target.backend, fleet=ward.fleet, now=ward.clock.now)
    other = replace(plan, steps=("delete everything",))
    with pytest.raises(RefusedError, match="another one than you confirmed"):
        await ward.remediator.perform(request, ward.target.backend, QUICKLY, confirmed=other.digest)
    assert ward.remedy.acts == 0
    row = await ward.remediator.perform(
        request, ward.target.backend, QUICKLY, confirmed=plan.digest
    )
    assert row.outcome is Outcome.VERIFIED


async def test_a_preview_only_reads(ward: Ward) -> None:
    """``--dry-run``: the plan as it would be carried out, and no row."""
    plan = await preview(by_person(), ward.target.backend, fleet=ward.fleet, now=ward.clock.now)
    assert plan == plan_for(by_person())
    assert (ward.remedy.preflights, ward.remedy.acts) == (1, 0)
    assert await ward.ledger.operations() == ()


# Observing


async def test_observing_writes_nothing_but_a_row(ward: Ward) -> None:
    """Everything up to and including preflight, and what would have been done."""
    request = by_policy(mode=Mode.OBSERVE)
    await submit(ward, request)
    row = await ward.row()
    assert (row.outcome, row.mode, row.summary) == (
        Outcome.OBSERVED,
        Mode.OBSERVE,
        plan_for(request).summary,
    )
    assert (ward.remedy.acts, ward.remedy.written) == (0, [])
    assert ward.closed == [(row, request)]


async def test_observing_has_a_budget_of_its_own(ward: Ward) -> None:
    """A rehearsal uses up the limit for rehearsals, and no real operation's, nor the other way."""
    await submit(ward, by_policy(mode=Mode.OBSERVE, budget=ONCE))
    await submit(ward, by_policy(budget=ONCE))
    for mode in (Mode.OBSERVE, Mode.ENFORCE):
        with pytest.raises(LimitReachedError):
            await perform(ward, by_policy(mode=mode, budget=ONCE))
    outcomes = [o.outcome for o in await ward.ledger.operations()]
    assert outcomes == [Outcome.VERIFIED, Outcome.OBSERVED]


# How an act can end


@pytest.mark.parametrize(
    ("error", "after_writes", "outcome"),
    [
        (REFUSED, 0, Outcome.REFUSED),
        (REFUSED, 1, Outcome.FAILED),
        (unreachable(), 0, Outcome.FAILED),
        (unreachable(), 1, Outcome.INDETERMINATE),
        (unreachable(503), 1, Outcome.INDETERMINATE),
        (unreachable(500), 1, Outcome.FAILED),
        (unreachable(409), 1, Outcome.FAILED),
        (unreachable(sent=False), 1, Outcome.FAILED),
        (MedicError("it was registered with other services"), 1, Outcome.FAILED),
        (ZeroDivisionError(), 0, Outcome.FAILED),
        (ZeroDivisionError(), 1, Outcome.FAILED),
    ],
)
async def test_every_way_to_end_has_its_outcome(
    ward: Ward, error: Exception, after_writes: int, outcome: Outcome
) -> None:
    """Refused only when nothing was written; indeterminate when a write may have happened."""
    ward.remedy.steps = ("first", "second")
    ward.remedy.failure, ward.remedy.fails_after = error, after_writes
    row = await perform(ward)
    assert row.outcome is outcome
    assert row.error == (str(error) or "internal error: ZeroDivisionError")
    assert ward.remedy.written == ["first"][:after_writes]
    assert ward.remedy.checked == []
    assert len(ward.closed) == 1


async def test_a_policy_refused_while_acting_waits_and_keeps_its_budget(ward: Ward) -> None:
    """The world changed between plan and act: nothing happened, so nothing is spent."""
    ward.remedy.failure = REFUSED
    await submit(ward, by_policy(budget=ONCE))
    refusal = ward.remediator.refusals.current()[HEAL]
    assert (refusal.reason, refusal.detail) == ("not-latest", str(REFUSED))
    ward.remedy.failure = None
    await submit(ward, by_policy(budget=ONCE))
    assert [o.outcome for o in await ward.ledger.operations()] == [
        Outcome.VERIFIED,
        Outcome.REFUSED,
    ]
    assert ward.remediator.refusals.current() == {}


# Lease and ledger


async def test_a_lost_lease_stops_the_writes(ward: Ward) -> None:
    """The row is left to what happens to silent owners: it counts, and nothing is done blindly."""
    ward.remedy.steps = ("first", "second")

    async def fall_silent() -> None:
        if ward.remedy.written:
            ward.clock.advance(ward.lease.total_seconds())

    ward.remedy.pause = fall_silent
    with structlog.testing.capture_logs() as logs:
        await submit(ward)
    assert ward.remedy.written == ["first"]
    assert (await ward.row()).phase is Phase.ACTING
    assert ward.closed == []
    assert {"operation.lost", "operation.stopped"} <= {line["event"] for line in logs}
    assert ward.remediator.refusals.current() == {}, "a lost lease is no refusal"
    (row,) = await ward.ledger.sweep(ward.clock.now())
    assert row.outcome is Outcome.INTERRUPTED
    usage = ward.ledger.standing
    await ward.ledger.refresh()
    spent = usage.usage(target="prod", remedy=REMEDY, policy="heal", items=(), mode=Mode.ENFORCE)
    assert len(spent.target) == 1


async def test_an_operation_closed_by_somebody_else_stops(ward: Ward) -> None:
    """Its next write finds it closed, and does not happen."""
    ward.remedy.steps = ("first", "second")

    async def swept() -> None:
        if ward.remedy.written:
            await ward.ledger.sweep(ward.clock.now() + ward.lease)

    ward.remedy.pause = swept
    with pytest.raises(LeaseLostError):
        await perform(ward)
    assert ward.remedy.written == ["first"]
    assert (await ward.row()).outcome is Outcome.INTERRUPTED


async def test_without_the_ledger_nothing_is_written(ward: Ward, tmp_path: Path) -> None:
    """No row could be reserved: no act."""
    with locked(tmp_path):
        with pytest.raises(LedgerUnavailableError):
            await perform(ward)
        await submit(ward)
    assert ward.remedy.acts == 0
    assert await ward.ledger.operations() == ()
    assert ward.remediator.refusals.current() == {}


async def test_losing_the_ledger_stops_the_writes(ward: Ward, tmp_path: Path) -> None:
    """Between two writes it can no longer be written: the second does not happen."""
    ward.remedy.steps = ("first", "second")
    locks = []

    async def lock() -> None:
        if ward.remedy.written:
            lock = locked(tmp_path)
            lock.__enter__()
            locks.append(lock)

    ward.remedy.pause = lock
    try:
        with pytest.raises(LedgerUnavailableError):
            await perform(ward)
    finally:
        locks[0].__exit__(None, None, None)
    assert ward.remedy.written == ["first"]
    assert (await ward.row()).phase is Phase.ACTING


# One at a time


async def test_a_target_has_one_operation_at_a_time(ward: Ward) -> None:
    """What is submitted meanwhile is dropped: the next round decides anew."""
    ward.remedy.pause = lambda: asyncio.sleep(0.01)
    for _ in range(3):
        ward.remediator.submit(HEAL, by_policy(), ward.target.backend, QUICKLY)
    assert ward.remediator.busy == {"prod": REMEDY}
    await ward.settle()
    assert (ward.remedy.preflights, ward.remedy.acts) == (1, 1)


async def test_another_process_is_told_who_is_at_work(ward: Ward) -> None:
    """The lock is in the ledger; a person's attempt is on record although it came too late."""
    gate = asyncio.Event()
    ward.remedy.pause = gate.wait
    ward.remediator.submit(HEAL, by_policy(), ward.target.backend, QUICKLY)
    await until(lambda: ward.remedy.acts == 1)
    with pytest.raises(InFlightError, match="force-redeploy by policy:heal"):
        await ward.another("there:2:def").perform(by_person(), ward.target.backend, QUICKLY)
    gate.set()
    await ward.settle()
    told, done = await ward.ledger.operations()
    assert (told.outcome, done.outcome) == (Outcome.REFUSED, Outcome.VERIFIED)
    assert told.error is not None
    assert told.error.startswith("in-flight: ")
    assert ward.remedy.written == ["register it"]


async def test_a_limit_is_checked_again_when_reserving(ward: Ward) -> None:
    """Whoever was first spends the budget: two that were both decided do not both act."""
    await submit(ward, by_policy(budget=ONCE))
    with pytest.raises(LimitReachedError):
        await perform(ward, by_policy(budget=ONCE))
    await perform(ward, by_person())
    assert ward.remedy.acts == 2, "a person's operation is not limited"


async def test_draining_waits_for_what_runs(ward: Ward) -> None:
    """SIGTERM lets an operation finish, for a bounded time; nothing to do is done at once."""
    gate = asyncio.Event()
    ward.remedy.pause = gate.wait
    assert await ward.remediator.drain(0)
    ward.remediator.submit(HEAL, by_policy(), ward.target.backend, QUICKLY)
    with structlog.testing.capture_logs() as logs:
        assert not await ward.remediator.drain(0.02)
    assert {"event": "operation.abandoned", "target": "prod"}.items() <= logs[-1].items()
    gate.set()
    assert await ward.remediator.drain(5)
    assert (await ward.row()).outcome is Outcome.VERIFIED


# Left behind


async def left_behind(ward: Ward, result: ActResult) -> Operation:
    """An operation whose owner died after its last write, taken over by us."""
    request = by_policy()
    owner, lease = "there:2:def", ward.lease
    opened = await ward.ledger.reserve(
        request, plan_for(request), owner=owner, lease=lease, now=ward.clock.now()
    )
    await ward.ledger.mark_acted(opened.id, result, owner=owner, lease=lease, now=ward.clock.now())
    ward.clock.advance(lease.total_seconds())
    (taken,) = await ward.ledger.take_over(owner=ward.owner, lease=lease, now=ward.clock.now())
    return taken


@pytest.mark.parametrize(
    ("partial", "missing", "outcome"),
    [
        (False, None, Outcome.VERIFIED),
        (True, None, Outcome.PARTIAL),
        (False, "service Greeter is gone", Outcome.UNVERIFIED),
    ],
)
async def test_what_was_left_behind_is_only_verified(
    ward: Ward, partial: bool, missing: str | None, outcome: Outcome
) -> None:
    """On fresh readings, with what the act had recorded; it is never acted on again."""
    after = {"deploymentId": "dp_2"}
    operation = await left_behind(ward, ActResult(after=after, partial=partial))
    ward.remedy.missing = missing
    ward.remediator.resume(operation, ward.target.backend)
    assert ward.remediator.busy == {"prod": REMEDY}
    await ward.settle()
    row = await ward.row()
    assert (row.outcome, row.error, row.after) == (outcome, missing, after)
    assert ward.remedy.checked[0] == (operation.arguments, after)
    assert (ward.remedy.preflights, ward.remedy.acts) == (0, 0)
    assert ward.closed == [(row, None)]


async def test_a_busy_target_is_not_resumed_twice(ward: Ward) -> None:
    """The same operation is verified once, however often it is found."""
    operation = await left_behind(ward, ActResult())
    ward.remediator.resume(operation, ward.target.backend)
    ward.remediator.resume(operation, ward.target.backend)
    await ward.settle()
    assert len(ward.closed) == 1


async def test_a_cooldown_counts_from_the_write(ward: Ward) -> None:
    """However long verification took: the gate between two operations is the last write."""
    cooled = replace(ROOMY, cooldown=timedelta(minutes=15))
    ward.remedy.missing = "nothing changed"
    await submit(ward, by_policy(budget=cooled))
    row = await ward.row()
    await ward.ledger.refresh()
    spent = ward.ledger.standing.usage(
        target="prod", remedy=REMEDY, policy="heal", items=(), mode=Mode.ENFORCE
    )
    assert spent.last == row.acted_at
