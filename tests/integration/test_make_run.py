"""`make run` without CONFIG: it brings what is missing, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import pytest

from lab import Restate, free_ports, is_listening, wait_until
from lab.ports import LOOPBACK

RUN = Path(__file__).parents[2] / "deploy" / "demo" / "run.py"


@dataclass(frozen=True)
class Place:
    """Ports and a folder of this test's own."""

    ingress: int
    admin: int
    node: int
    worker: int
    daemon: int
    folder: Path

    def start(self) -> Running:
        return Running(self)

    def listening(self) -> list[int]:
        ports = (self.ingress, self.admin, self.node, self.worker, self.daemon)
        return [port for port in ports if is_listening(port)]


class Running:
    """The script in a process group of its own, as a terminal would have it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.process = subprocess.Popen(
            [sys.executable, str(RUN), f"--web.listen-address={LOOPBACK}:{place.daemon}"],
            env=os.environ
            | {
                "MEDIC_DEMO_PORTS": f"{place.ingress},{place.admin},{place.node},{place.worker}",
                "MEDIC_DEMO_DIR": str(place.folder),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        # Read as it comes: a full pipe would stop the daemon in the middle of a log line.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def await_daemon(self) -> None:
        wait_until(
            lambda: self._is_ready() or self.process.poll() is not None,
            what="the daemon to be ready",
            timeout_seconds=60,
        )
        assert self.process.poll() is None, self.output

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def end(self) -> int:
        """Wait for the end and for the last line; return the exit code."""
        exit_code = self.process.wait(60)
        self._reader.join(60)
        return exit_code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.end()

    def _is_ready(self) -> bool:
        url = f"http://{LOOPBACK}:{self.place.daemon}/-/ready"
        try:
            return httpx.get(url, timeout=1, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output += line


@pytest.fixture
def place(tmp_path: Path) -> Place:
    ingress, admin, node, worker, daemon = free_ports(5)
    return Place(ingress, admin, node, worker, daemon, tmp_path)


@pytest.fixture
def listener() -> Iterator[Callable[[int], None]]:
    """Occupies ports until the test ends."""
    sockets: list[socket.socket] = []

    def listen(port: int) -> None:
        sockets.append(socket.create_server((LOOPBACK, port)))

    yield listen
    for taken in sockets:
        taken.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_starts_what_is_missing_and_stops_all_of_it(number: signal.Signals, place: Place) -> None:
    """Server, sample worker and daemon come up, are named, and are gone after a signal; exit 0."""
    with place.start() as run:
        run.await_daemon()
        with Restate(
            ingress_url=f"http://{LOOPBACK}:{place.ingress}",
            admin_url=f"http://{LOOPBACK}:{place.admin}",
            node_url=f"http://{LOOPBACK}:{place.node}",
        ) as restate:
            assert restate.call("Greeter", "hello", "Ann").json() == "Hello Ann"
            assert restate.call("Heartbeat", "run", key="1").json() == "alive"
        run.send(number)
        assert run.end() == 0, run.output

    assert "restate-server 1.7." in run.output
    assert f"http://{LOOPBACK}:{place.worker}, registered: Cart, Greeter" in run.output
    assert place.listening() == []


def test_second_start_finds_the_first_ones_data(place: Place) -> None:
    """The worker is registered once: what a person did in the sample survives a restart."""
    seen = []
    for _ in range(2):
        with place.start() as run:
            run.await_daemon()
            with Restate(
                ingress_url="", admin_url=f"http://{LOOPBACK}:{place.admin}", node_url=""
            ) as restate:
                seen.append([(d["id"], d["created_at"]) for d in restate.deployments()])
            run.send(signal.SIGINT)
            run.end()

    assert seen[0] == seen[1]
    assert len(seen[0]) == 1


@pytest.mark.parametrize("half", ["ingress", "admin"])
def test_half_a_restate_is_an_error_that_says_what_to_do(
    half: str, place: Place, listener: Callable[[int], None]
) -> None:
    """When only one of the two ports is taken nothing is started beside it."""
    taken = getattr(place, half)
    listener(taken)

    with place.start() as run:
        assert run.end() == 1

    assert f"something listens on localhost:{taken}" in run.output
    assert "make run CONFIG=file" in run.output
    assert place.listening() == [taken]


@pytest.mark.parametrize("part", ["node", "worker"])
def test_other_port_taken_is_an_error_that_names_it(
    part: str, place: Place, listener: Callable[[int], None]
) -> None:
    """What was started before the failing part is stopped again."""
    taken = getattr(place, part)
    listener(taken)

    with place.start() as run:
        assert run.end() == 1

    assert f"something listens on port {taken}" in run.output
    assert "Traceback" not in run.output
    assert place.listening() == [taken]


def test_daemon_that_ends_takes_the_rest_with_it(
    place: Place, listener: Callable[[int], None]
) -> None:
    """When the daemon cannot start, its exit code is ours and nothing runs on."""
    listener(place.daemon)

    with place.start() as run:
        assert run.end() == 1, run.output

    assert place.listening() == [place.daemon]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's life")
def test_killed_script_leaves_nothing_behind(place: Place) -> None:
    """Even SIGKILL ends server, worker and daemon."""
    with place.start() as run:
        run.await_daemon()
        run.process.kill()
        run.end()

    wait_until(lambda: not place.listening(), what="every port to be free")
