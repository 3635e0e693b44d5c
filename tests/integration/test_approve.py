"""Mode approve on a real server: what a policy proposes, a person decides with a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab import ServiceSpec
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.integration.surgery import row_of
from tests.integration.test_force_drain import CLEANUP, places, scene
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

ASKING = re_register(mode="approve")


def drain_ghosts(**changes: object) -> dict[str, object]:
    """A quick form of the policy that drains deployments whose endpoint is dead."""
    arguments = {"drained_for": "1s", "force_drain": True, "max_kills": 5}
    return {
        "name": "drain-ghosts",
        "mode": "approve",
        "when": "size(deployments.ghost) > 0",
        "for": "1s",
        "action": {CLEANUP: arguments},
        "cooldown": "1h",
        "limits": [{"scope": "target", "max": 2, "per": "24h"}],
        "verify": {"within": "30s", "healthy_for": "1s"},
        **changes,
    }


def told(medic: Medic, *arguments: str, code: int = 0) -> Any:
    """What a command says as JSON."""
    answer = medic.command(*arguments, "--json")
    assert answer.returncode == code, answer.stderr + answer.stdout
    return json.loads(answer.stdout)


def waiting(medic: Medic) -> dict[str, Any]:
    """The only plan that waits, once there is one."""
    medic.wait_for(lambda: medic.sample("approvals_pending") == 1, "a plan to wait")
    (plan,) = told(medic, "approvals")
    assert isinstance(plan, dict)
    return plan


def test_a_lost_service_comes_back_after_a_yes(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Nothing before it; then the plan's own row is verified, with who approved it and why."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    with Medic(tmp_path, targets=[target], policies=[ASKING]) as medic:
        plan = waiting(medic)
        assert (plan["phase"], plan["items"]) == ("proposed", [f"{worker.url}/"])
        assert medic.holds("re-register") == {"awaiting_approval"}
        assert {s["name"] for s in restate.services()} == {"Greeter"}
        asks = medic.command("approve", plan["id"])
        assert asks.returncode == 1
        assert "register" in asks.stdout
        done = told(medic, "approve", plan["id"][:-3], "--yes", "--reason", "seen")
        assert (done["id"], done["outcome"]) == (plan["id"], "verified")
        assert (done["mode"], done["approvedBy"] is not None) == ("approve", True)
        assert {s["name"] for s in restate.services()} == {"Greeter", "Billing"}
        medic.wait_for(lambda: medic.sample("approvals_pending") == 0, "the metric to fall")
        assert [row["id"] for row in medic.operations()] == [plan["id"]]
        late = medic.command("approve", plan["id"], "--yes")
        assert (late.returncode, "it is verified" in late.stderr) == (1, True)


def test_a_no_is_kept_and_nothing_is_written(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The hold then names who said it and why; nothing is proposed again while it goes on."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    with Medic(tmp_path, targets=[target], policies=[ASKING]) as medic:
        plan = waiting(medic)
        closed = told(medic, "reject", plan["id"], "--reason", "deploying by hand")
        assert closed["outcome"] == "rejected"
        medic.wait_for(
            lambda: "deploying by hand" in str([d["detail"] for d in medic.decisions()]),
            "the hold to tell of it",
        )
        assert told(medic, "approvals") == []
        assert len(medic.operations()) == 1
    assert {s["name"] for s in restate.services()} == {"Greeter"}


def test_the_world_changed_between_the_yes_and_the_act(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The worker was rolled again meanwhile: its plan is another one, and nothing is written."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    medic = Medic(tmp_path, targets=[target], policies=[ASKING], lease="5s")
    with medic:
        plan = waiting(medic)
        medic.kill()
    answer = medic.command("approve", plan["id"], "--yes", "--no-wait")
    assert answer.returncode == 0, answer.stderr
    worker.roll([GREETER, BILLING, ServiceSpec("Signup", "workflow")])
    with medic:
        medic.wait_for(lambda: medic.events("preflight.refused"), "the approval to be refused")
        found = next(row for row in medic.operations() if row["id"] == plan["id"])
        assert (found["outcome"], found["approvedBy"] is not None) == ("refused", True)
        assert found["error"].startswith("changed: the plan is another one than was approved")
    assert {s["name"] for s in restate.services()} == {"Greeter"}


def test_a_dead_deployment_is_drained_by_force_after_approval(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The plan lists what will be killed; after the yes exactly that is, and it goes."""
    restate, new, doomed, kept = scene(fresh_restate(), worker_factory)
    target = target_of(restate, service_url=new.url)
    with Medic(tmp_path, targets=[target], policies=[drain_ghosts()], timeout="60s") as medic:
        plan = waiting(medic)
        shown = medic.command("approve", plan["id"])
        assert all(f"kill {run}" in shown.stdout for run in doomed)
        assert len(places(restate)) == 3
        done = told(medic, "approve", plan["id"], "--yes")
        assert done["outcome"] in {"verified", "partial"}
        assert len(places(restate)) == 2
    assert {row_of(restate, run)["completion_failure"] for run in doomed} == {"[409] killed"}
    assert restate.status(kept[0]) == "suspended"
