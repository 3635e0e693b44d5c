"""What a backend promises, on both: the same facts, the same repairs, the same refusals."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from exporter.backends.dalp import SERVED
from exporter.model.component import RECOVERY_API_COMPONENTS, Status
from exporter.model.derive import derive
from exporter.model.findings import Findings
from exporter.model.operation import Outcome
from lab import Restate, ServiceSpec
from tests.contract.backends.sides import SIDES, Side, Ways, attempt
from tests.integration.engine import NAME, PERSON, Desk, nothing_changes
from tests.integration.surgery import row_of, send, until
from tests.medic import PATIENCE_SECONDS
from tests.support import ServerFactory, WorkerFactory

GREETER = ServiceSpec("Greeter")
BILLING = ServiceSpec("Billing")
SIGNUP = ServiceSpec("Signup", "workflow", ("run", "peek"))
CART = ServiceSpec("Cart", "object")
REDEPLOY, CLEANUP, RECOVER = (
    "force-redeploy",
    "cleanup-stale-deployments",
    "recover-stuck-workflow",
)


async def seen(desk: Desk) -> Findings:
    """Read every component now, and derive."""
    await desk.read()
    report = desk.engine.fleet.report(NAME)
    return derive(report, desk.engine.backends[NAME].target, now=desk.engine.now())


def words(findings: Findings) -> set[Status]:
    return {findings.components[c].status for c in RECOVERY_API_COMPONENTS}


def deployments(restate: Restate) -> set[str]:
    return {d["id"] for d in restate.deployments()}


def names(restate: Restate) -> set[str]:
    return {s["name"] for s in restate.services()}


def freed(restate: Restate, key: str) -> None:
    """The key can be submitted again, and runs."""
    fresh = restate.call("Signup", "run", "go", key=key, send=True).json()
    assert fresh["status"] == "Accepted"
    until(restate, fresh["invocationId"], "completed")
    assert row_of(restate, fresh["invocationId"])["completion_result"] == "success"


# Facts


async def test_what_both_sides_tell_is_the_same(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, ways: Ways
) -> None:
    """Every value that a remote operator API can serve is the one that Restate itself gives."""
    restate, worker = fresh_restate(), worker_factory(SIGNUP, CART)
    restate.register(f"{worker.url}/v1")
    restate.register(f"{worker.url}/v2")
    until(restate, send(restate, "Signup", "wait", "waits"), "suspended")
    until(restate, send(restate, "Signup", "fail", "stuck"), "completed")
    killed = until(restate, send(restate, "Signup", "wait", "killed"), "suspended")
    restate.admin("PATCH", f"/invocations/{killed}/kill").raise_for_status()
    until(restate, killed, "completed")
    expected = {"service_url": f"{worker.url}/v2", "expected_services": ["Signup", "Lost"]}
    told: dict[Side, Findings] = {}
    for way in SIDES:
        async with ways.desk(way, restate, **expected) as desk:
            told[way] = await seen(desk)
    assert SERVED.variables is not None
    assert alike(told["remote"].values) == alike(told["direct"].values)
    assert told["remote"].values["services.missing"] == ["Lost"]
    assert told["remote"].values["invocations.suspended"] == 1
    for kind in ("workers", "deployments", "workflows.failed"):
        rows = {
            way: {i.key: alike(i.values) for i in found.items[kind] or ()}
            for way, found in told.items()
        }
        assert rows["remote"] == rows["direct"], kind
        assert rows["remote"], kind
    assert {i.values["item.cause"] for i in told["remote"].items["workflows.failed"] or ()} == {
        "error",
        "killed",
    }
    unserved = told["remote"].values.keys() - SERVED.variables
    assert {name.partition(".")[0] for name in unserved} <= {"drift", "heartbeat", "node"}


def alike(values: Any) -> dict[str, Any]:
    """The values that both sides serve; ages differ by when they were read, the kind by design."""
    assert SERVED.variables is not None
    served = SERVED.variables - {"target.kind"}
    return {n: v for n, v in values.items() if n in served and not n.endswith("age")}


async def test_a_restate_that_is_gone_is_unreachable(
    fresh_restate: ServerFactory, side: Side, ways: Ways
) -> None:
    """All five components say so, with a bounded reason; nothing is bound, and nothing is zero."""
    restate = fresh_restate()
    async with ways.desk(side, restate) as desk:
        before = await seen(desk)
        assert words(before) == {Status.OK}
        restate.stop()
        deadline = desk.engine.now() + timedelta(seconds=PATIENCE_SECONDS)
        after = await seen(desk)
        while words(after) != {Status.UNREACHABLE} and desk.engine.now() < deadline:
            after = await seen(desk)  # the other side paces its scans, and tells the last one
    assert words(after) == {Status.UNREACHABLE}
    assert all(after.components[c].reason for c in RECOVERY_API_COMPONENTS)
    assert {"services.registered", "invocations.paused"} <= before.values.keys()
    assert not {"services.registered", "invocations.paused"} & after.values.keys()
    assert after.items["workflows.failed"] is None


# Repairs


async def test_a_rolled_worker_is_registered_again(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, side: Side, ways: Ways
) -> None:
    """Its new service is reachable; the row tells who, why, what was before and after."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    known = restate.register(worker.url)["id"]
    worker.roll([GREETER, BILLING])
    async with ways.desk(side, restate, service_url=worker.url) as desk:
        ended = await attempt(desk, desk.by_person(REDEPLOY, reason="rolled"))
        assert (ended.outcome, ended.row.error) == (Outcome.VERIFIED, None)
        assert (ended.row.actor, ended.row.reason) == (PERSON, "rolled")
        assert ended.row.before["deploymentId"] == ended.row.after["deploymentId"] == known
    assert names(restate) == {"Greeter", "Billing"}


