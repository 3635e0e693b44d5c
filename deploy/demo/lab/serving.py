"""Serves an ASGI application over HTTP/2 until a signal says stop.

Restate speaks HTTP/2 without TLS to its workers, so the server is hypercorn. What is served is
left to the caller.
"""

from __future__ import annotations

import asyncio
import signal

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from restate.server import install_shutdown_hook

from lab.ports import LOOPBACK


async def serve(app: ASGIFramework, port: int, address: str = LOOPBACK) -> None:
    """Serve `app` on that port; return after SIGINT or SIGTERM."""
    config = Config()
    config.bind = [f"{address}:{port}"]
    # Restate keeps a stream open for each running invocation and sends it again elsewhere.
    config.graceful_timeout = 0.2
    await hypercorn_serve(app, config, shutdown_trigger=_until_told_to_stop)


async def _until_told_to_stop() -> None:
    # restate-sdk takes SIGTERM for itself, to let go of the streams of running invocations, and
    # does not end the process: so we stand in its row instead of replacing its handler. It knows
    # nothing of Ctrl-C, which we therefore turn into SIGTERM.
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    install_shutdown_hook(loop, stop.set, signal.SIGTERM)
    install_shutdown_hook(loop, lambda: signal.raise_signal(signal.SIGTERM), signal.SIGINT)
    await stop.wait()
