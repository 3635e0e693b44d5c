"""Commands against a running daemon (``--url`` and a key): the same as on its own machine.

They run in a folder without configuration or ledger, so that nothing local can answer for them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import clean_environment
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, WorkerFactory

_ROOT = Path(__file__).parents[2]


@dataclass
class Afar:
    """A terminal on another machine: no configuration, no ledger, only a URL and perhaps a key."""

    folder: Path
    medic: Medic
    key: str | None = None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(PYTHONPATH=str(_ROOT), COLUMNS="200")
        if self.key is not None:
            environment["RESTATE_MEDIC_KEY"] = self.key
        url = f"http://127.0.0.1:{self.medic.port}"
        return subprocess.run(
            [sys.executable, "-m", "exporter", *arguments, "--url", url],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def told(self, *arguments: str, code: int = 0) -> Any:
        """What a command says as JSON."""
        answer = self.run(*arguments, "--json")
        assert answer.returncode == code, answer.stderr + answer.stdout
        return json.loads(answer.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where there is nothing."""
    path = tmp_path / "afar"
    path.mkdir()
    return path


def test_a_worker_is_registered_from_afar(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, folder: Path
) -> None:
    """The plan is shown and not done; a yes does it; the ledger there has key, reason and call."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    with Medic(tmp_path, targets=[target]) as medic:
        afar = Afar(folder, medic, medic.key("mira"))
        plan = afar.told("redeploy", "--dry-run")
        assert plan["arguments"]["url"] == f"{worker.url}/"
        assert {s["name"] for s in restate.services()} == {"Greeter"}
        asks = afar.run("redeploy")
        assert (asks.returncode, plan["summary"] in asks.stdout) == (1, True)
        assert {s["name"] for s in restate.services()} == {"Greeter"}
        done = afar.told("redeploy", "--yes", "--reason", "rolled by hand")
        assert (done["outcome"], done["actor"], done["reason"]) == (
            "verified",
            "mira",
            "rolled by hand",
        )
        assert {s["name"] for s in restate.services()} == {"Greeter", "Billing"}
        newest, *calls = afar.told("audit", "list")
        assert (newest["id"], newest["source"], newest["role"]) == (done["id"], "api", "operator")
        assert {row["remedy"] for row in calls} == {"plan"}
        assert afar.told("audit", "show", done["id"])["entries"]
        doctor = afar.run("doctor")
        assert (doctor.returncode, doctor.stdout.count(" ok ")) == (0, 6)
        assert afar.told("doctor")["admin"]["status"] == "ok"
    assert list(folder.iterdir()) == []


def test_refusals_say_what_the_daemon_said(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, folder: Path
) -> None:
    """Words, hints and exit codes are those of the local command."""
    _, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([BILLING])
    with Medic(tmp_path, targets=[target]) as medic:
        afar = Afar(folder, medic, medic.key())
        here, there = medic.command("redeploy", "--yes"), afar.run("redeploy", "--yes")
        assert here.returncode == there.returncode == 1
        assert here.stderr == there.stderr
        assert "--allow drop-service" in there.stderr
        refused = afar.told("redeploy", "--yes", code=1)
        assert refused["refused"] == "drop-service"
        assert "did you mean 'prod'" in afar.run("redeploy", "--target", "prd").stderr


def test_a_lack_of_rights_is_no_outage(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, folder: Path
) -> None:
    """No key, a wrong one, and a viewer's are exit 1; a daemon that is down is exit 3."""
    _, _, target = registered(fresh_restate(), worker_factory)
    with Medic(tmp_path, targets=[target]) as medic:
        for key, words in ((None, "a key is needed"), ("rm_wrong", "the key is wrong or revoked")):
            answer = Afar(folder, medic, key).run("redeploy", "--yes")
            assert (answer.returncode, words in answer.stderr) == (1, True), answer.stderr
        viewer = Afar(folder, medic, medic.key("wall", "viewer"))
        assert "this needs an operator's" in viewer.run("redeploy", "--yes").stderr
        assert viewer.told("pauses") == []
        medic.terminate()
        down = viewer.run("pauses")
        assert (down.returncode, "refused" in down.stderr) == (3, True)


def test_orders_reach_the_daemon(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, folder: Path
) -> None:
    """A pause holds, lifting it lets a plan be made, and a yes from afar has it carried out."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    with Medic(tmp_path, targets=[target]) as medic:
        afar = Afar(folder, medic, medic.key("mira"))
        made = afar.told("pause", "--target", "prod", "--reason", "look", "--for", "1h")
        assert (made["scope"], made["name"], made["owner"]) == ("target", "prod", "mira")
        medic.write(targets=[target], policies=[re_register(mode="approve")])
        assert medic.post("/-/reload").status_code == 200
        medic.wait_for(lambda: medic.holds("re-register") == {"paused"}, "the hold")
        assert "target prod" in afar.run("pauses").stdout
        (lifted,) = afar.told("unpause", "--target", "prod")
        assert lifted["id"] == made["id"]
        assert afar.run("unpause", "--target", "prod").returncode == 1
        medic.wait_for(lambda: afar.told("approvals"), "a plan to wait")
        (plan,) = afar.told("approvals")
        done = afar.told("approve", plan["id"], "--yes", "--reason", "seen")
        assert (done["outcome"], done["approvedBy"]) == ("verified", "mira")
        assert {s["name"] for s in restate.services()} == {"Greeter", "Billing"}
        assert afar.run("reject", plan["id"]).returncode == 1
        assert afar.told("breaker", "list") == []
        reset = afar.run("breaker", "reset", "prod", "force-redeploy")
        assert "nothing of force-redeploy on prod had failed" in reset.stdout


def test_only_the_plan_that_was_shown_is_carried_out(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, folder: Path
) -> None:
    """The id that the API gives a plan stands for its arguments and steps."""
    _, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    with Medic(tmp_path, targets=[target]) as medic:
        afar = Afar(folder, medic, medic.key())
        body = {"remedy": "force-redeploy"}
        shown = medic.post("/api/v1/targets/prod/plan", body, x_api_key=str(afar.key)).json()
        other = {**body, "plan": "0" * 16}
        answer = medic.post("/api/v1/targets/prod/operations", other, x_api_key=str(afar.key))
        assert (answer.status_code, answer.json()["data"]["reason"]) == (409, "changed")
        same = {**body, "plan": shown["id"]}
        answer = medic.post("/api/v1/targets/prod/operations", same, x_api_key=str(afar.key))
        assert (answer.status_code, answer.json()["outcome"]) == (200, "verified")
