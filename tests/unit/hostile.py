"""A server on loopback that answers as badly as a test asks it to, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    url: str
    requests: list[Request] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serving(reply: Reply, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                server.requests.append(request)
                await reply(request, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, EOFError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server = Server(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def saying(words: bytes) -> AsyncIterator[int]:
    """Listen on a port that says these words to whatever comes first, and hangs up."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(words)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listener:
        yield int(listener.sockets[0].getsockname()[1])


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)


def raw(data: bytes, *, close: bool = True) -> Reply:
    """Write these bytes, and hang up unless told to stay."""

    async def reply(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            raise EOFError

    return reply


def answer(
    status: int = 200,
    body: bytes | str = b"{}",
    content_type: str = "application/json",
    **headers: str,
) -> Reply:
    """A well-formed answer that keeps the connection open; ``_`` in header names means ``-``."""
    data = body.encode() if isinstance(body, str) else body
    lines = {
        "content-type": content_type,
        "content-length": str(len(data)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return raw(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + data, close=False)


def json_answer(value: Any, status: int = 200, **headers: str) -> Reply:
    return answer(status, json.dumps(value), **headers)


async def hang(_: Request, __: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await asyncio.Event().wait()


def hang_up() -> Reply:
    """Take the request and close the connection without a byte."""
    return raw(b"")


def drip(data: bytes, *, every_seconds: float = 0.05) -> Reply:
    """Send the head at once and then one byte at a time: each read succeeds, the whole never."""

    async def reply(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(data)
        )
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every_seconds)

    return reply


def endless(total: int, *, chunked: bool = False) -> Reply:
    """A body of ``total`` bytes that is made while it is sent."""
    piece = b"[" * 65536

    async def reply(_: Request, writer: asyncio.StreamWriter) -> None:
        length = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % total
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + length)
        writer.write(b"\r\n\r\n")
        for _sent in range(0, total, len(piece)):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()

    return reply


def breaks_after(body: bytes, *, promised: int | None = None) -> Reply:
    """Promise more (by length, or as chunks) than is sent before the connection breaks."""
    if promised is not None:
        head = b"content-length: %d\r\n\r\n" % promised
        return raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + head + body)
    chunk = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body)
    return raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + chunk)
