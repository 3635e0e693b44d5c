"""What people order, on real servers: pauses in the middle of things, breakers, wiped Restates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lab import RestateServer, ServiceSpec, Worker
from tests.integration.rolled import re_register
from tests.integration.test_heal import clean_up
from tests.medic import PATIENCE_SECONDS, Medic, target_of
from tests.support import ServerFactory, WorkerFactory
from tests.toll import TollGate

GREETER = ServiceSpec("Greeter", handlers=("hello",))


def told(medic: Medic, *arguments: str) -> Any:
    """What a command says as JSON."""
    answer = medic.command(*arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def replaced(restate: RestateServer, worker: Worker, count: int) -> None:
    """Register a worker once under its own URL, after so many others that it has replaced."""
    for number in range(count):
        restate.register(f"{worker.url.rstrip('/')}/v{number}/")
    restate.register(worker.url)


def ended(medic: Medic, outcome: str) -> float:
    """How many of the policy's operations ended so."""
    labels = {"policy": "clean-up", "remedy": "cleanup-stale-deployments", "source": "policy"}
    return medic.sample("operations_total", target="prod", outcome=outcome, **labels) or 0


def test_a_pause_in_the_middle_of_an_operation_stops_it_before_its_next_write(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Of three old deployments one is being deleted when a person says stop: two stay."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    replaced(restate, worker, 3)
    with TollGate(restate.admin_url, marker=b"DELETE /deployments", place="request") as gate:
        target = target_of(restate, service_url=worker.url) | {"admin_url": gate.url}
        medic = Medic(tmp_path, targets=[target], policies=[clean_up()], timeout="60s")
        with medic:
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            pause = ("pause", "--target", "prod", "--reason", "look", "--for", "1h")
            made = told(medic, *pause)
            gate.release()
            medic.wait_for(lambda: ended(medic, "partial") == 1, "the operation to stop")
            assert len(restate.deployments()) == 3
            (stopped,) = medic.events("operation.closed")
            assert stopped["error"].startswith("paused: ")
            medic.wait_for(lambda: medic.holds("clean-up") == {"paused"}, "the hold")
            medic.wait_for(lambda: medic.sample("paused", scope="target") == 1, "the metric")
            assert medic.sample("pause_expiry_timestamp_seconds", scope="target") is not None
            assert told(medic, "pauses") == [made]
            assert medic.command("unpause", str(made["id"])).returncode == 0
            medic.wait_for(lambda: len(restate.deployments()) == 1, "the rest to be deleted")
            medic.wait_for(lambda: medic.sample("paused", scope="target") == 0, "the metric to go")


def test_a_remedy_that_never_helps_is_stopped_after_exactly_its_number(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Two deletions that did not help, then no more: not after a restart, until it is reset."""
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
    medic = Medic(tmp_path, targets=[target], policies=[useless])
    with medic:
        medic.wait_for(lambda: medic.holds("clean-up") == {"breaker_open"}, "the breaker")
        assert ended(medic, "unverified") == 2
        assert medic.sample("breaker_open", policy="clean-up", target="prod") == 1
        assert medic.terminate() == 0
    with medic:
        medic.wait_for(lambda: medic.holds("clean-up") == {"breaker_open"}, "it to be known")
        (row,) = told(medic, "breaker", "list")
        assert (row["policy"], row["closesAt"]) == ("clean-up", None)
        assert len(restate.deployments()) == 3
        arguments = ("prod", "cleanup-stale-deployments", "--reason", "one more try")
        answer = medic.command("breaker", "reset", *arguments)
        assert answer.returncode == 0, answer.stderr
        medic.wait_for(lambda: ended(medic, "unverified") == 2, "two more tries")
        medic.wait_for(lambda: medic.holds("clean-up") == {"breaker_open"}, "the breaker again")
        rows = medic.operations()
    assert [row["outcome"] for row in rows] == ["unverified"] * 4
    assert len(restate.deployments()) == 1


def test_a_wiped_restate_is_left_alone_until_a_person_accepts_it(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Every deployment is gone at once: no policy fills what may be the wrong database."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    target = target_of(restate, service_url=worker.url, expected_services=["Greeter"])
    medic = Medic(tmp_path, targets=[target], policies=[re_register()])
    with medic:
        medic.wait_for(
            lambda: (medic.sample("ledger_head_sequence") or 0) >= 1, "the target to be known"
        )
        restate.stop()
        shutil.rmtree(restate.base_dir / "lab")
        restate.start()
        assert restate.deployments() == []
        medic.wait_for(lambda: medic.holds("re-register") == {"identity_changed"}, "the hold")
        (decision,) = medic.decisions()
        assert "none of the 1 known deployment is registered" in decision["detail"]
        assert medic.terminate() == 0
    with medic:
        medic.wait_for(lambda: medic.holds("re-register") == {"identity_changed"}, "it to be known")
        assert restate.deployments() == []
        answer = medic.command("accept", "prod", "--yes", "--reason", "wiped on purpose")
        assert answer.returncode == 0, answer.stderr
        medic.wait_for(lambda: "Greeter" in restate.exposed(), "the worker to be registered")
