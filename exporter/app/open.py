"""Opens everything in order, and closes it in reverse."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from exporter.alertmanager import AlertWatch
from exporter.app.build import Built, build, build_backends
from exporter.app.engine import Engine, Wake
from exporter.fleet import Fleet
from exporter.ledger.gateway import Ledger
from exporter.model.component import Component
from exporter.model.message import Receipt
from exporter.model.operation import Operation
from exporter.model.report import Report
from exporter.notify import Notifier
from exporter.ownership import Ownership
from exporter.remediate.execution import OnClosed
from exporter.remediate.remediator import Remediator
from exporter.remediate.verification import Verifier
from exporter.settings.load import Configuration
from exporter.transport import Transport

_LAST_MESSAGES_SECONDS = 5.0
"""For so long closing tries to deliver what waits to be told."""


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def owner_name() -> str:
    """Who holds a lease: host, process, and a part that no restart repeats."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"


@asynccontextmanager
async def open_engine(  # noqa: PLR0913 - one argument an event that somebody may listen to
    configuration: Configuration,
    *,
    with_ledger: bool = True,
    with_policies: bool = True,
    ledger_required: bool = True,
    wake: Wake | None = None,
    on_closed: OnClosed = lambda _operation, _request: None,
    on_proposed: Callable[[Operation], None] = lambda _operation: None,
    on_ledger_failure: Callable[[], None] = lambda: None,
    on_receipt: Callable[[Receipt], None] = lambda _receipt: None,
    on_alerts: Callable[[datetime | None], None] = lambda _heard_at: None,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Engine]:
    """Open everything, and close it in reverse.

    Without ``wake`` (a command, no schedule) a reading that is asked for is taken at once, and no
    heartbeat is made. With
    ``ledger_required`` false an unavailable ledger is tried again later instead of raising.
    """
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(Transport())
        notifier = Notifier(transport=transport, on_receipt=on_receipt)
        stack.push_async_callback(notifier.close, _LAST_MESSAGES_SECONDS)
        tell, beats = notifier.deliver, wake is not None
        built = (
            build(configuration, transport, tell=tell, beats=beats)
            if with_policies
            else Built(configuration, build_backends(configuration, transport, tell=tell), (), {})
        )
        notifier.configure(built.destinations)
        alerts = AlertWatch(now=now, on_heard=on_alerts)
        alerts.configure(built.alertmanager)
        fleet = Fleet()
        ledger: Ledger | None = None
        if with_ledger:
            ledger = await Ledger.open(
                configuration.storage_url,
                on_failure=on_ledger_failure,
                required=ledger_required,
                keys=configuration.ledger_keys,
            )
            stack.push_async_callback(ledger.close)
        reader = _Reader()
        wake = wake or reader.wake
        verifier = Verifier(fleet=fleet, now=now, wake=wake)
        owner = owner_name()
        remediator = ownership = None
        if ledger is not None:
            lease = configuration.settings.lease
            ownership = keeping = Ownership(ledger=ledger, owner=owner, lease=lease)
            remediator = Remediator(
                ledger=ledger,
                fleet=fleet,
                verifier=verifier,
                owner=owner,
                lease=lease,
                fence=lambda: keeping.fence,
                now=now,
                on_closed=on_closed,
                on_proposed=on_proposed,
            )
        engine = Engine(
            built=built,
            transport=transport,
            notifier=notifier,
            alerts=alerts,
            fleet=fleet,
            ledger=ledger,
            remediator=remediator,
            ownership=ownership,
            wake=wake,
            owner=owner,
            now=now,
            beats=beats,
        )
        stack.callback(engine.close)
        reader.engine = engine
        stack.push_async_callback(reader.close)
        yield engine


class _Reader:
    """Takes readings that are asked for while no schedule runs."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self._tasks: set[asyncio.Task[Report]] = set()

    def wake(self, name: str, components: frozenset[Component]) -> None:
        if self.engine is not None:
            task = asyncio.ensure_future(self.engine.read(name, components))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
