"""The operator API of a running daemon: the documented examples, two at once, the ledger, keys."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab import RestateServer, ServiceSpec, Version, Worker
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.integration.surgery import send, until
from tests.medic import PATIENCE_SECONDS, Medic, target_of
from tests.support import ServerFactory, WorkerFactory
from tests.toll import TollGate

PREFIX = "/api/v2/admin/operator/restate"
SIGNUP = ServiceSpec("Signup", "workflow", ("run", "poke"))
REGISTERING = b'"dry_run":false'
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# The answers that the recovery API documents, in its own field names and order.
DOCTOR: dict[str, Any] = {
    "ingress": {"status": "ok", "latencyMs": 12},
    "admin": {"status": "ok", "latencyMs": 9, "version": "1.4.0"},
    "deployments": {
        "status": "ok",
        "items": [
            {
                "id": "dp_01",
                "serviceUrl": "http://ddwf:9080/v1",
                "createdAt": "2026-05-09T10:00:00.000Z",
            }
        ],
        "error": None,
    },
    "services": {"status": "ok", "items": [{"name": "Signup", "revision": 3}], "error": None},
    "invocations": {
        "status": "ok",
        "byStatus": {"invoked": 2, "suspended": 1},
        "recentFailures": [
            {
                "id": "inv_01",
                "serviceName": "Signup",
                "serviceKey": "key_01",
                "failedAt": "2026-05-09T10:07:19.000Z",
                "errorMessage": "failed",
            }
        ],
        "error": None,
    },
}
REDEPLOYED: dict[str, Any] = {"acknowledged": True, "deploymentId": "dp_01"}
ACKNOWLEDGED: dict[str, Any] = {"acknowledged": True}
BLOCKED: dict[str, Any] = {
    "code": "RESTATE_WORKFLOW_RETRY_BLOCKED",
    "message": "Workflow retry is blocked by an active invocation",
    "data": {"reason": "active-invocation", "invocationIds": ["inv_01"]},
    "requestId": "1",
}
_COUNTED_BY_ITS_OWN_KEYS = {"byStatus"}


def same_shape(found: Any, example: Any, at: str = "") -> None:
    """The same fields in the same order, of the same JSON types, times written the same way."""
    if isinstance(example, dict):
        if at.rpartition(".")[2] in _COUNTED_BY_ITS_OWN_KEYS:
            assert all(isinstance(k, str) and isinstance(v, int) for k, v in found.items()), at
            return
        assert list(found) == list(example), at
        for name, value in example.items():
            same_shape(found[name], value, f"{at}.{name}")
    elif isinstance(example, list):
        assert isinstance(found, list), at
        for number, one in enumerate(found):
            same_shape(one, example[0], f"{at}[{number}]")
    elif isinstance(example, bool) or example is None:
        assert found is example, at
    elif isinstance(example, int):
        assert isinstance(found, (int, float)), at
    else:
        assert isinstance(found, str), at
        assert bool(TIME.fullmatch(found)) is bool(TIME.fullmatch(example)), at


def on(medic: Medic, key: str) -> Callable[..., httpx.Response]:
    """Posting to one of the four routes as the holder of a key."""

    def post(route: str, body: object, **headers: str) -> httpx.Response:
        return medic.post(f"{PREFIX}/{route}", body, x_api_key=key, **headers)

    return post


def test_the_documented_recovery_is_replayed_field_by_field(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Doctor, redeploy, doctor, cleanup, recover and doctor: each answer as it is documented."""
    restate, worker = fresh_restate(any_version), worker_factory(SIGNUP)
    old = worker_factory(SIGNUP)
    for url in (old.url, worker.url):
        restate.register(url)
    failed = until(restate, send(restate, "Signup", "fail", "k1"), "completed")
    waiting = until(restate, send(restate, "Signup", "wait", "k2"), "suspended")
    target = target_of(restate, workers=[{"url": worker.url}, {"url": f"{old.url}/gone"}])
    with Medic(tmp_path, targets=[target]) as medic:
        post = on(medic, medic.key())

        def doctor() -> dict[str, Any]:
            answer = post("doctor", {})
            assert answer.status_code == 200
            found: dict[str, Any] = answer.json()
            same_shape(found, DOCTOR)
            return found

        first = doctor()
        assert first["admin"]["version"] == restate.version()
        ids = [d["id"] for d in restate.deployments()]
        assert sorted(d["id"] for d in first["deployments"]["items"]) == sorted(ids)
        (failure,) = first["invocations"]["recentFailures"]
        assert (failure["id"], failure["serviceKey"]) == (failed, "k1")
        assert first["invocations"]["byStatus"] == {"suspended": 1}
        by_id = {d["id"]: d["serviceUrl"] for d in first["deployments"]["items"]}
        keep = next(url for url in by_id.values() if url.startswith(worker.url))

        answer = post("force-redeploy", {"serviceUrl": keep, "force": True})
        assert answer.status_code == 200
        same_shape(answer.json(), REDEPLOYED)
        assert by_id[answer.json()["deploymentId"]] == keep
        assert doctor()["services"]["items"] == [{"name": "Signup", "revision": 3}]

        answer = post("cleanup-stale-deployments", {"serviceUrl": keep, "forceDrain": False})
        assert (answer.status_code, answer.json()) == (200, ACKNOWLEDGED)
        assert [d["serviceUrl"] for d in doctor()["deployments"]["items"]] == [keep]

        body = {"serviceName": "Signup", "serviceKey": "k2"}
        answer = post("recover-stuck-workflow", body)
        assert answer.status_code == 409
        same_shape(answer.json(), BLOCKED)
        assert answer.json()["data"]["invocationIds"] == [waiting]
        answer = post("recover-stuck-workflow", {**body, "serviceKey": "k1"})
        assert (answer.status_code, answer.json()) == (200, ACKNOWLEDGED)
        assert doctor()["invocations"]["recentFailures"] == []
        again = restate.call("Signup", "run", "go", key="k1", send=True).json()
        assert again["status"] == "Accepted"


