"""``redeploy --gate`` and ``--warn`` on a real server, as the last step of a deploy pipeline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import ServiceSpec, Version, clean_environment, wait_until
from tests.integration.person import Person
from tests.support import ServerFactory, WorkerFactory

LOOSE = ServiceSpec("Loose")
FLOW = ServiceSpec("Flow", "workflow")
QUICK = ("--within", "20s", "--stable-for", "1s")
SHORT = ("--within", "3s", "--stable-for", "1s")
VARIABLE = "RESTATE_MEDIC_SERVICE_URL"


def test_a_rolled_worker_is_registered_and_verified(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Without a question; what it brings is reachable, and it is on record."""
    restate, worker = fresh_restate(any_version), worker_factory(LOOSE)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url, expected_services=["Loose", "Flow"])
    worker.roll([LOOSE, FLOW])
    done = person.run("redeploy", "--gate", *QUICK, "--reason", "build 7")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("verified  op_")
    assert "the worker answers; waiting 1s for it to stay so" in done.stderr
    wait_until(lambda: restate.exposed() == ["Flow", "Loose"], what="both at the ingress")
    (row,) = person.rows()
    assert (row["outcome"], row["reason"], row["source"]) == ("verified", "build 7", "cli")


def test_a_worker_that_comes_late_is_waited_for(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """It is down at first; a pipeline's log says what is waited for."""
    restate, worker = fresh_restate(), worker_factory(LOOSE)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url, expected_services=["Flow"])
    worker.stop()
    command = [sys.executable, "-m", "exporter", "redeploy", "--gate", *QUICK]
    environment = clean_environment(
        PYTHONPATH=str(Path(__file__).parents[2]), RESTATE_MEDIC_CONFIG_FILE=str(person.file)
    )
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as pipeline:
        assert pipeline.stderr is not None
        assert pipeline.stderr.readline().startswith("waiting: [META0003]")
        worker.roll([LOOSE, FLOW])
        out, err = pipeline.communicate(timeout=60)
    assert pipeline.returncode == 0, out + err
    assert "\x1b" not in out + err
    assert restate.exposed() == ["Flow", "Loose"]


@pytest.mark.parametrize(("how", "code"), [("--gate", 3), ("--warn", 0)])
def test_a_worker_that_never_comes(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, how: str, code: int
) -> None:
    """The gate closes; a warning lets the pipeline go on, and nothing was written."""
    restate, worker = fresh_restate(), worker_factory(LOOSE)
    restate.register(worker.url)
    before = restate.services()
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url)
    worker.stop()
    done = person.run("redeploy", how, *SHORT)
    assert (done.exit_code, done.stdout) == (code, "")
    assert "not registered (http_status): [META0003]" in done.stderr
    assert ("WARNING (the pipeline goes on): " in done.stderr) == (code == 0)
    assert restate.services() == before
    told = person.run("redeploy", how, *SHORT, "--json")
    assert told.exit_code == code
    assert json.loads(told.stdout)["refused"] == "http_status"


@pytest.mark.parametrize(("how", "code"), [("--gate", 1), ("--warn", 0)])
def test_a_rollout_that_did_not_arrive_or_would_hurt(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, how: str, code: int
) -> None:
    """The old worker still answers; one flaps between two; one has lost a service."""
    restate, worker = fresh_restate(), worker_factory(LOOSE)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url, expected_services=["Flow"])
    done = person.run("redeploy", how, *SHORT)
    assert done.exit_code == code
    assert "not registered (not-ready): the worker does not offer Flow" in done.stderr
    person.configure(service_url=worker.url)
    worker.roll([LOOSE], alternate=[LOOSE, FLOW])
    done = person.run("redeploy", how, *SHORT)
    assert done.exit_code == code
    assert "did not answer the same for 1s within 3s" in done.stderr
    worker.roll([FLOW])
    done = person.run("redeploy", how, *QUICK)
    assert done.exit_code == code
    assert "not registered (drop-service)" in done.stderr
    assert "--allow drop-service" in done.stderr
    assert restate.exposed() == ["Loose"]


def test_which_worker_is_registered(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The command line over the environment over the target; an empty variable is no answer."""
    restate, worker = fresh_restate(), worker_factory(LOOSE)
    flag, variable, target = (f"{worker.url}/{name}/" for name in ("flag", "variable", "target"))
    person = Person(tmp_path, restate)
    person.configure(service_url=target)

    def planned(*words: str) -> str:
        told = person.run("redeploy", "--dry-run", "--json", *words)
        assert told.exit_code == 0, told.output
        return str(json.loads(told.stdout)["arguments"]["url"])

    assert planned() == target
    person.variables[VARIABLE] = variable
    assert planned() == variable
    assert planned("--service-url", flag) == planned(flag) == flag
    done = person.run("redeploy", "--gate", *QUICK)
    assert done.exit_code == 0, done.output
    assert [d["uri"] for d in restate.deployments()] == [variable]
    for value, words in (
        ("", "RESTATE_MEDIC_SERVICE_URL is empty: write the worker's URL, or leave it out"),
        ("worker:9080", "RESTATE_MEDIC_SERVICE_URL: 'worker:9080' is not a URL"),
        ("https://workflows.example.com/", "is a placeholder"),
    ):
        person.variables[VARIABLE] = value
        gate = person.run("redeploy", "--gate", *SHORT)
        warn = person.run("redeploy", "--warn", *SHORT)
        assert (gate.exit_code > 0, warn.exit_code) == (True, 0)
        assert words in gate.stderr
        assert words in warn.stderr


def test_what_is_wrong_usage(tmp_path: Path, restate: object) -> None:
    """Two minds, nothing to wait for, a wait that never ends: exit 2, also for a warning."""
    del restate
    person = Person(tmp_path, None)  # type: ignore[arg-type]
    for words in (
        ("--gate", "--warn"),
        ("--warn", "--dry-run"),
        ("--gate", "--within", "soon"),
        ("--gate", "--within", "5s", "--stable-for", "5s"),
        ("http://a:1", "--service-url", "http://b:1", "--gate"),
    ):
        done = person.run("redeploy", *words)
        assert (done.exit_code, done.stdout) == (2, ""), words
        assert done.stderr
