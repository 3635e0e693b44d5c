"""``why`` on real servers: each link broken for real, and mended by the command it printed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from lab import RestateServer, ServiceSpec, Version, wait_until
from tests.integration.person import Person
from tests.integration.proxy import Fault, Forward, Proxy, Reply
from tests.integration.surgery import send, until
from tests.support import ServerFactory, WorkerFactory

PLAIN = ServiceSpec("Plain", pause_after=2)
LOOSE = ServiceSpec("Loose")
CART = ServiceSpec("Cart", "object")
FLOW = ServiceSpec("Flow", "workflow", ("run", "ask"))
NOBODY = "http://127.0.0.1:9"


def test_what_is_not_registered_or_has_changed_is_registered_again(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """The gotcha, first the whole service and then a handler of it: `redeploy` mends both."""
    restate, worker = fresh_restate(any_version), worker_factory(LOOSE)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url)
    worker.roll([LOOSE, FLOW])
    command = person.why("Flow", "k", code=1, says="Flow is not registered")
    assert command == "restate-medic redeploy"
    person.mend(command)
    person.why("Flow", "k", code=0, says="Nothing is broken")
    worker.roll([LOOSE, ServiceSpec("Flow", "workflow", ("run", "ask", "tell"))])
    command = person.why("Flow", code=1, says="has changed since it was registered: new: Flow/tell")
    # Another service of the same worker is as it was, and says what else has changed.
    person.why("Loose", code=0, says="other services of it have changed: new: Flow/tell")
    person.mend(command)
    person.why("Flow", "k", code=0, says="Flow/k was never submitted")


def test_a_name_nobody_offers_and_a_key_that_makes_no_sense(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A hint at what was meant; a plain service has no keys, which is wrong usage."""
    restate, worker = fresh_restate(), worker_factory(LOOSE)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url)
    person.why("Lose", code=1, says="did you mean 'Loose'?")
    answer = person.run("why", "Loose", "k")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "Loose is a plain service and has no keys: leave 'k' out" in answer.stderr
    person.configure()
    assert person.why("Other", code=1, says="No worker is configured").startswith(
        "restate-medic redeploy URL"
    )


