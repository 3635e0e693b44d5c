"""A reverse proxy on loopback that breaks, delays or changes chosen exchanges with a server.

It stands before the admin API. It lives in the test's event loop, so that a rule may run code of
the test exactly between two calls; the code of a rule may block, and start workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx

_HOP = frozenset({"connection", "content-length", "host", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. ``path`` has its query."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def writes(self) -> bool:
        """Whether it may change the server: neither a read, nor a query, nor a dry run."""
        if self.method == "GET" or self.path == "/query":
            return False
        return not (self.path == "/deployments" and self.json.get("dry_run"))


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to the client."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


Matches = Callable[[Seen], bool]
Forward = Callable[[], Awaitable[Reply]]
Fault = Callable[[Forward], Awaitable[Reply | None]]
"""Given a way to forward the request; None drops the connection."""


@dataclass
class _Rule:
    matches: Matches
    fault: Fault
    skip: int
    times: int


class Proxy:
    """Forwards everything to ``upstream`` but what a rule says; remembers what it saw."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._rules: list[_Rule] = []
        self.serving: set[asyncio.Task[None]] = set()
        """A task for each request that has not been answered yet."""
        self._closed = False
        self.seen: list[Seen] = []
        self.url = ""

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Method and path of every request that may have changed the server."""
        return [(s.method, s.path) for s in self.seen if s.writes]

    def on(self, matches: Matches, fault: Fault, *, skip: int = 0, times: int = 1) -> None:
        """Apply a fault to ``times`` matching requests, after letting ``skip`` through."""
        self._rules.append(_Rule(matches, fault, skip, times))

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(timeout=30, trust_env=False, verify=False)  # noqa: S501
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._closed = True
        await self._http.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.serving.add(task)
            task.add_done_callback(self.serving.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, httpx.ReadError):
            seen = await _read(reader)
            self.seen.append(seen)
            reply = await self.fault_for(seen)(lambda: self._forward(seen))
            if reply is not None:
                writer.write(_written(reply))
                await writer.drain()
        writer.close()

    def fault_for(self, seen: Seen) -> Fault:
        """What happens to this request: the first rule's fault, or nothing but forwarding."""
        for rule in self._rules:
            if rule.times > 0 and rule.matches(seen):
                if rule.skip == 0:
                    rule.times -= 1
                    return rule.fault
                rule.skip -= 1
        return lambda forward: forward()

    async def _forward(self, seen: Seen) -> Reply:
        if self._closed:
            raise ConnectionError("the proxy is closed")
        answer = await self._http.request(
            seen.method,
            self._upstream + seen.path,
            content=seen.body,
            headers={k: v for k, v in seen.headers.items() if k not in _HOP},
        )
        kind = answer.headers.get("content-type", "")
        return Reply(answer.status_code, answer.content, kind)


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path, headers, body)


def _written(reply: Reply) -> bytes:
    head = (
        f"HTTP/1.1 {reply.status} Made\r\nconnection: close\r\n"
        f"content-type: {reply.content_type}\r\ncontent-length: {len(reply.body)}\r\n\r\n"
    )
    return head.encode() + reply.body


# What a rule may match


def registering(seen: Seen) -> bool:
    """A registration that is not a dry run."""
    return seen.writes and (seen.method, seen.path) == ("POST", "/deployments")


def dry_run(seen: Seen) -> bool:
    """A discovery that registers nothing."""
    return not seen.writes and (seen.method, seen.path) == ("POST", "/deployments")


def listing(seen: Seen) -> bool:
    """The list of deployments, with which every look at what is registered begins."""
    return (seen.method, seen.path) == ("GET", "/deployments")


def patching(seen: Seen) -> bool:
    """A change of a service's settings."""
    return seen.method == "PATCH"


def deleting(seen: Seen) -> bool:
    """The deletion of a deployment."""
    return seen.method == "DELETE"


def scanning(seen: Seen) -> bool:
    """The grouped scan over all invocations."""
    return seen.path == "/query" and b"GROUP BY pinned_deployment_id, target" in seen.body


def counting(seen: Seen) -> bool:
    """The narrow count of what is pinned to one deployment."""
    return seen.path == "/query" and b"pinned_deployment_id IN (" in seen.body


# What it may do then


async def lost(_forward: Forward) -> Reply | None:
    """The connection breaks before the server has seen the request."""
    return None


async def answer_lost(forward: Forward) -> Reply | None:
    """The server does as asked, and the connection breaks before the answer."""
    await forward()
    return None


def answering(status: int, message: str = "made by the test") -> Fault:
    """Answer in the server's place."""

    async def fault(_forward: Forward) -> Reply | None:
        return Reply(status, json.dumps({"message": message}).encode())

    return fault


def slow(seconds: float) -> Fault:
    """Forward at once, answer late."""

    async def fault(forward: Forward) -> Reply | None:
        reply = await forward()
        await asyncio.sleep(seconds)
        return reply

    return fault


def after(hook: Callable[[], object]) -> Fault:
    """Run code of the test, then let the request through."""

    async def fault(forward: Forward) -> Reply | None:
        hook()
        return await forward()

    return fault


def changing(change: Callable[[Any], Any]) -> Fault:
    """Let the server answer, and change the JSON of its answer."""

    async def fault(forward: Forward) -> Reply | None:
        reply = await forward()
        return replace(reply, body=json.dumps(change(json.loads(reply.body))).encode())

    return fault


class Gate:
    """Holds a request until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def __call__(self, forward: Forward) -> Reply | None:
        self.reached.set()
        await self._opened.wait()
        return await forward()
