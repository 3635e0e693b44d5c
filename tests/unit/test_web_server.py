"""Serving on a socket of our own: addresses, taken ports, the event loop, the end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.model.errors import ConfigurationError
from exporter.web import ListenError, WebServer, listen


async def hello(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(scope["client"]).encode()})


@asynccontextmanager
async def serving(app: ASGIApp = hello, address: str = "127.0.0.1:0") -> AsyncIterator[WebServer]:
    server = WebServer(app, listen(address), stop_within_seconds=2)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def has_ipv6() -> bool:
    try:
        listen("[::1]:0").close()
    except ListenError:
        return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1:0", ":0", "localhost:0"])
async def test_it_answers_once_started(address: str) -> None:
    """After ``start`` returns, requests on the address are answered."""
    async with serving(address=address) as server, httpx.AsyncClient() as client:
        port = server.url.rpartition(":")[2]
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 200


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("address", ["[::1]:0", ":0"])
async def test_ipv6(address: str) -> None:
    """``[::1]:port`` and ``:port`` are reachable over IPv6, and the URL says it right."""
    async with serving(address=address) as server, httpx.AsyncClient() as client:
        port = server.url.rpartition(":")[2]
        assert (await client.get(f"http://[::1]:{port}/")).status_code == 200
        assert server.url == (f"http://[::1]:{port}" if "::1" in address else server.url)


def test_a_taken_port_is_told_before_anything_starts() -> None:
    """The line names the address and says what to do; no server object is needed for it."""
    with listen("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: port {port} is taken; stop what"):
            listen(f"127.0.0.1:{port}")


def test_a_port_can_be_used_again_at_once() -> None:
    """A restart does not wait for old connections of the port to expire."""
    with listen("127.0.0.1:0") as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = _accept(first)
            accepted.close()
            client.recv(1)
    listen(f"127.0.0.1:{port}").close()


def _accept(sock: socket.socket) -> tuple[socket.socket, object]:
    sock.setblocking(True)
    return sock.accept()


def test_an_address_that_is_not_ours_is_told() -> None:
    """An address of another machine is refused with a line that says so."""
    with pytest.raises(ListenError, match="does not have that address"):
        listen("192.0.2.1:0")


def test_a_name_that_does_not_resolve_is_told() -> None:
    """A host name that means nothing is an error about listening, not a traceback."""
    with pytest.raises(ListenError, match=r"cannot listen on nowhere\.invalid:1"):
        listen("nowhere.invalid:1")


@pytest.mark.parametrize(
    "address",
    ["", "9970", "127.0.0.1", "::1:9970", "h:70000", "h:-1", "h:x", "http://h:1", "a b:1"],
)
def test_an_address_that_cannot_be_read(address: str) -> None:
    """A mistyped address is a configuration error that shows how to write one."""
    with pytest.raises(ConfigurationError, match=r"write 127\.0\.0\.1:9970, :9970 or \[::1\]:9970"):
        listen(address)


async def test_signals_stay_ours() -> None:
    """uvicorn takes no signal handler: SIGTERM belongs to the daemon."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving():
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_the_peer_is_who_connects() -> None:
    """A forwarded-for header changes nothing about who the client is."""
    async with serving() as server, httpx.AsyncClient() as client:
        answer = await client.get(server.url, headers={"X-Forwarded-For": "10.9.8.7"})
    assert "127.0.0.1" in answer.text


async def test_stop_lets_a_running_request_finish() -> None:
    """A request that is being answered when the daemon stops is answered."""
    async with httpx.AsyncClient() as client:
        async with serving() as server:
            running = asyncio.create_task(client.get(f"{server.url}/slow"))
            await asyncio.sleep(0.1)
        assert (await running).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.get(server.url)


async def test_stop_does_not_wait_for_ever() -> None:
    """A request that hangs is given up after the time that was set."""
    entered = asyncio.Event()

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        entered.set()
        await asyncio.sleep(60)

    server = WebServer(hang, listen("127.0.0.1:0"), stop_within_seconds=1)
    await server.start()
    async with httpx.AsyncClient() as client:
        running = asyncio.create_task(client.get(server.url))
        await entered.wait()
        async with asyncio.timeout(10):
            await server.stop()
        assert (await running).status_code == 500


async def test_stop_before_start_frees_the_port() -> None:
    """A daemon that fails before it serves leaves nothing listening."""
    sock = listen("127.0.0.1:0")
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    await WebServer(hello, sock).stop()
    listen(address).close()
