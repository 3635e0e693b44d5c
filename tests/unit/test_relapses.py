"""What broke again counts in the very round that sees it, and is written down once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.ledger.gateway import Ledger
from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode
from exporter.model.hold import HoldReason
from exporter.model.items import invocation_key
from exporter.model.operation import ActResult, ItemOutcome, Operation, Outcome
from exporter.model.views import InvocationItem, InvocationsView
from exporter.remedies.resume_invocations import RESUME_INVOCATIONS
from tests.unit.fakes import by_person, by_policy, ledger_at, plan_for
from tests.unit.policy_scenes import NOW, policy
from tests.unit.shift import Shift

REMEDY = "resume-invocations"
LEASE = timedelta(seconds=60)
MINUTE = timedelta(minutes=1)
BORN = NOW - timedelta(hours=2)
ITEM = InvocationItem(
    *("inv_1", "Greeter", "service", None, "run", "dp_0"),
    created_at=BORN,
    modified_at=NOW - MINUTE,
    paused_by="retries",
)
KEY = invocation_key(ITEM.id, ITEM.created_at)
RULE = policy(
    "item.resumes < 9",
    """
        for_each: invocations.paused
        breaker: {failed: 1, per: 24h, reset: manual}
    """,
    action="{resume-invocations: {service: Greeter, max_items: 2}}",
)


@pytest.fixture
async def shift(tmp_path: Path) -> AsyncIterator[Shift]:
    async with ledger_at(tmp_path) as ledger:
        yield shift_on(ledger)


def shift_on(ledger: Ledger) -> Shift:
    shift = Shift(ledger, (RULE,))
    backend = shift.parts["prod"].backend
    remedy = replace(
        shift.remedy.built(), name=REMEDY, broken_again=RESUME_INVOCATIONS.broken_again
    )
    shift.parts["prod"].backend = replace(backend, remedies={REMEDY: remedy})
    show(shift, ITEM)
    return shift


def show(shift: Shift, *items: InvocationItem) -> None:
    """What the next readings see to be paused."""
    view = InvocationsView((), (), frozenset(), 0.1, paused=items)
    shift.parts["prod"].shown[Component.INVOCATIONS] = view


async def resumed(shift: Shift, minutes_ago: float, *, person: bool = False) -> Operation:
    """An operation that resumed the item, and was verified, so long ago."""
    at = NOW - minutes_ago * MINUTE
    asked = by_person(remedy=REMEDY) if person else by_policy("p", remedy=REMEDY)
    request = replace(asked, items=(KEY,))
    ledger, item = shift.ledger, (ItemOutcome(KEY, "resumed"),)
    row = await ledger.reserve(request, plan_for(request), owner="x", lease=LEASE, now=at)
    await ledger.mark_acted(row.id, ActResult(items=item), owner="x", lease=LEASE, now=at)
    return await ledger.finish(row.id, Outcome.VERIFIED, owner="x", now=at)


async def entries(shift: Shift) -> list[str]:
    return [e.kind for e in await shift.ledger.chain() if e.kind == "relapsed"]


async def held(shift: Shift) -> HoldReason | None:
    (found,) = await shift.round()
    assert isinstance(found, Decision)
    return found.reason


async def test_the_round_that_sees_it_does_not_go_on(shift: Shift) -> None:
    """The breaker is open at once; the ledger learns it once; a restart knows it."""
    operation = await resumed(shift, 30)
    assert await held(shift) is HoldReason.BREAKER_OPEN
    assert shift.remedy.written == []
    (row,) = await shift.ledger.operations()
    assert (row.id, row.outcome, row.relapsed_at) == (operation.id, Outcome.VERIFIED, NOW)
    for one in (shift, shift, shift_on(shift.ledger)):
        one.clock.advance(15)
        assert await held(one) is HoldReason.BREAKER_OPEN
    assert await entries(shift) == ["relapsed"]
    assert [e["operation"] for e in shift.logs if e["event"] == "operation.relapsed"] == [
        operation.id
    ]


async def test_it_counts_as_one_failure_before_and_after_it_is_written(shift: Shift) -> None:
    """Never as two, whether the ledger or only the reading tells it."""
    await resumed(shift, 30)

    def counted() -> tuple[int, int, int]:
        around = shift.surroundings.world(
            "prod", max_mode=Mode.ENFORCE, ledger_ok=True, now=shift.clock.now()
        )
        known = len(shift.ledger.standing.failures("prod", REMEDY))
        return len(around.failures("prod", REMEDY)), len(around.failures_of("p")), known

    await shift.round()
    assert counted() == (1, 1, 0), "only the reading tells it"
    await shift.ledger.refresh()
    assert counted() == (1, 1, 1), "the ledger tells it, and the same reading"
    shift.clock.advance(1)
    await shift.round()
    assert counted() == (1, 1, 1)


@pytest.mark.parametrize("why", ["a person's", "another's pause", "stale", "failed", "old", "late"])
async def test_what_is_no_relapse(shift: Shift, why: str) -> None:
    """Nothing is decided on what is not read now, or is nobody's failure."""
    minutes_ago = {"late": 60 * 25, "old": 0}.get(why, 30)
    await resumed(shift, minutes_ago, person=why == "a person's")
    part = shift.parts["prod"]
    due = frozenset(part.target.intervals)
    match why:
        case "another's pause":
            show(shift, replace(ITEM, paused_by="manual"))
        case "stale":
            shift.fleet.merge(part.target, part.readings(), now=NOW)
            shift.clock.advance(600)
            due -= {Component.INVOCATIONS}
        case "failed":
            part.failing[Component.INVOCATIONS] = Reason.TIMEOUT
        case "old":
            shift.clock.at = NOW - MINUTE / 60
            shift.fleet.merge(part.target, part.readings(), now=shift.clock.now())
            shift.clock.at = NOW
            due -= {Component.INVOCATIONS}
    await shift.round(due=due)
    assert await entries(shift) == []
    assert shift.ledger.standing.failures("prod", REMEDY) == ()
