"""What the daemon exports of a real server's backlog, and of targets from files."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from lab import RestateServer, ServiceSpec
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory


def test_the_backlog_by_service_and_status(
    tmp_path: Path,
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
) -> None:
    """Counts and ages of one scan, as the server itself tells them; what is gone is 0 again."""
    restate = fresh_restate()
    orders, mail = ServiceSpec("Orders", "workflow"), ServiceSpec("Mail", pause_after=1)
    restate.register(worker_factory(orders, mail).url)
    for number in range(3):
        _delayed(restate, "Mail", f"later-{number}")
    restate.call("Orders", "run", "sleep", key="a", send=True)
    restate.call("Orders", "run", "fail", key="b")
    paused = restate.call("Mail", "run", "crash", send=True).json()["invocationId"]
    with Medic(tmp_path, targets=[target_of(restate)]) as medic:
        medic.wait_for(
            lambda: medic.sample("invocations", target="prod", status="paused") == 1, "the pause"
        )
        medic.wait_for(lambda: _counts(medic).get(("Orders", "suspended")) == 1, "the suspension")
        counts = _counts(medic)
        assert counts == {
            ("Mail", "scheduled"): 3,
            ("Mail", "paused"): 1,
            ("Orders", "suspended"): 1,
        }
        (deployment,) = restate.deployments()
        pinned = medic.sample("deployment_invocations", target="prod", deployment=deployment["id"])
        assert pinned == 1  # what has stored nothing yet is not pinned
        failed = medic.sample("failed_workflows", target="prod", restate_service="Orders")
        assert failed == 1
        ages = medic.samples("service_oldest_invocation_age_seconds")
        assert {dict(labels)["restate_service"] for labels in ages} == {"Mail", "Orders"}
        assert all(0 <= age < 60 for age in ages.values())
        oldest = medic.samples("oldest_invocation_age_seconds")
        assert {dict(labels)["status"] for labels in oldest} == {"scheduled", "paused", "suspended"}
        assert (medic.sample("scan_duration_seconds", target="prod") or 0) > 0
        assert medic.sample("zombie_invocations", target="prod") == 0
        assert (medic.sample("ledger_verified_timestamp_seconds") or 0) > 0
        restate.delete_deployment(deployment["id"])
        medic.wait_for(lambda: medic.sample("zombie_invocations", target="prod") == 1, "the zombie")
        restate.admin("PATCH", f"/invocations/{paused}/kill").raise_for_status()
        medic.wait_for(
            lambda: medic.sample("invocations", target="prod", status="paused") == 0, "its end"
        )


def _delayed(restate: RestateServer, service: str, name: str) -> None:
    httpx.post(
        f"{restate.ingress_url}/{service}/run/send?delay=1d",
        headers={"idempotency-key": name},
        timeout=10,
        trust_env=False,
    ).raise_for_status()


def _counts(medic: Medic) -> dict[tuple[str, str], float]:
    rows = medic.samples("service_invocations").items()
    return {
        (dict(labels)["restate_service"], dict(labels)["status"]): value for labels, value in rows
    }


def test_targets_from_files_come_and_go(tmp_path: Path, fresh_restate: ServerFactory) -> None:
    """A file that is added, broken and removed while the daemon runs; the metrics are where the
    configuration says."""
    restate = fresh_restate()
    folder = tmp_path / "more"
    folder.mkdir()
    medic = Medic(tmp_path, targets=[target_of(restate, "own")], target_files=["more/*.json"])
    with medic:
        file = folder / "b.json"
        other = target_of(restate, "filed") | {"admin_url": restate.admin_url + "/"}
        file.write_text(json.dumps([other | {"admin_url": "http://127.0.0.1:9"}]))
        medic.post("/-/reload").raise_for_status()
        medic.wait_for(lambda: medic.sample("up", target="filed") is not None, "the target")
        file.write_text("[")
        answer = medic.post("/-/reload")
        assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
        assert "b.json:1:2: is not YAML" in answer.text
        assert medic.sample("up", target="filed") is not None
        assert medic.sample("config_last_reload_successful") == 0
        file.write_text(json.dumps([other | {"name": "own"}]))
        assert "b.json:1:11: [0].name: two targets are named 'own'" in medic.post("/-/reload").text
        file.unlink()
        medic.wait_for(  # by itself
            lambda: medic.sample("up", target="filed") is None, "the target to be gone"
        )
        assert medic.sample("config_last_reload_successful") == 1


def test_the_metrics_are_where_they_should_be(tmp_path: Path, fresh_restate: ServerFactory) -> None:
    """And nowhere else; the page links to them."""
    restate = fresh_restate()
    medic = Medic(tmp_path, targets=[target_of(restate)], web_telemetry_path="/restate/medic")
    with medic:
        assert "restate_medic_build_info" in medic.get("/restate/medic").text
        assert medic.status("/metrics") == httpx.codes.NOT_FOUND
        assert 'href="./restate/medic"' in medic.get("/").text
