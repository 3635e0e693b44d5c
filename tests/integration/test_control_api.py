"""The read and control API of a running daemon on a real Restate: what people steer is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import Version
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.integration.test_heal import clean_up
from tests.integration.test_orders import ended, replaced
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

SLOW: dict[str, Any] = {"interval": "1h", "invocations_interval": "1h", "drift_interval": "1h"}
"""Nothing is read again by itself within a test."""


def steering(medic: Medic, name: str = "ops") -> Callable[..., Any]:
    """Asking the API as an operator; the body of the answer, whose status is this one."""
    key = medic.key(name)

    def ask(method: str, path: str, body: object = None, status: int = 200, **headers: str) -> Any:
        answer = medic.ask(method, f"/api/v1/{path}", body, x_api_key=key, **headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


def component(target: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in target["components"] if c["component"] == name)
    return found


def test_a_check_sees_a_fault_long_before_the_interval_would(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """And again that it is over; metrics and lists follow."""
    restate, _, target = registered(fresh_restate(any_version), worker_factory)
    with Medic(tmp_path, targets=[target], **SLOW) as medic:
        ask = steering(medic)
        before = ask("GET", "targets/prod")
        assert (before["status"], before["values"]["admin.version"]) == ("ok", restate.version())
        restate.stop()
        assert ask("GET", "targets/prod")["status"] == "ok"
        body = ask("POST", "targets/prod/check", {"reason": "a hunch"})
        assert set(body["read"]) | set(body["kept"]) == {
            *("ingress", "admin", "deployments", "services", "invocations", "drift"),
        }
        assert body["target"]["status"] == "unreachable"
        assert component(body["target"], "admin")["reason"] == "refused"
        assert medic.sample("up", target="prod") == 0
        assert [t["name"] for t in ask("GET", "targets?status=unreachable")["targets"]] == ["prod"]
        restate.start()
        body = ask("POST", "targets/prod/check", {"components": ["ingress", "admin"]})
        assert body["read"] == ["admin", "ingress"]
        assert component(body["target"], "admin")["status"] == "ok"
        assert medic.sample("up", target="prod") == 1
        first = ask("GET", "operations?remedy=check")["operations"][-1]
    assert (first["outcome"], first["actor"], first["reason"]) == ("answered", "ops", "a hunch")
    assert first["after"]["admin"] == "unreachable"


def test_checks_at_once_share_their_readings(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Whoever asks while a reading is under way shares the next one with all others."""
    _, _, target = registered(fresh_restate(), worker_factory)
    with Medic(tmp_path, targets=[target], **SLOW) as medic:
        ask = steering(medic)
        probes = medic.sample("probes_total", target="prod", component="admin") or 0
        alerts = {
            "version": "4",
            "alerts": [{"status": "firing", "labels": {"target": "prod"}}] * 20,
        }
        for _ in range(20):
            body = ask("POST", "alertmanager", alerts, 202)
            assert (body["woken"], body["unknown"]) == (["prod"], 0)
        ask("POST", "targets/prod/check", {"components": ["admin"]})
        after = medic.sample("probes_total", target="prod", component="admin") or 0
    assert 0 < after - probes <= 21


