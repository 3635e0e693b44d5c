"""What systemd is told, and that nobody's silence hurts the daemon."""

from __future__ import annotations

import os
import socket

import pytest

from exporter.daemon.supervisor import Supervisor


@pytest.fixture
def listener() -> socket.socket:
    """A socket in the abstract namespace, as systemd's may be."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.bind(f"\0restate-medic-{os.getpid()}-{id(sock)}")
    return sock


def name_of(sock: socket.socket) -> str:
    name: bytes = sock.getsockname()
    return "@" + name[1:].decode()


async def test_each_message_is_one_datagram(listener: socket.socket) -> None:
    """In the words of sd_notify(3)."""
    with listener:
        told = Supervisor({"NOTIFY_SOCKET": name_of(listener)})
        told.ready("watching 1 targets")
        told.reloading()
        await told.ping()
        told.stopping()
        heard = [listener.recv(1000).decode().splitlines() for _ in range(4)]
    assert heard[0] == ["READY=1", "STATUS=watching 1 targets"]
    assert heard[1][0] == "RELOADING=1"
    assert heard[1][1].removeprefix("MONOTONIC_USEC=").isdecimal()
    assert heard[2:] == [["WATCHDOG=1"], ["STOPPING=1"]]


@pytest.mark.parametrize("variables", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/x"}])
async def test_nobody_needs_to_listen(variables: dict[str, str]) -> None:
    """Started by a shell, or by something that has gone: the daemon goes on."""
    alone = Supervisor(variables)
    alone.ready("")
    await alone.ping()
    alone.stopping()


MINE = str(os.getpid())


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 20),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": MINE}, 20),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=["none", "anybody", "mine", "another's", "zero", "garbage"],
)
def test_the_watchdog_is_fed_three_times_as_often_as_it_asks(
    variables: dict[str, str], seconds: float | None
) -> None:
    """And only by the process that it watches."""
    assert Supervisor(variables).ping_seconds == seconds
