"""The guard before every write: a committed entry, under a lease that is still ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from exporter.ledger.gateway import Ledger
from exporter.model.errors import LeaseLostError, LedgerUnavailableError
from exporter.model.operation import ItemOutcome, Operation, Outcome, Phase
from exporter.remediate.lease_guard import LeaseGuard, kept_lease
from tests.unit.fakes import Clock, by_policy, ledger_at, locked, plan_for, until

LEASE = timedelta(seconds=60)
ME, OTHER = "here:1:abc", "there:2:def"


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with ledger_at(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def operation(ledger: Ledger, clock: Clock) -> Operation:
    request = by_policy()
    return await ledger.reserve(request, plan_for(request), owner=ME, lease=LEASE, now=clock.now())


def guard_of(operation: Operation, ledger: Ledger, clock: Clock, *, owner: str = ME) -> LeaseGuard:
    return LeaseGuard(operation.id, ledger=ledger, owner=owner, lease=LEASE, now=clock.now)


async def test_each_write_has_its_entry_before_it_happens(
    ledger: Ledger, clock: Clock, operation: Operation
) -> None:
    """What is about to be written stands in the chain, and the lease is renewed."""
    guard = guard_of(operation, ledger, clock)
    clock.advance(40)
    await guard.before_write("delete dp_1")
    clock.advance(40)
    await guard.before_write("delete dp_2")
    assert guard.writes == 2
    acting = [e for e in await ledger.entries(operation.id) if e.kind == "acting"]
    assert ["dp_1" in e.body for e in acting] == [True, False]
    row = await ledger.operation(operation.id)
    assert row is not None
    assert (row.phase, row.lease_until) == (Phase.ACTING, clock.now() + LEASE)


async def test_what_became_of_an_item_is_recorded(
    ledger: Ledger, clock: Clock, operation: Operation
) -> None:
    """Also when the operation as a whole ends badly later."""
    outcome = ItemOutcome("dp_1", "deleted", "it was drained")
    await guard_of(operation, ledger, clock).item_done(outcome)
    assert await ledger.items(operation.id) == (("dp_1", outcome),)


async def test_no_write_when_the_lease_is_over(
    ledger: Ledger, clock: Clock, operation: Operation
) -> None:
    """Another process may have closed it by now: what was not let through was not counted."""
    guard = guard_of(operation, ledger, clock)
    clock.advance(60)
    with pytest.raises(LeaseLostError):
        await guard.before_write("delete dp_1")
    assert guard.writes == 0


async def test_no_write_in_another_owners_operation(
    ledger: Ledger, clock: Clock, operation: Operation
) -> None:
    """However fresh the lease is."""
    with pytest.raises(LeaseLostError):
        await guard_of(operation, ledger, clock, owner=OTHER).before_write("delete dp_1")


async def test_no_write_in_a_closed_operation(
    ledger: Ledger, clock: Clock, operation: Operation
) -> None:
    """It was closed as interrupted while we were busy."""
    guard = guard_of(operation, ledger, clock)
    await ledger.finish(operation.id, Outcome.INTERRUPTED, owner=ME, now=clock.now())
    with pytest.raises(LeaseLostError):
        await guard.before_write("delete dp_1")


async def test_no_write_without_the_ledger(
    ledger: Ledger, clock: Clock, operation: Operation, tmp_path: Path
) -> None:
    """An entry that could not be committed lets nothing through."""
    guard = guard_of(operation, ledger, clock)
    with locked(tmp_path), pytest.raises(LedgerUnavailableError):
        await guard.before_write("delete dp_1")
    assert guard.writes == 0
    await guard.before_write("delete dp_1")
    assert guard.writes == 1


async def test_a_lease_is_kept_while_an_operation_runs(
    ledger: Ledger, clock: Clock, operation: Operation, tmp_path: Path
) -> None:
    """Renewed several times within its length, through failures, and not a moment longer."""
    short = timedelta(seconds=0.08)

    async def lease_until() -> float:
        row = await ledger.operation(operation.id)
        assert row is not None
        assert row.lease_until is not None
        return (row.lease_until - clock.now()).total_seconds()

    async def renewed() -> None:
        for _ in range(500):
            if await lease_until() == short.total_seconds():
                return
            await asyncio.sleep(0.01)
        pytest.fail("it was not renewed")

    before = asyncio.all_tasks()
    async with kept_lease(operation.id, ledger=ledger, owner=ME, lease=short, now=clock.now):
        await renewed()
        with structlog.testing.capture_logs() as logs, locked(tmp_path):
            await until(lambda: bool(logs))
        clock.advance(0.05)
        await renewed()
    assert logs[0]["event"] == "operation.renew_failed"
    assert asyncio.all_tasks() == before
    clock.advance(0.01)
    await asyncio.sleep(0.05)
    assert await lease_until() == pytest.approx(0.07)
