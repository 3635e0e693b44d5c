"""A deployment whose endpoint is dead never drains by itself: a person may make it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.model.errors import RefusedError
from exporter.model.operation import Outcome
from lab import RestateServer, ServiceSpec, Version, Worker
from tests.integration.surgery import Hand, row_of, send, surgery, until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

FLOW = ServiceSpec("Flow", "workflow", ("run", "ask"))
CLEANUP = "cleanup-stale-deployments"
SOON = timedelta(seconds=1)
Scene = tuple[RestateServer, Worker, list[str], list[str]]


def scene(restate: RestateServer, worker_factory: WorkerFactory) -> Scene:
    """Two old deployments with two and one waiting runs, and a new one; the first is dead."""
    dead, alive, new = (worker_factory(FLOW) for _ in range(3))
    stuck: list[list[str]] = []
    for worker, keys in ((dead, ("d1", "d2")), (alive, ("a1",))):
        restate.register(worker.url)
        runs = [send(restate, "Flow", "wait", key) for key in keys]
        stuck.append([until(restate, run, "suspended") for run in runs])
    restate.register(new.url)
    dead.stop()
    return restate, new, stuck[0], stuck[1]


def places(restate: RestateServer) -> set[str]:
    return {str(d["uri"]).rstrip("/") for d in restate.deployments()}


async def test_only_what_is_listed_on_a_dead_endpoint_is_killed_and_then_it_goes(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """The deployment that drains on a living endpoint, and its run, stay as they were."""
    restate, new, doomed, kept = scene(fresh_restate(any_version), worker_factory)
    arguments: dict[str, Any] = {"url": new.url, "force_drain": True}
    async with surgery(tmp_path, restate) as person:
        for most, reason in ((None, "max-kills-missing"), (1, "too-many-kills")):
            with pytest.raises(RefusedError) as refused:
                await person.perform(CLEANUP, **arguments, max_kills=most)
            assert refused.value.reason == reason
        assert len(places(restate)) == 3
        plan = await person.plan(CLEANUP, **arguments, max_kills=2)
        assert sum(step.startswith("kill ") for step in plan.steps) == 2
        assert all(restate.status(run) == "suspended" for run in (*doomed, *kept))
        living = await person.perform(CLEANUP, **arguments, max_kills=2, drain_timeout=SOON)
        assert living.outcome is Outcome.PARTIAL
        found = await person.items(living)
        assert sorted(found.values()) == ["deleted", "killed", "killed", "skipped"]
    assert len(places(restate)) == 2
    assert {row_of(restate, run)["completion_failure"] for run in doomed} == {"[409] killed"}
    assert restate.status(kept[0]) == "suspended"


def test_the_command_line_asks_for_a_number_and_does_it(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Killed, deleted, recorded one by one."""
    restate, new, doomed, kept = scene(fresh_restate(), worker_factory)
    restate.admin("PATCH", f"/invocations/{kept[0]}/kill").raise_for_status()
    until(restate, kept[0], "completed")
    medic = Medic(tmp_path, targets=[target_of(restate, service_url=new.url)])
    missing = medic.command("cleanup", "--force-drain", "--yes")
    assert (missing.returncode, "--max-kills" in missing.stderr) == (2, True)
    done = medic.command("cleanup", "--force-drain", "--max-kills", "2", "--yes", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    assert places(restate) == {new.url}
    assert {row_of(restate, run)["completion_failure"] for run in doomed} == {"[409] killed"}
    (row,) = medic.operations()
    assert row["outcome"] == "verified"
    assert sorted(key.partition("@")[0] for key in row["after"]["killed"]) == sorted(doomed)


async def test_an_endpoint_that_came_back_and_work_nobody_listed_are_spared(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Between plan and act: alive again, nothing is killed; more work there, it is not deleted."""
    restate = fresh_restate()
    dead, new = worker_factory(FLOW), worker_factory(FLOW)
    restate.register(dead.url)
    listed, late = (
        until(restate, send(restate, "Flow", "wait", key), "suspended") for key in ("k1", "k2")
    )
    restate.register(new.url)
    dead.stop()
    async with surgery(tmp_path, restate) as person:
        act = person.backend.remedies[CLEANUP].act
        plan = await person.plan(CLEANUP, url=new.url, force_drain=True, max_kills=5)
        dead.start()
        hand = Hand()
        assert (await act(person.context, plan, hand)).nothing_to_do
        assert hand.steps == []
        dead.stop()
        ((old, keys),) = plan.arguments["kill"].items()
        plan.arguments["kill"][old] = [key for key in keys if not key.startswith(late)]
        result = await act(person.context, plan, hand)
        assert (result.partial, result.nothing_to_do) == (True, False)
        assert hand.steps == [f"kill {listed}, pinned to {old}"]
    assert row_of(restate, listed)["completion_failure"] == "[409] killed"
    assert restate.status(late) == "suspended"
    assert len(restate.deployments()) == 2
