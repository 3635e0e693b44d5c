"""force-redeploy when the world does not hold still: changes in between, broken writes, rivals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.model.errors import InFlightError
from exporter.model.operation import Operation, Outcome
from lab import Restate, ServiceSpec, Worker
from tests.integration import proxy
from tests.integration.engine import (
    PERSON,
    Desk,
    Yard,
    desk_at,
    nothing_changes,
    open_yard,
    state_of,
)
from tests.integration.proxy import Fault, Gate, Matches, Proxy
from tests.support import WorkerFactory

REDEPLOY = "force-redeploy"
BRIEF = timedelta(milliseconds=20)
MANAGED = {"managed-by": "restate-operator"}
LONGER = {"inactivity_timeout": "7s"}


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    """A server, and a worker whose paths are deployments of their own."""
    with open_yard(ServiceSpec("Greeter", handlers=("hello",))) as yard:
        yield yard


# The world changes between the plan and the write


@pytest.mark.parametrize("change", ["replaced", "removed", "taken", "protected"])
async def test_what_changed_after_the_plan_stops_the_write(
    yard: Yard, tmp_path: Path, change: str
) -> None:
    """What the plan rests on is read again before the write: refused, and nothing is sent."""
    restate, planned = yard.restate, yard.new_url()
    registered = restate.register(planned)["id"]
    if change == "taken":  # the plan is about a new URL, and somebody else is quicker
        restate.delete_deployment(registered)
    meanwhile: list[Any] = []

    def hook() -> None:
        match change:
            case "removed":
                restate.delete_deployment(registered)
            case "protected":
                restate.register(planned, metadata=MANAGED)
            case _:
                restate.register(yard.new_url())
        meanwhile.extend(state_of(restate))

    target = {"service_url": planned, "protect": {"deployment_metadata": MANAGED}}
    async with Proxy(restate.admin_url) as between:
        between.on(proxy.listing, proxy.after(hook), skip=1)
        async with desk_at(tmp_path, restate, admin_url=between.url, **target) as desk:
            done = await desk.perform(desk.by_person(REDEPLOY))
            assert await acted(desk, done) == 0
        assert (done.outcome, done.after) == (Outcome.REFUSED, {"reason": "changed"})
        assert between.writes == []
    assert state_of(restate) == meanwhile


async def test_what_is_registered_by_others_meanwhile_is_compared_again(
    yard: Yard, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Same worker, same answer, but by now registering it would drop a handler: refused."""
    more = ServiceSpec("PlainG", handlers=("run", "more"))
    worker = worker_factory(ServiceSpec("PlainG"), alternate=[more])
    yard.restate.register(worker.url)
    skip_an_answer(yard.restate, worker)
    async with Proxy(yard.restate.admin_url) as between:
        somebody_else = proxy.after(lambda: yard.restate.register(worker.url))
        between.on(proxy.listing, somebody_else, skip=1)
        target = {"admin_url": between.url, "service_url": worker.url}
        async with desk_at(tmp_path, yard.restate, **target) as desk:
            done = await desk.perform(desk.by_person(REDEPLOY))
        assert done.outcome is Outcome.REFUSED, done.error
        assert between.writes == []
    handlers = service(yard.restate, "PlainG")["handlers"]
    assert {handler["name"] for handler in handlers} == {"run", "more"}


