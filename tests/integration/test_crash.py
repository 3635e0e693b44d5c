"""A process that dies in the middle of an operation: nothing forgotten, nothing done twice."""

from __future__ import annotations

import threading
from pathlib import Path
from subprocess import CompletedProcess
from typing import Literal

import pytest

from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import PATIENCE_SECONDS, Medic
from tests.support import ServerFactory, WorkerFactory
from tests.toll import TollGate

REGISTERING = b'"dry_run":false'
LEASE = "5s"


@pytest.mark.parametrize("place", ["request", "answer"])
def test_a_crash_between_reserve_and_outcome_counts_and_is_never_repeated_blindly(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    tmp_path: Path,
    place: Literal["request", "answer"],
) -> None:
    """SIGKILL while the registration is under way, before or after Restate has seen it.

    After the lease the row is ``interrupted``; the only operation the limit allows is spent.
    """
    restate, worker, target = registered(fresh_restate(), worker_factory)
    with TollGate(restate.admin_url, marker=REGISTERING, place=place) as gate:
        policy = re_register(cooldown="1s", limits=[{"scope": "target", "max": 1, "per": "24h"}])
        tolled = target | {"admin_url": gate.url}
        medic = Medic(tmp_path, targets=[tolled], policies=[policy], lease=LEASE, timeout="60s")
        with medic:
            worker.roll([GREETER, BILLING])
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            medic.kill()
        medic.write(targets=[target], policies=[policy], lease=LEASE)
        (row,) = medic.operations()
        assert (row["phase"], row["outcome"]) == ("acting", None)
        revision = {s["name"]: s["revision"] for s in restate.services()}
        with medic:
            medic.wait_for(
                lambda: medic.operations()[0]["outcome"] == "interrupted", "the lease to run out"
            )
            interrupted = {"outcome": "interrupted", "policy": "re-register", "target": "prod"}
            labels = interrupted | {"remedy": "force-redeploy", "source": "policy"}
            medic.wait_for(lambda: medic.sample("operations_total", **labels) == 1, "the metric")
            if place == "request":
                medic.wait_for(lambda: medic.holds("re-register") == {"limit_target"}, "the hold")
            assert len(medic.operations()) == 1
        assert {s["name"]: s["revision"] for s in restate.services()} == revision
        assert ("Billing" in revision) == (place == "answer")


def test_a_crash_while_verifying_is_taken_over_and_verified(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """After the last write only reading is left to do, so another process finishes the row."""
    _, worker, target = registered(fresh_restate(), worker_factory)
    slow = re_register(verify={"within": "5m", "healthy_for": "8s"})
    medic = Medic(tmp_path, targets=[target], policies=[slow], lease=LEASE)
    with medic:
        worker.roll([GREETER, BILLING])

        def verifying() -> bool:
            rows = medic.operations()
            return bool(rows) and rows[0]["phase"] == "verifying"

        medic.wait_for(verifying, "the operation to be verifying")
        medic.kill()
    with medic:
        medic.wait_for(lambda: medic.operations()[0]["outcome"] == "verified", "the take-over")
        assert len(medic.operations()) == 1


def test_a_command_beside_the_daemon_one_wins_and_the_other_is_told(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Person and policy share one lock a target; the refused attempt is in the ledger too."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    with TollGate(restate.admin_url, marker=REGISTERING, place="request") as gate:
        medic = Medic(
            tmp_path,
            targets=[target | {"admin_url": gate.url}],
            policies=[re_register()],
            timeout="60s",
        )
        with medic:
            worker.roll([GREETER, BILLING])
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            answers: list[CompletedProcess[str]] = []
            person = threading.Thread(
                target=lambda: answers.append(medic.command("redeploy", "--yes"))
            )
            person.start()
            person.join(PATIENCE_SECONDS)
            assert answers[0].returncode == 1
            assert "policy:re-register" in answers[0].stderr
            gate.release()
            medic.wait_for(
                lambda: {r["outcome"] for r in medic.operations()} == {"verified", "refused"},
                "both rows",
            )
    assert "Billing" in restate.exposed()


def test_sigterm_lets_a_running_operation_finish(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The daemon exits 0 only after the operation it had begun is closed."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    with TollGate(restate.admin_url, marker=REGISTERING, place="request") as gate:
        medic = Medic(
            tmp_path,
            targets=[target | {"admin_url": gate.url}],
            policies=[re_register()],
            timeout="60s",
        )
        with medic:
            worker.roll([GREETER, BILLING])
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            timer = threading.Timer(1.0, gate.release)
            timer.start()
            assert medic.terminate() == 0
            timer.join()
    (row,) = medic.operations()
    assert row["outcome"] == "verified"
