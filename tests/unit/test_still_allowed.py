"""What stops a policy's operation between its writes, and how it then ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.model.decision import Subject
from exporter.model.errors import StoppedError
from exporter.model.operation import Outcome
from exporter.remediate.verification import Verification
from tests.unit.fakes import FakeRemedy, Ward, by_person, by_policy, ledger_at

STEPS = ("write one", "write two", "write three")
SUBJECT = Subject("heal", "prod")


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    async with ledger_at(tmp_path) as ledger:
        yield Ward(ledger, remedy=FakeRemedy(steps=STEPS))


@dataclass
class After:
    """Allows a number of writes, then says no."""

    writes: int
    asked: int = field(default=0)

    async def __call__(self) -> None:
        self.asked += 1
        if self.asked > self.writes:
            raise StoppedError("paused", "mira said stop")


async def test_stopped_before_its_first_write_it_gives_its_budget_back(ward: Ward) -> None:
    """Nothing was written: refused, counted for nothing, and no refusal to wait for."""
    request = by_policy()
    ward.remediator.submit(
        SUBJECT, request, ward.target.backend, Verification(), still_allowed=After(0)
    )
    await ward.settle()
    row = await ward.row()
    assert (row.outcome, row.error) == (Outcome.REFUSED, "paused: mira said stop")
    assert ward.remedy.written == []
    assert ward.remediator.refusals.current() == {}
    await ward.ledger.refresh()
    usage = ward.ledger.standing.usage(
        target="prod", remedy=row.remedy, policy="heal", items=(), mode=request.mode
    )
    assert (usage.target, usage.last) == ((), None)


async def test_stopped_between_writes_it_writes_no_more_and_is_partial(ward: Ward) -> None:
    """What was done stays done and is in the ledger; nothing follows."""
    closed = await ward.remediator.perform(
        by_policy(), ward.target.backend, Verification(), still_allowed=After(2)
    )
    assert (closed.outcome, closed.error) == (Outcome.PARTIAL, "paused: mira said stop")
    assert ward.remedy.written == list(STEPS[:2])
    kinds = await ward.kinds(closed)
    assert kinds == ["reserved", "acting", "item", "acting", "item", "closed"]


async def test_a_persons_operation_is_not_asked(ward: Ward) -> None:
    """Windows and pauses are for policies."""
    closed = await ward.remediator.perform(by_person(), ward.target.backend, Verification())
    assert closed.outcome is Outcome.VERIFIED
    assert ward.remedy.written == list(STEPS)