async def test_an_answer_that_differs_from_the_dry_run_is_a_failure(
    yard: Yard, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The worker changes between the last dry run and the registration: said, with what it lost."""
    stays = ServiceSpec("StaysF")
    worker = worker_factory(stays, alternate=[stays, ServiceSpec("ComesF")])
    deployment = yard.restate.register(worker.url)["id"]
    async with Proxy(yard.restate.admin_url) as between:
        between.on(proxy.listing, proxy.after(lambda: skip_an_answer(yard.restate, worker)), skip=1)
        target = {"admin_url": between.url, "service_url": worker.url}
        async with desk_at(tmp_path, yard.restate, **target) as desk:
            done = await desk.perform(desk.by_person(REDEPLOY))
    assert done.before["drift"]["added"] == ["ComesF"]
    assert done.outcome is Outcome.FAILED
    assert f"was registered as {deployment}" in (done.error or "")
    assert "drops ComesF" in (done.error or "")
    assert "ComesF" not in yard.restate.exposed()


# Writes that break


@pytest.mark.parametrize(
    ("matches", "fault", "outcome"),
    [
        pytest.param(proxy.registering, proxy.answering(503), Outcome.INDETERMINATE, id="503"),
        pytest.param(proxy.registering, proxy.lost, Outcome.INDETERMINATE, id="lost"),
        pytest.param(proxy.registering, proxy.answer_lost, Outcome.INDETERMINATE, id="answer-lost"),
        pytest.param(
            proxy.registering,
            proxy.changing(lambda answer: answer | {"id": None}),
            Outcome.INDETERMINATE,
            id="unreadable",
        ),
        pytest.param(proxy.registering, proxy.answering(409), Outcome.FAILED, id="told-no"),
        pytest.param(proxy.patching, proxy.answering(503), Outcome.INDETERMINATE, id="patch-503"),
        pytest.param(proxy.patching, proxy.answering(400), Outcome.FAILED, id="patch-400"),
    ],
)
async def test_a_write_without_an_answer_has_an_unknown_outcome(
    yard: Yard, tmp_path: Path, matches: Matches, fault: Fault, outcome: Outcome
) -> None:
    """503 and broken connections: indeterminate, since it may have happened; told no: failed.

    Either way the operation is closed, the target is free, and the error says what broke.
    """
    url = yard.new_url()
    yard.restate.register(url)
    yard.restate.admin("PATCH", "/services/Greeter", LONGER).raise_for_status()
    async with Proxy(yard.restate.admin_url) as between:
        between.on(matches, fault)
        async with desk_at(tmp_path, yard.restate, admin_url=between.url, service_url=url) as desk:
            done = await desk.perform(desk.by_person(REDEPLOY))
            assert done.outcome is outcome, done.error
            assert await acted(desk, done) >= 1
            assert (await desk.perform(desk.by_person(REDEPLOY))).outcome is Outcome.VERIFIED


async def test_overrides_are_put_back_even_when_the_answer_was_lost(
    yard: Yard, tmp_path: Path
) -> None:
    """A registration that went through unseen must not leave a private service public."""
    url = yard.new_url()
    yard.restate.register(url)
    private = {"public": False}
    yard.restate.admin("PATCH", "/services/Greeter", private).raise_for_status()
    revision = service(yard.restate)["revision"]
    async with Proxy(yard.restate.admin_url) as between:
        between.on(proxy.registering, proxy.answer_lost)
        async with desk_at(tmp_path, yard.restate, admin_url=between.url, service_url=url) as desk:
            done = await desk.perform(desk.by_person(REDEPLOY))
    assert done.outcome is Outcome.INDETERMINATE
    assert service(yard.restate)["revision"] == revision + 1, "it did happen"
    assert service(yard.restate)["public"] is False


@pytest.mark.parametrize("fault", [proxy.answering(503), proxy.lost, proxy.answering(500)])
async def test_what_breaks_before_any_write_changed_nothing(
    yard: Yard, tmp_path: Path, fault: Fault
) -> None:
    """A read that fails between the plan and the write: failed, and known to be so."""
    url = yard.new_url()
    yard.restate.register(url)
    async with Proxy(yard.restate.admin_url) as between:
        between.on(proxy.listing, fault, skip=1, times=2)  # aiohttp asks a lost GET once more
        target = {"admin_url": between.url, "service_url": url}
        async with desk_at(tmp_path, yard.restate, **target) as desk:
            with nothing_changes(yard.restate):
                done = await desk.perform(desk.by_person(REDEPLOY))
        assert done.outcome is Outcome.FAILED
        assert between.writes == []


async def test_a_registration_that_does_not_last_is_not_verified(
    yard: Yard, tmp_path: Path
) -> None:
    """Verification reads what is there: an answer of 200 alone is not success."""
    url = yard.new_url()
    done_by_server = yard.restate.register(url)

    def forgotten(answer: Any) -> Any:
        yard.restate.delete_deployment(done_by_server["id"])
        return answer

    async with Proxy(yard.restate.admin_url) as between:
        between.on(proxy.registering, proxy.changing(forgotten))
        target = {"admin_url": between.url, "service_url": url}
        async with desk_at(tmp_path, yard.restate, **target) as desk:
            done = await desk.perform(desk.by_person(REDEPLOY), within=timedelta(seconds=1))
    assert done.outcome is Outcome.UNVERIFIED
    assert f"{done_by_server['id']} is not registered" in (done.error or "")


# Two at once


@pytest.mark.parametrize("first", ["person", "policy"])
async def test_of_two_at_once_exactly_one_acts_and_the_other_is_told(
    yard: Yard, tmp_path: Path, first: str
) -> None:
    """Persons and policies, in two processes' engines, share one lock: the ledger's."""
    url = yard.new_url()
    gate = Gate()
    async with Proxy(yard.restate.admin_url) as between:
        between.on(proxy.registering, gate)
        target = {"service_url": url, "admin_url": between.url}
        async with (
            desk_at(tmp_path, yard.restate, **target) as one,
            desk_at(tmp_path, yard.restate, **target) as two,
        ):
            request = (
                one.by_person(REDEPLOY)
                if first == "person"
                else one.by_policy(REDEPLOY, stable_for=BRIEF)
            )
            running = asyncio.create_task(one.perform(request))
            await asyncio.wait_for(gate.reached.wait(), 30)
            with pytest.raises(InFlightError) as told:
                await two.perform(two.by_person(REDEPLOY))
            with pytest.raises(InFlightError):
                await one.perform(one.by_policy(REDEPLOY, stable_for=BRIEF))  # it owns the target
            gate.open()
            winner = await running
            assert winner.outcome is Outcome.VERIFIED
            assert told.value.operation_id == winner.id
            assert winner.actor in str(told.value)
            rows = {row.id: row for row in await one.rows()}
            (loser,) = (row for row in rows.values() if row.id != winner.id)
            assert (loser.actor, loser.outcome) == (PERSON, Outcome.REFUSED)
            assert (loser.error or "").startswith("in-flight: ")
        assert len(between.writes) == 1


async def test_two_who_start_in_the_same_moment_do_not_both_write(
    yard: Yard, tmp_path: Path
) -> None:
    """Both have a plan when they ask for the lock; who comes second is told, or finds it done."""
    url = yard.new_url()
    async with Proxy(yard.restate.admin_url) as between:
        target = {"service_url": url, "admin_url": between.url}
        async with (
            desk_at(tmp_path, yard.restate, **target) as one,
            desk_at(tmp_path, yard.restate, **target) as two,
        ):
            results = await asyncio.gather(
                one.perform(one.by_person(REDEPLOY)),
                two.perform(two.by_person(REDEPLOY)),
                return_exceptions=True,
            )
            rows = await one.rows()
    outcomes = sorted(str(row.outcome) for row in rows)
    assert outcomes == [Outcome.REFUSED, Outcome.VERIFIED], results
    assert len(between.writes) == 1


async def acted(desk: Desk, operation: Operation) -> int:
    """How many writes the ledger announced."""
    entries = await desk.engine.ledger.entries(operation.id)
    return sum(entry.kind == "acting" for entry in entries)


def skip_an_answer(restate: Restate, worker: Worker) -> None:
    """A worker with alternate services gives them in every second discovery: use one up."""
    restate.register(worker.url, dry_run=True)


def service(restate: Restate, name: str = "Greeter") -> dict[str, Any]:
    """A service as the server has it."""
    body: dict[str, Any] = restate.admin("GET", f"/services/{name}").json()
    return body
