"""The engine in this process, on a real server: what a person and what a policy ask of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.app.engine import Engine
from exporter.app.open import open_engine
from exporter.model.component import Component
from exporter.model.errors import RefusedError
from exporter.model.operation import Budget, Operation, Plan, PolicyRef, Request, Window
from exporter.remediate.preflight import context_of, preview
from exporter.remediate.verification import Verification
from exporter.remedies.remedy import RemedyContext
from exporter.settings.load import Configuration, load
from exporter.settings.schema import Settings
from lab import Restate, RestateServer, ServiceSpec, Worker
from tests.medic import target_of

NAME = "prod"
PERSON = "mira"
POLICY = PolicyRef("heal", "abc123")
_ROOMY = Budget(timedelta(0), (Window("target", 1_000, timedelta(hours=1)),))


@dataclass(frozen=True, slots=True)
class Desk:
    """One engine on one target, and the requests that are put before it."""

    engine: Engine
    folder: Path

    def by_person(
        self, remedy: str, *, allow: Iterable[str] = (), reason: str = "", **arguments: Any
    ) -> Request:
        return Request(
            target=NAME,
            remedy=remedy,
            arguments=arguments,
            source="cli",
            actor=PERSON,
            reason=reason,
            allow=frozenset(allow),
        )

    def by_policy(
        self,
        remedy: str,
        *,
        allow: Iterable[str] = (),
        values: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> Request:
        """``allow`` is something a policy cannot have; a request that claims it gets nothing."""
        return Request(
            target=NAME,
            remedy=remedy,
            arguments=arguments,
            source="policy",
            actor=f"policy:{POLICY.name}",
            policy=POLICY,
            values=values or {},
            allow=frozenset(allow),
            budget=_ROOMY,
        )

    async def perform(
        self, request: Request, *, within: timedelta = timedelta(seconds=30)
    ) -> Operation:
        """Carry it out as the daemon and the commands do."""
        backend = self.engine.backends[NAME]
        return await self.engine.remediator.perform(request, backend, Verification(within=within))

    async def refused(self, request: Request) -> RefusedError:
        """Carry it out, and expect that its preflight refuses."""
        with pytest.raises(RefusedError) as caught:
            await self.perform(request)
        return caught.value

    async def plan(self, request: Request) -> Plan:
        """What would be done: reads only."""
        backend = self.engine.backends[NAME]
        return await preview(request, backend, fleet=self.engine.fleet, now=self.engine.now)

    def context(self) -> RemedyContext:
        """What a remedy works with, to drive its parts one by one."""
        context = context_of(self.engine.backends[NAME], self.engine.fleet, self.engine.now)
        assert isinstance(context, RemedyContext)
        return context

    async def read(self) -> None:
        """Probe every component once, as a round does."""
        await self.engine.read(NAME, frozenset(Component))

    async def rows(self) -> tuple[Operation, ...]:
        """The ledger's operations, newest first."""
        rows: tuple[Operation, ...] = await self.engine.ledger.operations()
        return rows

    async def row(self) -> Operation:
        """The only operation of the ledger."""
        (operation,) = await self.rows()
        return operation

    def stored(self) -> bytes:
        """Every byte that the ledger left on disk."""
        return b"".join(p.read_bytes() for p in sorted(self.folder.rglob("*.db*")))


@asynccontextmanager
async def desk_at(folder: Path, restate: Restate, **settings: Any) -> AsyncIterator[Desk]:
    """Open an engine on a configuration in ``folder``; two on one folder share the ledger.

    ``settings`` are keys of the target (``admin_url`` is a proxy's, if one stands before it), or
    of the whole configuration. Calls have much time, since a proxy's rules may take some of it.
    """
    async with open_engine(_written(folder, restate, settings)) as engine:
        await engine.ownership.keep()  # as the daemon does: policies act only for who owns
        yield Desk(engine, folder)


def _written(folder: Path, restate: Restate, settings: dict[str, Any]) -> Configuration:
    file = folder / "restate-medic.yaml"
    whole = {k: v for k, v in settings.items() if k in Settings.model_fields}
    target = target_of(restate, NAME, **{k: v for k, v in settings.items() if k not in whole})
    file.write_text(json.dumps({"targets": [target], "timeout": "60s", **whole}))
    return load(file)


@dataclass
class Yard:
    """One server and one worker for a whole module, whose deployments do not meet.

    Each path of the worker's URL is a deployment of its own; the newest serves.
    """

    restate: RestateServer
    worker: Worker
    given: int = 0

    def new_url(self) -> str:
        """A URL of the worker that nobody used before, as the server will show it."""
        self.given += 1
        return f"{self.worker.url}/v{self.given}"


@contextmanager
def open_yard(*services: ServiceSpec) -> Iterator[Yard]:
    """Start both, and stop both."""
    with RestateServer() as restate, Worker(services) as worker:
        yield Yard(restate, worker)


def state_of(restate: Restate) -> list[Any]:
    """Everything that is registered, in an order of our own: the server's changes."""
    services = restate.services()
    for service in services:
        service["handlers"].sort(key=lambda handler: str(handler["name"]))
    deployments = restate.deployments()
    for deployment in deployments:
        deployment["services"].sort(key=lambda service: str(service["name"]))
    return [
        sorted(deployments, key=lambda d: str(d["id"])),
        sorted(services, key=lambda s: str(s["name"])),
        restate.exposed(),
    ]


@contextmanager
def nothing_changes(restate: Restate) -> Iterator[None]:
    """Expect what is registered to be the same afterwards, as the server itself tells."""
    before = state_of(restate)
    yield
    assert state_of(restate) == before
