"""The heartbeat of the real daemon on a real Restate: real invocations, and not one too many."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.model.heartbeat import prefix_of
from lab import RestateServer, ServiceSpec, Version
from lab.spec import Kind
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

NAME = "prod"
LATE: dict[str, object] = {
    "name": "late",
    "when": "heartbeat.late",
    "action": {"notify": {}},
    "cooldown": "1m",
}


def medic_on(
    folder: Path,
    restate: RestateServer,
    *,
    name: str = NAME,
    service: str = "Pulse",
    handler: str = "run",
    every: str = "1h",
    within: str = "30s",
    policies: list[dict[str, object]] | None = None,
) -> Medic:
    heartbeat = {"service": service, "handler": handler, "every": every, "within": within}
    return Medic(folder, targets=[target_of(restate, name, heartbeat=heartbeat)], policies=policies)


def beats(restate: RestateServer, name: str = NAME) -> list[str]:
    """The status of each of our invocations, by the server's own word, oldest first."""
    prefix = prefix_of(name)
    rows = restate.query(
        "SELECT status FROM sys_invocation_status "
        f"WHERE starts_with(idempotency_key, '{prefix}') "
        f"OR starts_with(target_service_key, '{prefix}') ORDER BY created_at"
    )
    return [str(row["status"]) for row in rows]


def status(medic: Medic) -> str | None:
    """The component's present status."""
    rows = medic.samples("component_status")
    found = [dict(labels) for labels, value in rows.items() if value]
    return next((one["status"] for one in found if one["component"] == "heartbeat"), None)


def reason(medic: Medic) -> str | None:
    """Why it is not ok."""
    rows = [dict(labels) for labels in medic.samples("component_failure")]
    return next((one["reason"] for one in rows if one["component"] == "heartbeat"), None)


@pytest.mark.parametrize("kind", ["service", "object", "workflow"])
def test_a_heartbeat_gets_through_once(
    tmp_path: Path,
    each_restate: RestateServer,
    worker_factory: WorkerFactory,
    kind: Kind,
) -> None:
    """Its durable latency and moment are metrics; neither looking again nor a restart of the
    daemon starts a second one, and after the restart it is known when the last succeeded."""
    service = f"Pulse-{kind}"
    each_restate.register(worker_factory(ServiceSpec(service, kind)).url)
    with medic_on(tmp_path, each_restate, name=kind, service=service) as medic:

        def sample(short: str, **labels: str) -> float:
            return medic.sample(short, target=kind, **labels) or 0.0

        medic.wait_for(lambda: status(medic) == "ok", "a heartbeat")
        took = sample("heartbeat_duration_seconds")
        succeeded = sample("heartbeat_last_success_timestamp_seconds")
        assert 0 < took < 10
        looks = sample("probes_total", component="heartbeat")
        medic.wait_for(
            lambda: sample("probes_total", component="heartbeat") >= looks + 2, "two more looks"
        )
        assert beats(each_restate, kind) == ["completed"]
        medic.kill()
        medic.start()
        medic.wait_for(lambda: status(medic) == "ok", "what the server remembers")
        assert abs(sample("heartbeat_last_success_timestamp_seconds") - succeeded) < 1
        assert beats(each_restate, kind) == ["completed"]


def test_a_heartbeat_comes_every_interval(
    tmp_path: Path, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """Each is an invocation of its own."""
    restate = fresh_restate()
    name = "Pulse-often"
    restate.register(worker_factory(ServiceSpec(name, "workflow")).url)
    with medic_on(tmp_path, restate, name=name, service=name, every="2s", within="1s") as medic:
        medic.wait_for(lambda: len(beats(restate, name)) >= 3, "three heartbeats")
        assert set(beats(restate, name)[:2]) == {"completed"}


def test_a_heartbeat_that_fails_has_failed(
    tmp_path: Path, each_restate: RestateServer, worker_factory: WorkerFactory
) -> None:
    """The invocation's own failure, told from being late and from being unreachable."""
    service = "Pulse-fails"
    each_restate.register(worker_factory(ServiceSpec(service, handlers=("fail",))).url)
    with medic_on(
        tmp_path, each_restate, service=service, handler="fail", name="fails", policies=[LATE]
    ) as medic:
        medic.wait_for(lambda: status(medic) == "degraded", "the failure")
        assert reason(medic) == "failed"
        assert medic.samples("heartbeat_last_success_timestamp_seconds") == {}
        (failed,) = medic.events("heartbeat.failed")
        assert failed["error"] == "[500] told to fail"
        (decided,) = medic.decisions()
        assert decided["result"] == "clear"  # it is not late
        assert beats(each_restate, "fails") == ["completed"]


def test_a_stopped_worker_makes_it_late_and_nothing_waits_for_it(
    tmp_path: Path,
    any_version: Version,
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
) -> None:
    """One invocation stays outstanding over several intervals and a restart of the daemon, a policy
    sees that it is late, the other components are read on time; when the worker is back, all is
    well again."""
    restate = fresh_restate(any_version)
    worker = worker_factory(ServiceSpec("Pulse"))
    restate.register(worker.url)
    worker.stop()
    medic = medic_on(tmp_path, restate, every="3s", within="1s", policies=[LATE])
    with medic:
        medic.wait_for(lambda: reason(medic) == "late", "lateness")
        medic.wait_for(lambda: medic.holds("late") == {"observing"}, "the policy's condition")
        seen = medic.sample("component_last_run_timestamp_seconds", target=NAME, component="admin")
        medic.wait_for(
            lambda: (
                (
                    medic.sample(
                        "component_last_run_timestamp_seconds", target=NAME, component="admin"
                    )
                    or 0
                )
                > (seen or 0) + 4
            ),
            "rounds while it is late",
        )
        assert len(beats(restate)) == 1
        medic.kill()
        medic.start()
        medic.wait_for(lambda: reason(medic) == "late", "lateness after the restart")
        assert len(beats(restate)) == 1
        worker.start()
        medic.wait_for(lambda: status(medic) == "ok", "the recovery", seconds=60)
        assert medic.holds("late") == {None}


def test_a_service_that_is_not_registered_is_named_until_it_is(
    tmp_path: Path, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """Degraded, with a reason of its own; the registration is seen by itself."""
    restate = fresh_restate()
    worker = worker_factory(ServiceSpec("Pulse"))
    with medic_on(tmp_path, restate) as medic:
        medic.wait_for(lambda: reason(medic) == "not_registered", "the reason")
        assert status(medic) == "degraded"
        assert beats(restate) == []
        restate.register(worker.url)
        medic.wait_for(lambda: status(medic) == "ok", "the heartbeat")


def test_commands_start_none(
    tmp_path: Path, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """``doctor`` changes nothing: the heartbeat is the daemon's."""
    restate = fresh_restate()
    restate.register(worker_factory(ServiceSpec("Pulse")).url)
    medic = medic_on(tmp_path, restate)
    answer = medic.command("doctor")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "heartbeat" not in answer.stdout
    assert beats(restate) == []