async def test_a_registration_that_would_hurt_is_refused_unless_it_is_allowed(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, side: Side, ways: Ways
) -> None:
    """The word is the same on both sides, nothing is spent, and insisting works and is recorded."""
    restate, worker = fresh_restate(), worker_factory(GREETER, BILLING)
    restate.register(worker.url)
    worker.roll([GREETER])
    async with ways.desk(side, restate, service_url=worker.url) as desk:
        with nothing_changes(restate):
            refused = await attempt(desk, desk.by_person(REDEPLOY))
        assert (refused.outcome, refused.reason) == (Outcome.REFUSED, "drop-service")
        allowed = await attempt(desk, desk.by_person(REDEPLOY, allow=["drop-service"]))
        assert allowed.outcome is Outcome.VERIFIED, allowed.row.error
        assert allowed.row.allowed == ("drop-service",)
    assert names(restate) == {"Greeter"}


async def test_a_worker_that_does_not_answer_is_not_registered(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, side: Side, ways: Ways
) -> None:
    """The discovery fails, nothing is written, and the row says that it was refused."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    worker.stop()
    async with ways.desk(side, restate, service_url=worker.url) as desk:
        with nothing_changes(restate):
            ended = await attempt(desk, desk.by_person(REDEPLOY))
        assert ended.outcome is Outcome.REFUSED
        assert ended.reason in {"http_status", "discovery-failed"}


@pytest.mark.parametrize("url", ["http://worker.example.com/", "not-a-url"])
async def test_a_url_that_is_none_is_refused(
    restate: Restate, side: Side, ways: Ways, url: str
) -> None:
    """A placeholder, or no URL at all."""
    async with ways.desk(side, restate) as desk:
        with nothing_changes(restate):
            ended = await attempt(desk, desk.by_person(REDEPLOY, url=url))
    assert ended.outcome is Outcome.REFUSED


async def test_what_was_replaced_is_deleted_and_the_rest_stays(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, side: Side, ways: Ways
) -> None:
    """Drained ones go, also the one that drains meanwhile; the kept one stays and serves."""
    restate, worker = fresh_restate(), worker_factory(SIGNUP)
    busy = restate.register(f"{worker.url}/v1")["id"]
    run = until(restate, send(restate, "Signup", "wait", "k1"), "suspended")
    idle = restate.register(f"{worker.url}/v2")["id"]
    kept = restate.register(f"{worker.url}/v3")["id"]
    async with ways.desk(side, restate, service_url=f"{worker.url}/v3") as desk:
        cleaning = asyncio.ensure_future(attempt(desk, desk.by_person(CLEANUP)))
        while deployments(restate) == {busy, idle, kept} and not cleaning.done():
            await asyncio.sleep(0.2)
            restate.admin("PATCH", f"/invocations/{run}/kill")
        ended = await cleaning
        assert ended.outcome is Outcome.VERIFIED, ended.row.error
        assert set(ended.row.after["deleted"]) == {busy, idle}
        items = {k: i and i.outcome for k, i in await desk.engine.ledger.items(ended.row.id)}
        assert items == {busy: "deleted", idle: "deleted"}
        again = await attempt(desk, desk.by_person(CLEANUP))
        assert again.outcome is Outcome.NOTHING_TO_DO
    assert deployments(restate) == {kept}


async def test_what_is_not_the_one_to_keep_is_refused(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, side: Side, ways: Ways
) -> None:
    """An unknown URL, and one that a newer deployment replaced."""
    restate, worker = fresh_restate(), worker_factory(SIGNUP)
    restate.register(f"{worker.url}/v1")
    restate.register(f"{worker.url}/v2")
    async with ways.desk(side, restate) as desk:
        with nothing_changes(restate):
            for path, reason in (("v9", "deployment-not-found"), ("v1", "not-latest")):
                ended = await attempt(desk, desk.by_person(CLEANUP, url=f"{worker.url}/{path}"))
                assert (ended.outcome, ended.reason) == (Outcome.REFUSED, reason)


async def test_a_failed_key_is_freed(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, side: Side, ways: Ways
) -> None:
    """It can be submitted again and runs; another failed key is left alone."""
    restate = fresh_restate()
    restate.register(worker_factory(SIGNUP).url)
    until(restate, send(restate, "Signup", "fail", "stuck"), "completed")
    other = until(restate, send(restate, "Signup", "fail", "other"), "completed")
    async with ways.desk(side, restate) as desk:
        ended = await attempt(
            desk, desk.by_person(RECOVER, serviceName="Signup", serviceKey="stuck")
        )
        assert ended.outcome is Outcome.VERIFIED, ended.row.error
        items = {k: i and i.outcome for k, i in await desk.engine.ledger.items(ended.row.id)}
        assert items == {"Signup/stuck": "recovered"}
    freed(restate, "stuck")
    assert row_of(restate, other)["completion_result"] == "failure"


async def test_a_key_that_must_not_be_replayed_is_refused_with_reason_and_ids(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, side: Side, ways: Ways
) -> None:
    """Active, succeeded, an object's, one that nobody could send: refused, unchanged, recorded."""
    restate = fresh_restate()
    restate.register(worker_factory(SIGNUP, CART).url)
    active = until(restate, send(restate, "Signup", "wait", "active"), "suspended")
    good = until(restate, send(restate, "Signup", "go", "good"), "completed")
    until(restate, send(restate, "Cart", "fail", "thing"), "completed")
    before = restate.query("SELECT id, status, modified_at FROM sys_invocation_status ORDER BY id")
    async with ways.desk(side, restate) as desk:
        for service, key, reason, ids in (
            ("Signup", "active", "active-invocation", [active]),
            ("Signup", "good", "already-succeeded", [good]),
            ("Cart", "thing", "not-a-workflow", []),
            ("Signup", "no/slash", "bad-argument", []),
        ):
            request = desk.by_person(RECOVER, serviceName=service, serviceKey=key)
            ended = await attempt(desk, request)
            assert (ended.outcome, ended.reason, ended.ids) == (Outcome.REFUSED, reason, ids)
    assert before == restate.query(
        "SELECT id, status, modified_at FROM sys_invocation_status ORDER BY id"
    )


async def test_what_is_not_supported_is_said(restate: Restate, side: Side, ways: Ways) -> None:
    """No remedy of that name: refused, in the ledger, and nothing is called."""
    async with ways.desk(side, restate) as desk:
        ended = await attempt(desk, desk.by_person("make-coffee"))
    assert (ended.outcome, ended.reason) == (Outcome.REFUSED, "remedy-unsupported")
