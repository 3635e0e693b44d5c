"""The lab keeps its promises: what every other integration test stands on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from lab import (
    Child,
    RestateServer,
    ServiceSpec,
    Version,
    Worker,
    clean_environment,
    free_ports,
    is_listening,
    server,
    wait_until,
)
from tests.support import ServerFactory, WorkerFactory

GREETER = ServiceSpec("Greeter", "service", ("hello",))
CART = ServiceSpec("Cart", "object", ("add",))
SIGNUP = ServiceSpec("Signup", "workflow", ("run", "ask"))


def _names(listed: list[dict[str, str]]) -> list[str]:
    return sorted(service["name"] for service in listed)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_serves_the_version_it_was_asked_for(
    any_version: Version, any_restate: RestateServer
) -> None:
    """A server of each series runs, and says so itself."""
    assert any_restate.version().startswith(f"{any_version}.")
    assert any_restate.is_healthy()


def test_registered_worker_answers_through_the_ingress(
    any_version: Version, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """What is registered is listed by admin and ingress, and its three kinds can be called."""
    restate, worker = fresh_restate(any_version), worker_factory(GREETER, CART, SIGNUP)

    registered = restate.register(worker.url)

    assert _names(registered["services"]) == ["Cart", "Greeter", "Signup"]
    assert [(d["id"], d["uri"]) for d in restate.deployments()] == [
        (registered["id"], f"{worker.url}/")
    ]
    assert _names(restate.services()) == restate.exposed() == ["Cart", "Greeter", "Signup"]
    assert restate.call("Greeter", "hello", "Ann").json() == "Hello Ann"
    assert restate.call("Cart", "add", "tea", key="a b/c").json() == "Hello tea"
    assert restate.call("Signup", "run", key="k").json() == "done"


def test_rolled_worker_without_registration_is_the_404_of_the_gotcha(
    any_version: Version, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """A new service is unknown to the ingress until somebody registers the worker again."""
    restate, worker = fresh_restate(any_version), worker_factory(GREETER)
    deployment = restate.register(worker.url)["id"]

    worker.roll([GREETER, SIGNUP])

    answer = restate.call("Signup", "run", key="k")
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "make sure to register the service" in answer.json()["message"]
    assert _names(restate.register(worker.url, dry_run=True)["services"]) == ["Greeter", "Signup"]
    assert restate.exposed() == ["Greeter"], "a dry run changes nothing"

    assert restate.register(worker.url)["id"] == deployment
    assert restate.call("Signup", "run", key="k").json() == "done"


def test_body_decides_how_an_invocation_fares(
    any_version: Version, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """Each state that a remedy deals with can be made on purpose, and is reached at once."""
    fragile = ServiceSpec("Fragile", "service", ("go",), pause_after=2)
    restate, worker = fresh_restate(any_version), worker_factory(SIGNUP, CART, fragile)
    restate.register(worker.url)

    def send(service: str, handler: str, body: str, key: str | None = None) -> str:
        answer = restate.call(service, handler, body, key=key, send=True)
        return str(answer.json()["invocationId"])

    wanted = {
        send("Signup", "run", "fail", "failing"): "completed",
        send("Signup", "run", "crash", "crashing"): "backing-off",
        send("Signup", "run", "sleep", "sleeping"): "suspended",
        (waiting := send("Signup", "run", "wait", "waiting")): "suspended",
        send("Cart", "add", "crash", "blocked"): "backing-off",
        send("Fragile", "go", "crash"): "paused",
    }
    wait_until(
        lambda: {invocation: restate.status(invocation) for invocation in wanted} == wanted,
        what="every invocation in its state",
    )
    failed = restate.query(
        "SELECT target_service_key FROM sys_invocation WHERE completion_result = 'failure'"
    )
    assert failed == [{"target_service_key": "failing"}]

    restate.call("Signup", "ask", "resolve", key="waiting").raise_for_status()
    wait_until(lambda: restate.status(waiting) == "completed", what="the promise to be seen")


def test_flapping_worker_lists_other_services_every_second_time(
    restate: RestateServer, worker_factory: WorkerFactory
) -> None:
    """Two discoveries in a row differ, as while a rollout is under way."""
    worker = worker_factory(GREETER, alternate=[GREETER, CART])

    seen = [_names(restate.register(worker.url, dry_run=True)["services"]) for _ in range(4)]

    assert seen == [["Greeter"], ["Cart", "Greeter"]] * 2


def test_server_keeps_its_data_over_kill_and_restart(
    any_version: Version, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """A crashed or restarted server comes back on its ports with what was registered."""
    restate, worker = fresh_restate(any_version), worker_factory(GREETER)
    restate.register(worker.url)

    restate.kill()
    with pytest.raises(httpx.TransportError):
        restate.admin("GET", "/health")
    restate.start()
    assert restate.call("Greeter", "hello", "Ann").json() == "Hello Ann"

    restate.restart()
    assert restate.exposed() == ["Greeter"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_stopped_parts_leave_no_process(
    how: str, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> None:
    """Stop and kill end server and worker, a running invocation or not, and free their ports."""
    restate, worker = fresh_restate(), worker_factory(SIGNUP)
    restate.register(worker.url)
    restate.call("Signup", "run", "sleep", key="k", send=True).raise_for_status()
    pids = [restate.pid, worker.pid]

    for part in (worker, restate):
        getattr(part, how)()

    assert [pid for pid in pids if pid is None or _is_alive(pid)] == []
    assert not is_listening(worker.port)
    assert (restate.pid, worker.pid) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's life")
def test_parts_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """A test run ended by SIGKILL leaves neither server nor worker behind."""
    program = (
        "import time; from lab import *; server = RestateServer(); server.start();"
        "worker = Worker([ServiceSpec('A')]); worker.start();"
        "print(server.pid, worker.pid, flush=True); time.sleep(60)"
    )
    environment = clean_environment(
        PYTHONPATH=str(Path(server.__file__).parent.parent),
        TMPDIR=str(tmp_path),  # nobody is left to remove it
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: not any(_is_alive(int(pid)) for pid in pids), what="both to be gone")


async def test_event_loop_can_start_parts_without_being_held_up() -> None:
    """An async test enters server and worker as async context managers."""
    async with RestateServer() as restate, Worker([GREETER]) as worker:
        assert restate.is_healthy()
        assert is_listening(worker.port)
    assert (restate.pid, worker.pid) == (None, None)
    assert not restate.base_dir.exists()


def test_children_start_from_the_main_thread_only() -> None:
    """A child that would die with a helper thread is refused, instead of dying later."""
    caught: list[BaseException] = []

    def start() -> None:
        try:
            Child(["true"], env=clean_environment())
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_part_does_not_start_on_a_port_in_use(worker_factory: WorkerFactory) -> None:
    """Somebody else's answer is never taken for that of the part that starts."""
    taken = worker_factory(GREETER)

    with (
        pytest.raises(RuntimeError, match=f"something listens on port {taken.port}"),
        Worker([GREETER], port=taken.port),
    ):
        pass


def test_part_that_ends_while_starting_says_why() -> None:
    """The error carries the part's own words, and comes at once instead of as a timeout."""
    worker = Worker([ServiceSpec("Twice"), ServiceSpec("Twice")])

    with pytest.raises(RuntimeError, match="Service Twice already exists"), worker:
        pass
    assert worker.pid is None


def test_missing_binary_tells_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the server the error is loud and names the command."""
    monkeypatch.setattr(server, "_INSTALLED", tmp_path)

    with pytest.raises(FileNotFoundError, match="`make test`"), RestateServer():
        pass


def test_free_ports_are_never_handed_out_twice() -> None:
    """Two parts started at the same time do not fight for a port."""
    ports = [*free_ports(50), *free_ports(50)]

    assert len(set(ports)) == len(ports)


def test_clean_environment_drops_what_would_bend_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's Restate settings and proxies do not reach a lab process."""
    for name in ("RESTATE_ADMIN__BIND_ADDRESS", "https_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "surprise")

    assert "surprise" not in clean_environment(EXTRA="1").values()
    assert clean_environment(EXTRA="1")["EXTRA"] == "1"
