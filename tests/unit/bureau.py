"""The read and control API over a real ledger, one fake target and time that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from exporter.explain import Acting, Explanation, explain
from exporter.fleet import Fleet
from exporter.ledger.gateway import Ledger
from exporter.metrics.exposition import Exposition, new_registry
from exporter.model.component import Component
from exporter.model.decision import Mode
from exporter.model.operation import Operation
from exporter.model.target import Target
from exporter.people import People
from exporter.policy.policy import Policy
from exporter.surroundings import Surroundings
from exporter.web import ReloadResult, StandingDecision, TargetStatus, WebStatus, build_web
from exporter.web.api.clerk import Clerk
from tests.doors import OPERATOR, open_doors
from tests.unit.fakes import Clock, FakeTarget, Ward, ledger_at
from tests.unit.pages import asked
from tests.unit.policy_scenes import NOW, policy


@dataclass
class Bureau:
    """What is behind the routes, and whoever asks. ``late`` components never answer a check."""

    ledger: Ledger
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    policies: tuple[Policy, ...] = field(default_factory=lambda: (policy(name="heal"),))
    more_targets: tuple[Target, ...] = ()
    decisions: tuple[StandingDecision, ...] = ()
    max_mode: Mode = Mode.ENFORCE
    late: set[Component] = field(default_factory=set)
    woken: list[tuple[str, frozenset[Component]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = Fleet()
        self.target = FakeTarget(self.clock)
        remediator = Ward(self.ledger).remediator
        self.surroundings = Surroundings(
            ledger=self.ledger,
            remediator=remediator,
            ownership=Acting(),
            boot=self.clock.monotonic,
        )
        self.people = People(
            backends=lambda: {self.target.target.name: self.target.backend},
            remediator=remediator,
            ledger=self.ledger,
            fleet=self.fleet,
            wake=self._wake,
            now=self.clock.now,
        )
        self.people.patience_seconds = 0.05
        self.app = build_web(
            exposition=Exposition(registry=new_registry()),
            status=self.status,
            reload=self._reload,
            version="1",
            **open_doors()
            | {
                "clerk": Clerk(
                    people=lambda: self.people,
                    ledger=lambda: self.ledger,
                    now=self.clock.now,
                    explain=self._explain,
                )
            },
        )

    def _wake(self, name: str, components: frozenset[Component]) -> None:
        self.woken.append((name, components))
        self.clock.advance(0.001)  # a reading begins after what asked for it
        readings = self.target.readings(*components - self.late)
        self.fleet.merge(self.target.target, readings, now=self.clock.now())

    def _explain(self, name: str) -> tuple[Explanation, ...]:
        target = next(row.target for row in self.status().targets if row.target.name == name)
        return explain(
            self.policies,
            target,
            self.fleet.report(name),
            self.surroundings,
            max_mode=self.max_mode,
            ledger_ok=True,
            now=self.clock.now(),
        )

    async def _reload(self) -> ReloadResult:
        return ReloadResult()

    def status(self) -> WebStatus:
        targets = (self.target.target, *self.more_targets)
        return WebStatus(
            self.clock.now(),
            ready=True,
            targets=tuple(TargetStatus(t, self.fleet.report(t.name)) for t in targets),
            decisions=self.decisions,
            policies=self.policies,
            max_mode=self.max_mode,
            plans=self.ledger.standing.proposals,
            pauses=self.ledger.standing.orders.pauses,
        )

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["x-api-key"] = key
        json: dict[str, Any] = {} if body is None else {"json": body}
        transport = httpx.ASGITransport(self.app, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://medic") as client:
            return await client.request(method, f"/api/v1/{path}", headers=sent, **json)

    async def browse(
        self, path: str, fields: dict[str, str] | None = None, *, cookie: str = "", **more: str
    ) -> httpx.Response:
        """What a browser gets for a page, or for a form that it sends."""
        sent = {"cookie": cookie, "origin": "http://medic"} | more
        method = "GET" if fields is None else "POST"
        return await asked(self.app, method, path, fields, **sent)

    async def log_in(self, key: str = OPERATOR) -> str:
        """The cookie that a browser sends from now on."""
        answer = await self.browse("/login", {"key": key})
        assert answer.status_code == 303, answer.text
        cookie: str = answer.headers["set-cookie"]
        return cookie.partition(";")[0]

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def order(
        self, method: str, path: str, body: object = None, *, status: int = 200, **headers: str
    ) -> Any:
        """As an operator; the body of the answer, whose status is this one."""
        answer = await self.ask(method, path, body, key=OPERATOR, **headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def rows(self) -> tuple[Operation, ...]:
        """The ledger's operations, newest first."""
        return await self.ledger.operations()


@asynccontextmanager
async def bureau_at(folder: Path) -> AsyncIterator[Bureau]:
    async with ledger_at(folder) as ledger:
        yield Bureau(ledger)
