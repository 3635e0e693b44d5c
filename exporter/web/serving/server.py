"""Serving the application: a socket of our own, uvicorn inside our event loop, a graceful stop.

Signals belong to the daemon; uvicorn handles none here.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from exporter.model.errors import MedicError
from exporter.web.serving.address import parse_address

_Place = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
"""What ``getaddrinfo`` gives; the last one only on Pythons without IPv6."""
_BACKLOG = 512
_KEEP_ALIVE_SECONDS = 75
"""Longer than the usual scrape interval, so that Prometheus keeps its connection."""


class ListenError(MedicError):
    """The address cannot be listened on. ``str()`` is the line to print; exit 1."""


def listen(address: str) -> socket.socket:
    """Bind and listen on ``host:port``, ``:port`` (every address) or ``[v6]:port``.

    Done before anything else starts: ConfigurationError when the address cannot be read,
    ListenError when it is taken or not ours.
    """
    host, port = parse_address(address)
    try:
        if not host:
            return _everywhere(port)
        family, _, _, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _bound(family, place)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {_mend(error, port)}") from error


def url_of(sock: socket.socket, *, tls: bool = False) -> str:
    """The URL under which a listening socket can be reached from this machine."""
    host, port = sock.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - a comparison
        host = "localhost"
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class WebServer:
    """Serves an application on a listening socket from ``start`` to ``stop``."""

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        stop_within_seconds: int = 5,
    ) -> None:
        self.url = url_of(sock, tls=tls is not None)
        self._sock = sock
        self._server = _Server(
            uvicorn.Config(
                app,
                access_log=False,
                backlog=_BACKLOG,
                http="h11",
                lifespan="off",
                log_config=None,
                proxy_headers=False,  # the peer is who connects: reload relies on it
                server_header=False,
                timeout_graceful_shutdown=stop_within_seconds,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                ws="none",
            ),
            tls,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once requests are answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._sock]), name="web")
        answering = asyncio.create_task(self._server.answering.wait())
        try:
            await asyncio.wait({self._task, answering}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
        if self._task.done():
            self._task.result()

    async def wait(self) -> None:
        """Return when the server has ended; raise what ended it."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Accept nothing more, let running requests finish for a while, and close."""
        self._server.should_exit = True
        if self._task is None:
            self._sock.close()
        else:
            await self._task


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, telling when it answers."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._tls = tls
        self.answering = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.ssl = self._tls  # it is loaded by now, and knows of files only
        await super().startup(sockets)
        self.answering.set()


def _everywhere(port: int) -> socket.socket:
    """IPv6 and IPv4 on one socket; IPv4 alone where there is no IPv6."""
    try:
        return _bound(socket.AF_INET6, ("::", port))
    except OSError as error:
        if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            raise
    return _bound(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - what was asked for


def _bound(family: int, place: _Place) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only = 0 if place[0] == "::" else 1
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.bind(place)
        sock.listen(_BACKLOG)  # two sockets may bind one port; only one may listen
        sock.setblocking(False)  # noqa: FBT003 - the standard library's way
    except OSError:
        sock.close()
        raise
    return sock


def _mend(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} is taken; stop what uses it or choose another "
                "with --web.listen-address"
            )
        case errno.EACCES:
            return f"not allowed to use port {port}; choose one above 1023"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case _:
            return error.strerror or str(error)