def test_a_dead_endpoint_and_one_that_moved(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Started again it is well; where another worker offers the service, that is registered."""
    restate, old, new = fresh_restate(), worker_factory(LOOSE), worker_factory(LOOSE)
    restate.register(old.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=old.url)
    old.stop()
    waiting = send(restate, "Loose", "go")
    until(restate, waiting, "backing-off")
    command = person.why("Loose", code=1, says=f"{old.url}/ does not answer a discovery")
    assert command.startswith("restate-medic why Loose")
    person.configure(service_url=new.url)
    command = person.why("Loose", code=1, says=f"{new.url}/ offers Loose: register it")
    person.mend(command)
    until(restate, waiting, "completed")
    person.why("Loose", code=0, says="succeeded")


def test_the_servers_themselves(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Neither answers, or only the ingress does not: exit 3, and which of them."""
    restate = fresh_restate()
    restate.register(worker_factory(LOOSE).url)
    person = Person(tmp_path, restate)
    person.configure(ingress_url=NOBODY)
    command = person.why("Loose", code=3, says="ingress broken is unreachable (refused)")
    assert command == "restate-medic doctor"
    person.configure(admin_url=NOBODY)
    person.why("Loose", code=3, says="admin broken is unreachable (refused)")
    person.configure()
    person.why("Loose", code=0, says="Loose was never submitted")


def test_stuck_work_of_a_plain_service(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Paused on a dead endpoint: first the endpoint, then all of it is resumed together."""
    restate, worker = fresh_restate(any_version), worker_factory(PLAIN)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url)
    worker.stop()
    ids = [until(restate, send(restate, "Plain", "go"), "paused") for _ in range(2)]
    person.why("Plain", code=1, says="does not answer a discovery")
    worker.start()
    command = person.why("Plain", code=1, says="after its last retry")
    assert command.startswith(f"restate-medic invocations resume {ids[0]} {ids[1]}")
    person.mend(command)
    person.why("Plain", code=0, says=f"{ids[1]} succeeded")


def test_failing_failed_and_running_work(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Backing off with error and next attempt; failed for good; scheduled; suspended."""
    restate = fresh_restate(any_version)
    worker = worker_factory(LOOSE)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url)
    held = until(restate, send(restate, "Loose", "sleep"), "suspended")
    person.why("Loose", code=0, says=f"{held} is suspended; its last timer fires at")
    later = httpx.post(f"{restate.ingress_url}/Loose/run/send?delay=1h", json="x").json()
    person.why("Loose", code=0, says=f"{later['invocationId']} is scheduled for")
    failed = until(restate, send(restate, "Loose", "fail"), "completed")
    command = person.why("Loose", code=1, says=f"{failed} failed")
    assert command.startswith(f"restate-medic invocations restart {failed}")
    person.mend(command)
    newest = [
        r["id"]
        for r in restate.query(
            "SELECT id FROM sys_invocation_status ORDER BY created_at DESC LIMIT 1"
        )
    ]
    assert newest != [failed]
    crashing = until(restate, send(restate, "Loose", "crash"), "backing-off")
    said = " ".join(person.run("why", "Loose").stdout.split())
    assert f"{crashing} failed" in said
    assert "told to crash" in said
    assert "next attempt 20" in said
    restate.admin("PATCH", f"/invocations/{crashing}/kill").raise_for_status()
    until(restate, crashing, "completed")
    person.why("Loose", code=0, says=f"{crashing} was killed")


def test_a_workflow_key_from_the_first_call_to_the_next(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Never submitted, waiting, blocked by what asks of it, failed, freed, succeeded."""
    restate, worker = fresh_restate(any_version), worker_factory(FLOW)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url)
    person.why("Flow", "k", code=0, says="Flow/k was never submitted")
    run = until(restate, send(restate, "Flow", "wait", "k"), "suspended")
    person.why("Flow", "k", code=0, says=f"{run} is suspended since")
    restate.admin("PATCH", f"/invocations/{run}/kill").raise_for_status()
    until(restate, run, "completed")
    asker = until(restate, send(restate, "Flow", "wait", "k", "ask"), "suspended")
    command = person.why("Flow", "k", code=1, says=f"{run} was killed")
    assert command.startswith(f"restate-medic invocations cancel {asker}")
    person.mend(command)
    command = person.why("Flow", "k", code=1, says="Free the key, then submit it again")
    assert command.startswith("restate-medic recover Flow k")
    person.mend(command)
    person.why("Flow", "k", code=0, says="Flow/k was never submitted, or is remembered no longer")
    assert until(restate, send(restate, "Flow", "go", "k"), "completed") == run
    person.why("Flow", "k", code=0, says=f"{run} succeeded")
    person.why("Flow", code=0, says="Name a KEY to look at one")
    told = person.told("Flow", "k")
    assert (told["fine"], told["broken"], told["command"]) == (True, None, None)


def test_a_run_whose_timer_is_still_to_fire(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Before 1.8 the key cannot be freed before that; it says when."""
    restate = fresh_restate()
    restate.register(worker_factory(FLOW).url)
    person = Person(tmp_path, restate)
    person.configure()
    run = until(restate, send(restate, "Flow", "sleep", "k"), "suspended")
    restate.admin("PATCH", f"/invocations/{run}/kill").raise_for_status()
    until(restate, run, "completed")
    person.why("Flow", "k", code=1, says="A timer of it fires at")


def test_an_object_key_that_another_call_holds(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Behind a sleeping one, behind a failing one, behind one that a person paused."""
    restate, worker = fresh_restate(any_version), worker_factory(CART)
    restate.register(worker.url)
    person = Person(tmp_path, restate)
    person.configure(service_url=worker.url)
    head = until(restate, send(restate, "Cart", "sleep", "k"), "suspended")
    second = until(restate, send(restate, "Cart", "go", "k"), "pending")
    command = person.why("Cart", "k", code=1, says=f"{second} waits behind {head}")
    assert command.startswith(f"restate-medic invocations cancel {head}")
    person.mend(command)
    until(restate, second, "completed")
    person.why("Cart", "k", code=0, says=f"{second} succeeded")
    head = until(restate, send(restate, "Cart", "crash", "k"), "backing-off")
    third = until(restate, send(restate, "Cart", "go", "k"), "pending")
    person.why("Cart", "k", code=1, says=f"{third} waits behind {head}")
    restate.admin("PATCH", f"/invocations/{head}/pause").raise_for_status()
    until(restate, head, "paused")
    command = person.why("Cart", "k", code=1, says="by a person")
    assert command.startswith(f"restate-medic invocations resume {head} --allow paused-by-person")
    person.why("Cart", code=1, says=f"{head} (key k) was paused")
    restate.admin("PATCH", f"/invocations/{head}/kill").raise_for_status()
    until(restate, third, "completed")
    person.why("Cart", "k", code=0, says=f"{third} succeeded")


def test_work_whose_deployment_is_gone(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """What is paused goes on with the latest deployment; what is suspended can only be ended."""
    restate, worker = fresh_restate(any_version), worker_factory(CART)
    gone = restate.register(worker.url)["id"]
    held = until(restate, send(restate, "Cart", "sleep", "k"), "suspended")
    other = until(restate, send(restate, "Cart", "sleep", "j"), "suspended")
    restate.delete_deployment(gone)
    restate.register(f"{worker.url}/v2")
    person = Person(tmp_path, restate)
    person.configure(service_url=f"{worker.url}/v2")
    command = person.why("Cart", "k", code=1, says=f"its deployment {gone} is gone")
    assert command.startswith(f"restate-medic invocations kill {held}")
    person.mend(command)
    person.why("Cart", "k", code=0, says=f"{held} was killed")
    restate.admin("PATCH", f"/invocations/{other}/cancel").raise_for_status()
    until(restate, other, "backing-off")
    restate.admin("PATCH", f"/invocations/{other}/pause").raise_for_status()
    until(restate, other, "paused")
    command = person.why("Cart", "j", code=1, says="Let it go on with the latest deployment")
    person.mend(command)
    wait_until(lambda: restate.status(other) == "completed", what="its cancellation")
    person.why("Cart", "j", code=0, says=f"{other} was cancelled")


async def test_a_token_that_is_refused_is_no_server_that_is_down(
    any_restate: RestateServer, tmp_path: Path
) -> None:
    """A proxy that knows tokens stands before a real server: 401 and 403 at either door."""
    for status, words in ((401, "missing, wrong or expired"), (403, "does not allow this")):
        for door in ("ingress", "admin"):
            upstream = any_restate.ingress_url if door == "ingress" else any_restate.admin_url
            async with Proxy(upstream) as proxy:
                proxy.on(lambda _: True, _refusing(status), times=100)
                person = Person(tmp_path, any_restate)
                person.configure(**{f"{door}_url": proxy.url})
                says = f"{door} broken is up, and refuses the token"
                command = await asyncio.to_thread(person.why, "Nobody", code=1, says=says)
                assert command == "restate-medic doctor"
                done = await asyncio.to_thread(person.run, "doctor")
            assert done.exit_code == 1
            assert words in " ".join(done.stdout.split())


def _refusing(status: int) -> Fault:
    async def refuse(_forward: Forward) -> Reply:
        return Reply(status, b'{"message": "no"}')

    return refuse
