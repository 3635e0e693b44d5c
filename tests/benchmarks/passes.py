"""The measured side of the doctor benchmark: passes over one Restate, as many as stdin asks for.

A process of its own, so that its CPU time is that of the production code path and nothing else:
probe, merge, derive, and with ``render`` what a round then exposes.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from exporter.backends.backend import Backend
from exporter.backends.direct import Connection, build_direct
from exporter.fleet import Fleet
from exporter.metrics import Exposition, Instruments, new_registry
from exporter.model.component import RECOVERY_API_COMPONENTS, Status
from exporter.model.derive import derive
from exporter.model.target import Target
from exporter.settings.secrets import TokenSource
from exporter.transport import Transport


class Passes:
    """One target, read again and again."""

    def __init__(self) -> None:
        registry = new_registry()
        self._target = Target("measured")
        self._instruments = Instruments(
            registry=registry, exposition=Exposition(registry=registry), version="benchmark"
        )
        self._instruments.configure([self._target], {}, now=datetime.now(UTC))
        self._fleet = Fleet()

    async def backend(self, transport: Transport, ingress_url: str, admin_url: str) -> Backend:
        """The production backend of the target."""
        connection = Connection(
            ingress_url=ingress_url,
            admin_url=admin_url,
            ingress_token=TokenSource(None),
            admin_token=TokenSource(None),
            timeout=timedelta(seconds=10),
        )
        return build_direct(self._target, connection, transport)

    async def run(self, backend: Backend, count: int, *, render: bool) -> None:
        """Make passes; RuntimeError when a component is not ok, which would measure nothing."""
        for _ in range(count):
            readings = await backend.probe(RECOVERY_API_COMPONENTS)
            if any(reading.status is not Status.OK for reading in readings):
                raise RuntimeError(f"not ok: {readings}")
            now = datetime.now(UTC)
            report = self._fleet.merge(self._target, readings, now=now)
            findings = derive(report, self._target, now=now)
            if render:
                self._instruments.round_ended(report, findings, (), readings, now=now)


async def _serve(ingress_url: str, admin_url: str) -> None:
    passes = Passes()
    async with Transport() as transport:
        backend = await passes.backend(transport, ingress_url, admin_url)
        while line := await asyncio.to_thread(sys.stdin.readline):
            mode, count = line.split()
            await passes.run(backend, int(count), render=mode == "render")
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:3]))