def test_an_alert_makes_a_policy_act_before_the_interval_would(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Alertmanager's webhook with its key as a bearer token; unknown targets are counted."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    patient = re_register(verify={"within": "2h", "healthy_for": "1s"})
    with Medic(tmp_path, targets=[target], policies=[patient], **SLOW) as medic:
        worker.roll([GREETER, BILLING])
        labels = [{"target": "prod", "alertname": "Missing"}, {"target": "lab"}, {"severity": "x"}]
        alerts = [{"status": "firing", "labels": one, "startsAt": "now"} for one in labels]
        sent = {"version": "4", "receiver": "medic", "status": "firing", "alerts": alerts}
        bearer = f"Bearer {medic.key()}"
        path = "/api/v1/alertmanager"
        assert medic.post(path, sent).status_code == 401
        assert "Billing" not in restate.exposed()

        def healed() -> bool:
            answer = medic.post(path, sent, authorization=bearer)
            assert answer.status_code == 202, answer.text
            assert answer.json() == {"woken": ["prod"], "unknown": 1, "unlabelled": 1}
            time.sleep(0.2)  # an alert that goes on is sent again
            return "Billing" in restate.exposed()

        medic.wait_for(healed, "the policy to have acted")


def test_a_pause_holds_a_policy_until_it_is_deleted(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Meanwhile the hold names its owner and reason; afterwards the policy repairs at once."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    with Medic(tmp_path, targets=[target], policies=[re_register()]) as medic:
        ask = steering(medic, "mira")
        wanted = {"scope": "policy", "name": "re-register", "for": "1h"}
        made = ask("POST", "pauses", wanted, 201, x_reason="deploying")
        assert (made["owner"], made["inForce"]) == ("mira", True)
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: medic.holds("re-register") == {"paused"}, "the hold")
        (held,) = ask("GET", "decisions?reason=paused")["decisions"]
        assert held["detail"].startswith("mira paused policy re-register: deploying")
        assert ask("GET", "decisions/prod/re-register")["decisions"] == [held]
        assert ask("GET", "pauses")["pauses"] == [made]
        assert "Billing" not in restate.exposed()
        assert ask("DELETE", f"pauses/{made['id']}")["id"] == made["id"]
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the policy to go on")
        changes = ask("GET", "decisions/prod/re-register")["changes"]
        assert {"paused", None} <= {change["reason"] for change in changes}
        people = ask("GET", "operations?source=api")["operations"]
    assert [(row["remedy"], row["actor"]) for row in people] == [
        *(("unpause", "mira"), ("pause", "mira")),
    ]


def test_a_yes_over_http_carries_the_plan_out(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The plan's own row tells who said yes, and how it ended; who answers late gets a 409."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    asking = re_register(mode="approve")
    with Medic(tmp_path, targets=[target], policies=[asking]) as medic:
        ask = steering(medic)

        def waiting() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = ask("GET", "operations?phase=proposed")["operations"]
            return found

        (plan,) = medic.wait_for(waiting, "a plan to wait")
        (entry,) = ask("GET", f"operations/{plan['id']}")["entries"]
        assert entry["body"]["steps"]
        said = ask("POST", f"operations/{plan['id']}/approve", {"reason": "seen"}, 202)
        assert (said["id"], said["approvedBy"], said["phase"]) == (plan["id"], "ops", "proposed")

        def outcome() -> Any:
            return ask("GET", f"operations/{plan['id']}")["outcome"]

        medic.wait_for(outcome, "the plan to be carried out")
        assert outcome() == "verified"
        assert "Billing" in restate.exposed()
        late = ask("POST", f"operations/{plan['id']}/reject", {}, 409)
        assert (late["code"], late["data"]["reason"]) == ("OPERATION_NOT_WAITING", "not-waiting")


def test_a_no_over_http_is_kept(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Nothing is written, and nothing is proposed again while it goes on."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    with Medic(tmp_path, targets=[target], policies=[re_register(mode="approve")]) as medic:
        ask = steering(medic)
        (plan,) = medic.wait_for(
            lambda: ask("GET", "operations?phase=proposed")["operations"], "a plan to wait"
        )
        closed = ask("POST", f"operations/{plan['id']}/reject", {"reason": "by hand"})
        assert (closed["outcome"], closed["error"]) == ("rejected", "rejected by ops: by hand")
        medic.wait_for(
            lambda: "rejected by ops" in str(ask("GET", "decisions")), "the hold to tell of it"
        )
        assert ask("GET", "operations?phase=proposed")["operations"] == []
    assert "Billing" not in restate.exposed()


def test_a_breaker_is_listed_and_reset_over_http(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Two tries that did not help, a reset by its id, and two more."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    replaced(restate, worker, 4)
    target = target_of(restate, service_url=worker.url, expected_services=["Never"])
    useless = clean_up(
        when="size(services.missing) > 0",
        action={"cleanup-stale-deployments": {"drained_for": "1s", "max_items": 1}},
        limits=[{"scope": "target", "max": 50, "per": "24h"}],
        verify={"within": "1500ms", "healthy_for": "1s"},
        breaker={"failed": 2, "per": "1h", "reset": "manual"},
    )
    with Medic(tmp_path, targets=[target], policies=[useless]) as medic:
        ask = steering(medic)
        (found,) = medic.wait_for(lambda: ask("GET", "breakers")["breakers"], "the breaker")
        assert (found["policy"], found["closesAt"]) == ("clean-up", None)
        assert found["id"] == "target:prod:cleanup-stale-deployments"
        done = ask("POST", f"breakers/{found['id']}/reset", {"reason": "one more try"})
        assert done == {"id": found["id"], "reset": True}
        medic.wait_for(lambda: ended(medic, "unverified") == 4, "two more tries")
        medic.wait_for(lambda: ask("GET", "breakers")["breakers"], "the breaker again")
        rows = ask("GET", "operations?outcome=unverified&limit=3")
        assert len(rows["operations"]) == 3
        rest = ask("GET", f"operations?outcome=unverified&limit=3&cursor={rows['nextCursor']}")
        assert (len(rest["operations"]), rest["nextCursor"]) == (1, None)
    assert len(restate.deployments()) == 1


def test_what_a_key_holder_reads_follows_the_setting(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """With ``reading_needs_key`` lists and single things need a viewer's key at least."""
    _, _, target = registered(fresh_restate(), worker_factory)
    with Medic(tmp_path, targets=[target], reading_needs_key=True) as medic:
        viewer = medic.key("wall", "viewer")
        for path in ("targets", "targets/prod", "policies", "operations", "pauses", "breakers"):
            assert medic.status(f"/api/v1/{path}") == 401
            assert medic.get(f"/api/v1/{path}", **{"X-Api-Key": viewer}).status_code == 200
