"""The daemon as a process: everything is started in order, and stopped in reverse."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from exporter.app.open import open_engine
from exporter.daemon.daemon import Daemon
from exporter.settings.load import Configuration
from exporter.web.app import build_web
from exporter.web.serving.front import Front
from exporter.web.serving.server import WebServer, listen

_COLLECT_AFTER = 5_000
"""New objects; Python's default is 700."""
_log = structlog.get_logger(__name__)


def settle_memory() -> None:
    """Spare the garbage collector what was imported, and have it look less often.

    A round makes thousands of small objects that live until the next one; with Python's defaults a
    third of deciding was spent on looking through all modules for garbage (``make bench``).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 10, 10)


async def run_daemon(configure: Callable[[], Configuration]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    ConfigurationError when what ``configure`` loads cannot be used, ListenError when the address
    is taken: nothing was started then.
    """
    daemon = Daemon(configure)
    daemon.listen_to_signals()
    settle_memory()
    configuration = configure()
    sock = listen(configuration.settings.web_listen_address)
    async with AsyncExitStack() as stack:
        stack.callback(sock.close)
        engine = await stack.enter_async_context(
            open_engine(
                configuration,
                ledger_required=False,
                wake=daemon.wake,
                on_closed=daemon.bulletin.operation_closed,
                on_proposed=daemon.bulletin.operation_proposed,
                on_ledger_failure=daemon.instruments.ledger_failed,
                on_receipt=daemon.instruments.told,
                on_alerts=daemon.instruments.alertmanager_heard,
            )
        )
        daemon.take(engine)
        stack.push_async_callback(daemon.stop)
        front = Front(configuration.web)
        daemon.show_behind(front)
        web = WebServer(
            build_web(
                exposition=daemon.exposition,
                status=daemon.status,
                reload=daemon.reload,
                desk=daemon.desk(),
                clerk=daemon.clerk(),
                access=daemon.access(front),
                headers=lambda: front.headers,
                telemetry_path=configuration.settings.web_telemetry_path,
            ),
            sock,
            tls=front.tls,
        )
        await web.start()
        stack.push_async_callback(web.stop)
        _log.info("web.listening", url=web.url)
        await daemon.start()
        stopped = asyncio.ensure_future(daemon.stopped.wait())
        stack.callback(stopped.cancel)
        await asyncio.wait(
            {stopped, asyncio.ensure_future(web.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        await daemon.drain()
    return 0
