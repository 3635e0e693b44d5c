"""Operations on a real Restate in this process: the wiring of a command, without starting one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from exporter.app.engine import Engine
from exporter.app.open import open_engine
from exporter.backends.backend import Backend
from exporter.model.component import Component
from exporter.model.operation import ItemOutcome, Operation, Plan, Request
from exporter.remediate.preflight import context_of
from exporter.remediate.verification import Verification
from exporter.remedies.remedy import RemedyContext
from exporter.settings.load import load
from lab import Restate, wait_until
from tests.medic import target_of


@dataclass
class Surgery:
    """One target, and a person who operates on it."""

    engine: Engine
    backend: Backend

    @property
    def context(self) -> RemedyContext:
        context = context_of(self.backend, self.engine.fleet, self.engine.now)
        assert isinstance(context, RemedyContext)
        return context

    def request(self, remedy: str, allow: Iterable[str] = (), /, **arguments: object) -> Request:
        return Request(
            target=self.backend.target.name,
            remedy=remedy,
            arguments=arguments,
            source="cli",
            actor="mira",
            allow=frozenset(allow),
        )

    async def plan(self, remedy: str, allow: Iterable[str] = (), /, **arguments: object) -> Plan:
        request = self.request(remedy, allow, **arguments)
        return await self.backend.remedies[remedy].preflight(self.context, request)

    async def perform(
        self,
        remedy: str,
        allow: Iterable[str] = (),
        /,
        within: timedelta = timedelta(seconds=10),
        **arguments: object,
    ) -> Operation:
        await self.engine.read(self.backend.target.name, frozenset(Component))
        return await self.engine.remediator.perform(
            self.request(remedy, allow, **arguments), self.backend, Verification(within=within)
        )

    async def items(self, operation: Operation) -> dict[str, str]:
        """What became of each item, as the ledger has it."""
        found = await self.engine.ledger.items(operation.id)
        return {key: item.outcome if item else "" for key, item in found}

    async def count(self) -> int:
        return len(await self.engine.ledger.operations())


@dataclass
class Hand:
    """A guard without a ledger, for acting on a plan that has grown old."""

    operation_id: str = "op_1"
    steps: list[str] = field(default_factory=list)
    items: list[ItemOutcome] = field(default_factory=list)

    async def before_write(self, step: str, *, completes: bool = False) -> None:
        del completes
        self.steps.append(step)

    async def item_done(self, outcome: ItemOutcome) -> None:
        self.items.append(outcome)


@asynccontextmanager
async def surgery(
    folder: Path, restate: Restate, *, admin_url: str | None = None, **settings: object
) -> AsyncIterator[Surgery]:
    """Open the engine on one Restate; ``admin_url`` leads through a toll gate."""
    target = target_of(restate)
    if admin_url is not None:
        target["admin_url"] = admin_url
    config = folder / "restate-medic.yaml"
    config.write_text(json.dumps({"targets": [target], "policies": [], **settings}))
    async with open_engine(load(config)) as engine:
        await engine.ownership.keep()  # as the daemon does: policies act only for who owns
        yield Surgery(engine, engine.backends["prod"])


def send(
    restate: Restate, service: str, body: str, key: str | None = None, handler: str = "run"
) -> str:
    """Hand a call in; returns the invocation's id."""
    answer = restate.call(service, handler, body, key=key, send=True)
    return str(answer.json()["invocationId"])


def until(restate: Restate, invocation_id: str, status: str) -> str:
    """Wait for an invocation's status; returns its id."""
    wait_until(lambda: restate.status(invocation_id) == status, what=f"it to be {status}")
    return invocation_id


def row_of(restate: Restate, invocation_id: str) -> dict[str, object]:
    """The invocation as the server has it; empty when there is none."""
    sql = f"SELECT * FROM sys_invocation_status WHERE id = '{invocation_id}'"
    return dict(*restate.query(sql)) if restate.query(sql) else {}
