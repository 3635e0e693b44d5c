"""Each error code of the operator API, produced on a real Restate, or on one broken for it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.remediate.verification import Verification
from exporter.web.entry.attempts import MOST, WITHIN_SECONDS
from exporter.wire.operator import PREFIX
from lab import ServiceSpec
from tests.doors import OPERATOR
from tests.integration.engine import Yard, nothing_changes, open_yard
from tests.integration.office import office_at
from tests.integration.proxy import Proxy, Seen, answering, deleting, listing, lost, registering
from tests.integration.surgery import send, until
from tests.medic import target_of
from tests.support import ServerFactory, WorkerFactory

GREETER = ServiceSpec("Greeter")
BILLING = ServiceSpec("Billing")
SIGNUP = ServiceSpec("Signup", "workflow", ("run", "poke"))
DEAD = "http://127.0.0.1:1/"
REDEPLOY, CLEANUP, RECOVER = (
    "force-redeploy",
    "cleanup-stale-deployments",
    "recover-stuck-workflow",
)


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    """One server and one worker for what only reads or keeps to keys of its own."""
    with open_yard(GREETER, SIGNUP) as opened:
        opened.restate.register(opened.worker.url)
        yield opened


def key_of(number: str) -> dict[str, str]:
    return {"serviceName": "Signup", "serviceKey": number}


def purging(seen: Seen) -> bool:
    return seen.path.endswith("/purge")


def looking_up_a_key(seen: Seen) -> bool:
    return seen.path == "/query" and b"target_service_key" in seen.body


async def test_an_unknown_url_is_no_deployment_to_keep(yard: Yard, tmp_path: Path) -> None:
    """404 RESTATE_DEPLOYMENT_NOT_FOUND, and nothing is cleaned up."""
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        with nothing_changes(yard.restate):
            code, _ = await office.error(404, CLEANUP, {"serviceUrl": "http://127.0.0.1:2/v9"})
    assert code == "RESTATE_DEPLOYMENT_NOT_FOUND"


async def test_an_active_key_is_blocked(yard: Yard, tmp_path: Path) -> None:
    """409 RESTATE_WORKFLOW_RETRY_BLOCKED with the reason and the ids, of waiting handlers too."""
    run = until(yard.restate, send(yard.restate, "Signup", "wait", "active"), "suspended")
    poke = until(yard.restate, send(yard.restate, "Signup", "wait", "poked", "poke"), "suspended")
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        for key, invocation in (("active", run), ("poked", poke)):
            code, data = await office.error(409, RECOVER, key_of(key))
            assert code == "RESTATE_WORKFLOW_RETRY_BLOCKED"
            assert data == {"reason": "active-invocation", "invocationIds": [invocation]}
    assert yard.restate.status(run) == "suspended"


async def test_a_key_that_succeeded_is_blocked(yard: Yard, tmp_path: Path) -> None:
    """409 with already-succeeded; its state stays."""
    run = until(yard.restate, send(yard.restate, "Signup", "go", "done"), "completed")
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        code, data = await office.error(409, RECOVER, key_of("done"))
    assert code == "RESTATE_WORKFLOW_RETRY_BLOCKED"
    assert data == {"reason": "already-succeeded", "invocationIds": [run]}
    assert yard.restate.query("SELECT key FROM state WHERE service_key = 'done'")


async def test_a_key_of_something_else_is_refused(yard: Yard, tmp_path: Path) -> None:
    """409 PREFLIGHT_REFUSED says that there is no run to recover."""
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        body = {"serviceName": "Greeter", "serviceKey": "k"}
        code, data = await office.error(409, RECOVER, body)
    assert (code, data["reason"]) == ("PREFLIGHT_REFUSED", "not-a-workflow")


async def test_a_purge_or_a_query_that_restate_refuses_is_told_apart(
    yard: Yard, tmp_path: Path
) -> None:
    """502 purge-failed and query-failed; what could not be reached at all is 503."""
    run = until(yard.restate, send(yard.restate, "Signup", "fail", "stuck"), "completed")
    async with Proxy(yard.restate.admin_url) as proxy:
        target = target_of(yard.restate) | {"admin_url": proxy.url}
        async with office_at(tmp_path, [target]) as office:
            proxy.on(purging, answering(500))
            code, data = await office.error(502, RECOVER, key_of("stuck"))
            assert code == "RESTATE_WORKFLOW_RETRY_BLOCKED"
            assert data == {"reason": "purge-failed", "invocationIds": [run]}
            proxy.on(looking_up_a_key, answering(400, "no such column"))
            code, data = await office.error(502, RECOVER, key_of("stuck"))
            assert code == "RESTATE_WORKFLOW_RETRY_BLOCKED"
            assert (data["reason"], data["invocationIds"]) == ("query-failed", [])
            proxy.on(looking_up_a_key, lost)
            code, _ = await office.error(503, RECOVER, key_of("stuck"))
            assert code == "RESTATE_ADMIN_UNREACHABLE"
            proxy.on(purging, lost)
            code, data = await office.error(503, RECOVER, key_of("stuck"))
            assert (code, data["outcome"]) == ("RESTATE_ADMIN_UNREACHABLE", "indeterminate")
            assert yard.restate.status(run) == "completed"
            answer = await office.post(RECOVER, key_of("stuck"))
            assert answer.json() == {"acknowledged": True}
            outcomes = [str(row.outcome) for row in await office.rows()]
    assert outcomes == ["verified", "indeterminate", "refused", "refused", "failed"]


async def test_a_key_submitted_again_between_plan_and_purge_is_blocked(
    yard: Yard, tmp_path: Path
) -> None:
    """Restate itself says that the run is not completed: 409, and nothing is acknowledged."""
    until(yard.restate, send(yard.restate, "Signup", "fail", "again"), "completed")
    async with Proxy(yard.restate.admin_url) as proxy:
        target = target_of(yard.restate) | {"admin_url": proxy.url}
        async with office_at(tmp_path, [target]) as office:
            proxy.on(purging, answering(409, "the invocation is not completed"))
            code, data = await office.error(409, RECOVER, key_of("again"))
    assert code == "RESTATE_WORKFLOW_RETRY_BLOCKED"
    assert data["reason"] == "active-invocation"


async def test_an_admin_that_cannot_be_reached(yard: Yard, tmp_path: Path) -> None:
    """503 RESTATE_ADMIN_UNREACHABLE from every write; doctor answers all the same."""
    target = target_of(yard.restate) | {"admin_url": "http://127.0.0.1:1"}
    async with office_at(tmp_path, [target]) as office:
        url = {"serviceUrl": yard.worker.url}
        for route, body in ((REDEPLOY, url), (CLEANUP, url), (RECOVER, key_of("k"))):
            code, _ = await office.error(503, route, body)
            assert code == "RESTATE_ADMIN_UNREACHABLE"
        answer = await office.post("doctor", {})
        assert answer.status_code == 200
        assert answer.json()["ingress"]["status"] == "ok"
        for name in ("admin", "deployments", "services", "invocations"):
            assert answer.json()[name]["status"] == "unreachable"
            assert answer.json()[name]["error"]
        assert answer.json()["admin"]["latencyMs"] is None


async def test_a_list_that_cannot_be_read_is_an_admin_that_cannot_be_reached(
    yard: Yard, tmp_path: Path
) -> None:
    """As the reference says of cleanup: whatever went wrong with the list."""
    async with Proxy(yard.restate.admin_url) as proxy:
        target = target_of(yard.restate) | {"admin_url": proxy.url}
        async with office_at(tmp_path, [target]) as office:
            proxy.on(listing, answering(500))
            code, _ = await office.error(503, CLEANUP, {"serviceUrl": yard.worker.url})
    assert code == "RESTATE_ADMIN_UNREACHABLE"


async def test_a_worker_that_is_not_there(yard: Yard, tmp_path: Path) -> None:
    """502 DISCOVERY_FAILED with Restate's own code, in the preflight and in the act."""
    async with Proxy(yard.restate.admin_url) as proxy:
        target = target_of(yard.restate) | {"admin_url": proxy.url}
        async with office_at(tmp_path, [target]) as office:
            code, data = await office.error(502, REDEPLOY, {"serviceUrl": DEAD})
            assert (code, data["restateCode"]) == ("DISCOVERY_FAILED", "META0003")
            proxy.on(registering, answering(500, "[META0003] gone meanwhile"))
            code, data = await office.error(502, REDEPLOY, {"serviceUrl": yard.worker.url})
            assert (code, data["outcome"]) == ("DISCOVERY_FAILED", "failed")


