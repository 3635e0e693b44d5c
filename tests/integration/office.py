"""The HTTP interface over an engine in this process, on a real server: quick to open and break.

What the daemon adds (schedule, sockets, signals) is left to the tests that start one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from exporter.app.engine import Engine
from exporter.app.open import open_engine
from exporter.ledger.keys import digest_of
from exporter.metrics.exposition import Exposition, new_registry
from exporter.model.keys import Role
from exporter.model.operation import Operation
from exporter.settings.load import load
from exporter.web import ReloadResult, WebStatus, build_web
from exporter.web.api.clerk import Clerk
from exporter.web.api.desk import Desk
from exporter.web.entry.access import Access
from exporter.web.entry.keyring import Keyring
from exporter.web.entry.passwords import Passwords
from exporter.web.entry.sessions import Sessions
from exporter.wire.operator import PREFIX
from tests.doors import OPERATOR


@dataclass
class Office:
    """One engine, its application, and an operator's key."""

    engine: Engine
    http: httpx.AsyncClient

    async def post(
        self, route: str, body: object, *, key: str = OPERATOR, query: str = "", **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            f"{PREFIX}/{route}{query}", json=body, headers={"X-Api-Key": key, **sent}
        )

    async def error(
        self, status: int, route: str, body: object, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """The code and data of an error of this status, whose shape is the documented one."""
        answer = await self.post(route, body, **options)
        assert answer.status_code == status, answer.text
        found = answer.json()
        assert list(found) == ["code", "message", "data", "requestId"]
        assert found["requestId"] == answer.headers["x-request-id"]
        assert found["message"]
        return found["code"], found["data"]

    async def rows(self) -> tuple[Operation, ...]:
        """The ledger's operations, newest first."""
        rows: tuple[Operation, ...] = await self.engine.ledger.operations()
        return rows


@asynccontextmanager
async def office_at(
    folder: Path, targets: list[dict[str, object]], **settings: object
) -> AsyncIterator[Office]:
    """Open engine and application on these targets; an operator has the key ``OPERATOR``."""
    file = folder / "restate-medic.yaml"
    file.write_text(json.dumps({"targets": targets, "policies": [], **settings}))
    async with open_engine(load(file)) as engine:
        await engine.ownership.keep()
        now = engine.now()
        await engine.ledger.add_key(
            "ops", Role.OPERATOR, digest=digest_of(OPERATOR), actor="mira", now=now
        )

        async def reload() -> ReloadResult:
            return ReloadResult()

        keyring = Keyring(engine.ledger.api_keys)
        app = build_web(
            exposition=Exposition(registry=new_registry()),
            status=lambda: WebStatus(engine.now(), ready=True),
            reload=reload,
            desk=Desk(
                people=lambda: engine.people, targets=lambda: engine.backends, now=engine.now
            ),
            clerk=Clerk(
                people=lambda: engine.people,
                ledger=lambda: engine.ledger,
                now=engine.now,
                explain=lambda _target: (),
            ),
            access=Access(
                keyring=keyring,
                sessions=Sessions(keyring),
                reading_needs_key=lambda: False,
                passwords=Passwords(),
            ),
        )
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://medic", timeout=60
        ) as client:
            yield Office(engine, client)
