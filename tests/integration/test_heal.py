"""The daemon heals a real Restate: seen from the ingress, the admin API and the command line."""

from __future__ import annotations

from pathlib import Path

from lab import Version
from tests.integration.rolled import BILLING, GREETER, SIGNUP, re_register, registered
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory


def clean_up(**changes: object) -> dict[str, object]:
    """A quick form of the policy that deletes what has drained."""
    return {
        "name": "clean-up",
        "mode": "enforce",
        "when": "size(deployments.drained) > 0",
        "for": "1s",
        "action": {"cleanup-stale-deployments": {"drained_for": "1s"}},
        "cooldown": "1s",
        "limits": [{"scope": "policy", "max": 5, "per": "1h"}],
        "verify": {"within": "30s", "healthy_for": "1s"},
        **changes,
    }


def test_a_forgotten_registration_is_found_repaired_verified_and_audited(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """A rolled worker's new service becomes reachable without anybody doing anything."""
    restate, worker, target = registered(fresh_restate(any_version), worker_factory)
    with Medic(tmp_path, targets=[target], policies=[re_register()]) as medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the ingress to list Billing")
        answer = restate.call("Billing", "charge", "10")
        assert answer.status_code == 200

        def closed() -> bool:
            rows = medic.operations()
            return bool(rows) and rows[0]["outcome"] is not None

        medic.wait_for(closed, "the operation to be closed")
        (row,) = medic.operations()
        assert row["outcome"] == "verified"
        assert row["actor"] == "policy:re-register"
        assert row["values"]["item.missing"] == ["Billing"]
        assert row["before"]["drift"]["added"] == ["Billing"]
        assert row["after"]["deploymentId"] == restate.deployments()[0]["id"]
        labels = {"policy": "re-register", "remedy": "force-redeploy", "source": "policy"}
        done = medic.sample("operations_total", target="prod", outcome="verified", **labels)
        assert done == 1
        assert medic.sample("heal_duration_seconds_count", policy="re-register") == 1
        assert medic.terminate() == 0
    assert {e["outcome"] for e in medic.events("operation.closed")} == {"verified"}


def test_a_replaced_deployment_is_deleted_once_it_has_drained_and_not_before(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """While work is pinned to the old deployment it stays; afterwards it goes, and only it."""
    restate = fresh_restate()
    old, new = worker_factory(SIGNUP), worker_factory(SIGNUP)
    restate.register(old.url)
    run = restate.call("Signup", "run", "wait", key="k1", send=True).json()["invocationId"]
    restate.register(new.url)
    target = target_of(restate, service_url=new.url)
    with Medic(tmp_path, targets=[target], policies=[clean_up()]) as medic:
        draining = {"state": "draining", "owner": "ours", "target": "prod"}
        medic.wait_for(lambda: medic.sample("deployments", **draining) == 1, "it to be draining")
        assert len(restate.deployments()) == 2
        restate.admin("PATCH", f"/invocations/{run}/kill").raise_for_status()
        medic.wait_for(lambda: len(restate.deployments()) == 1, "the old deployment to be deleted")
        assert restate.deployments()[0]["uri"].startswith(new.url)
        rows = medic.operations()
        assert [r["remedy"] for r in rows] == ["cleanup-stale-deployments"]


def test_a_second_failure_inside_the_cooldown_is_held_and_says_why(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The same word stands in the decision, the metric, the log and the ledger's decisions."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    expected = ["Greeter", "Billing", "Signup"]
    target = target_of(restate, service_url=worker.url, expected_services=expected)
    policy = re_register(verify={"within": "3s", "healthy_for": "1s"})
    with Medic(tmp_path, targets=[target], policies=[policy]) as medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the first heal")
        worker.roll([GREETER, BILLING, SIGNUP])
        medic.wait_for(lambda: medic.holds("re-register") == {"cooldown"}, "the second to be held")
        (decision,) = medic.decisions()
        assert "15m" in decision["detail"]
        held = {"policy": "re-register", "reason": "cooldown", "target": "prod"}
        assert medic.sample("policy_held_since_timestamp_seconds", **held) is not None
        changes = [e["reason"] for e in medic.events("decision.changed")]
        assert "cooldown" in changes
        assert "Signup" not in restate.exposed()


def test_a_worker_that_lost_a_service_is_refused_and_nothing_changes(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Registering it would make the lost service vanish, so the policy holds and says so."""
    restate = fresh_restate()
    worker = worker_factory(GREETER, SIGNUP)
    restate.register(worker.url)
    before = restate.deployments()
    target = target_of(restate, service_url=worker.url, expected_services=["Billing"])
    with Medic(tmp_path, targets=[target], policies=[re_register()]) as medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: medic.holds("re-register") == {"preflight_refused"}, "the refusal")
        (decision,) = medic.decisions()
        assert "drop-service" in decision["detail"]
        assert "Signup" in decision["detail"]
        assert medic.operations() == []
    assert restate.deployments() == before


def test_observing_rehearses_once_per_cooldown_and_writes_nothing(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """An observing policy leaves a row that says what it would have done, and Restate as it was."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    before = restate.deployments()
    policies = [re_register(mode="observe")]
    with Medic(tmp_path, targets=[target], policies=policies) as medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: medic.holds("re-register") == {"cooldown"}, "the rehearsal")
        (row,) = medic.operations()
        assert (row["outcome"], row["mode"]) == ("observed", "observe")
    assert restate.deployments() == before


def test_max_mode_lowers_every_policy(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The read-only switch wins over a policy's enforce."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    before = restate.deployments()
    policies = [re_register()]
    with Medic(tmp_path, targets=[target], policies=policies, max_mode="off") as medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: medic.holds("re-register") == {"mode_off"}, "the hold")
        assert medic.sample("policy_mode", policy="re-register", mode="off") == 1
        assert medic.operations() == []
    assert restate.deployments() == before


def test_a_slow_component_does_not_stretch_for(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Drift is read every hour here, and the heal comes after `for` all the same."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    patient = {"within": "2h", "healthy_for": "1s"}
    policies = [re_register(**{"for": "2s"}, verify=patient)]
    with Medic(tmp_path, targets=[target], policies=policies, drift_interval="1h") as medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal")