async def test_what_was_done_and_does_not_show(yard: Yard, tmp_path: Path) -> None:
    """502 OPERATION_UNVERIFIED: it was registered, and the ingress cannot be asked about it."""
    target = target_of(yard.restate) | {"ingress_url": "http://127.0.0.1:1"}
    async with office_at(tmp_path, [target]) as office:
        office.engine.people.verification = Verification(within=timedelta(seconds=2))
        code, data = await office.error(502, REDEPLOY, {"serviceUrl": yard.worker.url})
        assert (code, data["outcome"]) == ("OPERATION_UNVERIFIED", "unverified")
        (row,) = await office.rows()
        assert row.id == data["operationId"]


async def test_a_delete_that_restate_refuses(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """502 OPERATION_FAILED: nothing is acknowledged that was not done."""
    restate, old, new = fresh_restate(), worker_factory(GREETER), worker_factory(GREETER)
    restate.register(old.url)
    restate.register(new.url)
    async with Proxy(restate.admin_url) as proxy:
        target = target_of(restate) | {"admin_url": proxy.url}
        async with office_at(tmp_path, [target]) as office:
            proxy.on(deleting, answering(500))
            code, data = await office.error(502, CLEANUP, {"serviceUrl": new.url})
            assert (code, data["outcome"]) == ("OPERATION_FAILED", "failed")
            assert len(restate.deployments()) == 2
            answer = await office.post(CLEANUP, {"serviceUrl": new.url})
            assert answer.json() == {"acknowledged": True}
    assert len(restate.deployments()) == 1


async def test_what_would_hurt_needs_the_word_for_it(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """409 PREFLIGHT_REFUSED names the word; with it in ``allow`` it is done, and recorded."""
    restate, worker = fresh_restate(), worker_factory(GREETER, BILLING)
    restate.register(worker.url)
    worker.roll([GREETER])
    async with office_at(tmp_path, [target_of(restate, service_url=worker.url)]) as office:
        with nothing_changes(restate):
            code, data = await office.error(409, REDEPLOY, {"serviceUrl": worker.url})
        assert code == "PREFLIGHT_REFUSED"
        assert data == {"reason": "drop-service", "allow": "drop-service"}
        body = {"serviceUrl": worker.url, "allow": ["drop-service"]}
        answer = await office.post(REDEPLOY, body)
        assert answer.json()["acknowledged"] is True
        assert restate.exposed() == ["Greeter"]
        done, refused = await office.rows()
        assert done.allowed == ("drop-service",)
        assert (str(refused.outcome), refused.allowed) == ("refused", ())


async def test_a_forced_drain_kills_no_more_than_was_allowed(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Refused with the count when there is more; done when somebody accepts the loss."""
    restate, old = fresh_restate(), worker_factory(SIGNUP)
    restate.register(old.url)
    runs = [until(restate, send(restate, "Signup", "wait", key), "suspended") for key in ("a", "b")]
    new = worker_factory(SIGNUP)
    restate.register(new.url)
    old.stop()
    keep = {"serviceUrl": new.url}
    settings = {"service_url": new.url}
    async with office_at(tmp_path, [target_of(restate, **settings)]) as office:
        body = {**keep, "forceDrain": True, "maxKills": 1}
        code, data = await office.error(409, CLEANUP, body)
        assert (code, data["reason"], data["kills"]) == ("PREFLIGHT_REFUSED", "too-many-kills", 2)
        assert [restate.status(run) for run in runs] == ["suspended", "suspended"]
        answer = await office.post(CLEANUP, {**keep, "forceDrain": True})
        assert answer.json() == {"acknowledged": True}
    assert [restate.status(run) for run in runs] == ["completed", "completed"]
    assert len(restate.deployments()) == 1


async def test_targets_must_be_named_and_known(yard: Yard, tmp_path: Path) -> None:
    """422 TARGET_AMBIGUOUS with two of them, 404 TARGET_NOT_FOUND for a third; both are rows."""
    other = target_of(yard.restate, "other") | {"admin_url": "http://127.0.0.1:1"}
    async with office_at(tmp_path, [target_of(yard.restate), other]) as office:
        code, data = await office.error(422, "doctor", {})
        assert (code, data) == ("TARGET_AMBIGUOUS", {"targets": ["other", "prod"]})
        code, _ = await office.error(404, RECOVER, key_of("k"), query="?target=pord")
        assert code == "TARGET_NOT_FOUND"
        answer = await office.post("doctor", {}, query="?target=prod")
        assert answer.json()["admin"]["status"] == "ok"
        rows = [(r.target, r.remedy, str(r.outcome)) for r in await office.rows()]
    assert rows == [
        ("prod", "doctor", "answered"),
        ("pord", RECOVER, "refused"),
        ("", "doctor", "refused"),
    ]


async def test_who_has_no_valid_key_is_told_and_slowed_down(yard: Yard, tmp_path: Path) -> None:
    """401 UNAUTHORIZED, after ten of them 429 TOO_MANY_REQUESTS; a valid key still gets in."""
    body = {"serviceUrl": yard.worker.url}
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        with nothing_changes(yard.restate):
            for _ in range(MOST):
                code, _ = await office.error(401, REDEPLOY, body, key="rm_wrong")
                assert code == "UNAUTHORIZED"
            answer = await office.post(REDEPLOY, body, key="rm_wrong")
        assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS")
        assert 0 < int(answer.headers["retry-after"]) <= WITHIN_SECONDS
        assert await office.rows() == ()
        assert (await office.post("doctor", {})).status_code == 200


async def test_what_is_not_there_is_told(yard: Yard, tmp_path: Path) -> None:
    """404 NOT_FOUND, 405 METHOD_NOT_ALLOWED, and 422 BAD_REQUEST for an unknown field."""
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        code, _ = await office.error(404, "reboot", {})
        assert code == "NOT_FOUND"
        answer = await office.http.get(f"{PREFIX}/doctor", headers={"X-Api-Key": OPERATOR})
        assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
        code, data = await office.error(422, REDEPLOY, {"serviceURL": yard.worker.url})
        assert code == "BAD_REQUEST"
        assert {issue["path"] for issue in data["issues"]} == {"body.serviceUrl", "body.serviceURL"}


async def test_without_a_ledger_nothing_is_done_and_doctor_still_tells(
    yard: Yard, tmp_path: Path
) -> None:
    """503 LEDGER_UNAVAILABLE while another process holds the ledger's lock."""
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        assert (await office.post("doctor", {})).status_code == 200
        holder = sqlite3.connect(tmp_path / "data" / "medic.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with nothing_changes(yard.restate):
            code, _ = await office.error(503, REDEPLOY, {"serviceUrl": yard.worker.url})
        assert code == "LEDGER_UNAVAILABLE"
        answer = await office.post("doctor", {})
        assert answer.json()["admin"]["status"] == "ok"
        holder.execute("ROLLBACK")
        holder.close()
        assert (await office.post(REDEPLOY, {"serviceUrl": yard.worker.url})).status_code == 200


async def test_a_daemon_that_stops_begins_nothing(yard: Yard, tmp_path: Path) -> None:
    """503 SHUTTING_DOWN with a time to come back; doctor may still be asked."""
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        office.engine.people.accepting = False
        with nothing_changes(yard.restate):
            answer = await office.post(REDEPLOY, {"serviceUrl": yard.worker.url})
        assert (answer.status_code, answer.json()["code"]) == (503, "SHUTTING_DOWN")
        assert int(answer.headers["retry-after"]) > 0
        assert (await office.post("doctor", {})).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"null", "application/json", 422),
        (b"[" * 60_000, "application/json", 422),
        (b'{"\\ud800": 1}', "application/json", 422),
        (b'{"reason": "\\ud800"}', "application/json", 422),
        (b'{"reason": NaN}', "application/json", 422),
        (b'{"reason": "a\\u0000b"}', "application/json", 200),
        (b"{}", "text/plain", 422),
        (b"{}", "application/x-www-form-urlencoded", 422),
        (b'{"reason": "' + b"x" * 70_000 + b'"}', "application/json", 413),
    ],
)
async def test_a_body_that_is_none_is_told_and_recorded(
    yard: Yard, tmp_path: Path, content: bytes, kind: str, status: int
) -> None:
    """Broken JSON, text that is none, endless nesting, another type, too much of it."""
    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        answer = await office.http.post(
            f"{PREFIX}/doctor",
            content=content,
            headers={"X-Api-Key": OPERATOR, "Content-Type": kind},
        )
        assert answer.status_code == status, answer.text
        (row,) = await office.rows()
        assert str(row.outcome) == ("answered" if status == 200 else "refused")
        if status != 200:
            assert list(answer.json()) == ["code", "message", "data", "requestId"]
            assert answer.json()["message"]


async def test_a_body_without_a_length_is_cut_too(yard: Yard, tmp_path: Path) -> None:
    """What comes in pieces is counted as it comes."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    async with office_at(tmp_path, [target_of(yard.restate)]) as office:
        headers = {"X-Api-Key": OPERATOR, "Content-Type": "application/json"}
        answer = await office.http.post(f"{PREFIX}/doctor", content=pieces(), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