def gated(
    restate: RestateServer, worker: Worker, gate: TollGate, folder: Path, **settings: Any
) -> Medic:
    """A daemon whose admin calls go through the gate."""
    target = target_of(restate, service_url=worker.url) | {"admin_url": gate.url}
    return Medic(folder, targets=[target], timeout="60s", **settings)


def test_of_two_operators_at_once_one_wins(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The other gets OPERATION_IN_FLIGHT at once, and the ledger has both by name."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    body = {"serviceUrl": worker.url}
    with (
        TollGate(restate.admin_url, marker=REGISTERING, place="request") as gate,
        gated(restate, worker, gate, tmp_path) as medic,
        ThreadPoolExecutor(1) as threads,
    ):
        one, other = on(medic, medic.key("one")), on(medic, medic.key("other"))
        winner = threads.submit(one, "force-redeploy", body)
        assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
        lost = other("force-redeploy", body)
        assert (lost.status_code, lost.json()["code"]) == (409, "OPERATION_IN_FLIGHT")
        gate.release()
        won = winner.result()
        assert won.status_code == 200
        assert lost.json()["data"]["operationId"] == won.headers["x-operation-id"]
        first, second = sorted(medic.operations(), key=lambda row: str(row["createdAt"]))
    assert (first["actor"], first["outcome"]) == ("one", "verified")
    assert (second["actor"], second["outcome"]) == ("other", "refused")
    assert second["error"].startswith("in-flight")


def test_a_person_waits_while_a_policy_acts(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The policy's operation goes on to its end; the person is told whose it is."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    with TollGate(restate.admin_url, marker=REGISTERING, place="request") as gate:
        target = target | {"admin_url": gate.url}
        medic = Medic(tmp_path, targets=[target], policies=[re_register()], timeout="60s")
        worker.roll([GREETER, BILLING])
        with medic:
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            lost = on(medic, medic.key())("force-redeploy", {"serviceUrl": worker.url})
            assert (lost.status_code, lost.json()["code"]) == (409, "OPERATION_IN_FLIGHT")
            assert "policy:re-register" in lost.json()["message"]
            gate.release()
            medic.wait_for(
                lambda: {row["outcome"] for row in medic.operations()} == {"verified", "refused"},
                "both to be closed",
            )
            rows = {row["outcome"]: row for row in medic.operations()}
    assert rows["verified"]["source"] == "policy"
    assert (rows["refused"]["source"], rows["refused"]["actor"]) == ("api", "ops")


def test_an_operation_comes_to_its_end_without_whoever_asked(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The caller hangs up in the middle; the row is closed as verified all the same."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    with (
        TollGate(restate.admin_url, marker=REGISTERING, place="request") as gate,
        gated(restate, worker, gate, tmp_path) as medic,
    ):
        key, body = medic.key(), {"serviceUrl": worker.url}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                medic.url(f"{PREFIX}/force-redeploy"),
                json=body,
                headers={"X-Api-Key": key},
                timeout=2,
                trust_env=False,
            )
        assert gate.stopped.is_set()
        gate.release()
        medic.wait_for(
            lambda: [row["outcome"] for row in medic.operations()] == ["verified"], "its end"
        )


def test_a_stopping_daemon_finishes_what_a_person_began_and_answers(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """SIGTERM in the middle: the answer still comes, another one is turned away, exit 0."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    body = {"serviceUrl": worker.url}
    with (
        TollGate(restate.admin_url, marker=REGISTERING, place="request") as gate,
        gated(restate, worker, gate, tmp_path) as medic,
        ThreadPoolExecutor(2) as threads,
    ):
        post = on(medic, medic.key())
        first = threads.submit(post, "force-redeploy", body)
        assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
        ended = threads.submit(medic.terminate)
        medic.wait_for(lambda: medic.events("daemon.stopping"), "it to be stopping")
        assert post("force-redeploy", body).json()["code"] == "SHUTTING_DOWN"
        gate.release()
        assert first.result().status_code == 200
        assert ended.result() == 0


def test_every_attempt_is_a_row_and_user_info_is_not(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Who, in which role, where, with what, why, from when to when, and how it went."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    secret = f"http://medic:hunter2secret@127.0.0.1:{worker.port}/v1?tenant=a#part"
    with Medic(tmp_path, targets=[target_of(restate, service_url=worker.url)]) as medic:
        post = on(medic, medic.key("mira"))
        post("doctor", {}, x_reason="what is wrong?", x_request_id="look-1")
        post("cleanup-stale-deployments", {"serviceUrl": secret, "reason": "tidy up"})
        post("force-redeploy", {"serviceUrl": worker.url, "reason": "body"}, x_reason="header")
        post("recover-stuck-workflow", {"serviceName": "a/b"})
        medic.post(f"{PREFIX}/doctor", {})
        medic.post(f"{PREFIX}/doctor", {}, x_api_key="rm_not-a-key")
        wall = on(medic, medic.key("wall", "viewer"))
        assert wall("doctor", {}).json()["code"] == "OFFCHAIN_USER_PERMISSION_REQUIRED"
        rows = medic.operations()[::-1]
        entries = json.loads(medic.command("audit", "show", rows[2]["id"], "--json").stdout)
    told = [(r["remedy"], r["outcome"], r["reason"]) for r in rows]
    assert told == [
        ("doctor", "answered", "what is wrong?"),
        ("cleanup-stale-deployments", "refused", "tidy up"),
        ("force-redeploy", "verified", "header"),
        ("recover-stuck-workflow", "refused", ""),
    ]
    for row in rows:
        assert (row["actor"], row["role"], row["source"]) == ("mira", "operator", "api")
        assert row["target"] == "prod" or row["outcome"] == "refused"
        assert row["route"] == f"{PREFIX}/{row['remedy']}"
        assert row["askedAt"] <= row["createdAt"] <= row["finishedAt"]
        assert row["requestId"]
    assert rows[0]["requestId"] == "look-1"
    assert rows[0]["after"]["admin"] == "ok"
    assert rows[1]["arguments"]["url"] == secret.replace("medic:hunter2secret", "REDACTED")
    assert rows[1]["error"].startswith("deployment-not-found")
    assert rows[3]["arguments"] == {"serviceName": "a/b"}
    assert "body.serviceKey" in rows[3]["error"]
    assert entries["entries"][0]["kind"] == "reserved"


def test_keys_work_at_once_and_revoked_ones_no_more(
    fresh_restate: ServerFactory, tmp_path: Path
) -> None:
    """Without a restart; wrong keys are counted, and limited without shutting others out."""
    with Medic(tmp_path, targets=[target_of(fresh_restate())]) as medic:
        ops, spare = on(medic, medic.key("ops")), on(medic, medic.key("spare"))
        assert ops("doctor", {}).status_code == 200
        assert medic.command("key", "revoke", "ops").returncode == 0
        medic.wait_for(lambda: ops("doctor", {}).status_code in {401, 429}, "the key to end", 6)
        before = medic.sample("auth_failures_total") or 0
        answers = [on(medic, f"rm_{number}")("doctor", {}) for number in range(12)]
        assert {answer.status_code for answer in answers[-3:]} == {429}
        assert int(answers[-1].headers["retry-after"]) > 0
        assert medic.sample("auth_failures_total") == before + 12
        assert spare("doctor", {}).status_code == 200
        assert ops("doctor", {}).status_code == 429


def test_a_key_holder_may_reload_from_anywhere_and_a_page_may_not(
    fresh_restate: ServerFactory, tmp_path: Path
) -> None:
    """What a proxy forwards is no longer loopback; a cross-site page has no way in, key or not."""
    with Medic(tmp_path, targets=[target_of(fresh_restate())]) as medic:
        key = medic.key()
        assert medic.post("/-/reload", x_forwarded_for="10.0.0.1").status_code == 403
        reloaded = medic.post("/-/reload", x_forwarded_for="10.0.0.1", x_api_key=key)
        assert reloaded.status_code == 200
        for headers in ({"origin": "https://evil.test"}, {"sec_fetch_site": "cross-site"}):
            answer = medic.post(f"{PREFIX}/doctor", {}, x_api_key=key, **headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
            assert "access-control-allow-origin" not in answer.headers


def test_many_doctors_share_their_readings(fresh_restate: ServerFactory, tmp_path: Path) -> None:
    """Twenty at once are all answered from fresh readings, and none waits for all the others."""
    with Medic(tmp_path, targets=[target_of(fresh_restate())]) as medic:
        post, answers = on(medic, medic.key()), []

        def ask() -> None:
            answers.append(post("doctor", {}).json()["admin"]["status"])

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert answers == ["ok"] * 20
