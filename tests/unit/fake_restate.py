"""A Restate that answers as a test says: healthy on every route until one is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.doctor import PROBES, Probe, ProbeContext, probe_all
from exporter.model.component import Component
from exporter.model.report import Reading
from exporter.model.target import Target
from exporter.model.wanted import Wanted
from exporter.restate_api import RestateApi, connect
from exporter.transport import Transport
from tests.unit import hostile

CREATED = "2026-11-20T23:54:44.571000000Z"
LIMIT = timedelta(seconds=1.5)


def service(name: str, deployment: str = "dp_1", ty: str = "Service", **more: Any) -> Any:
    """One service as the admin API has it; `handlers` are (name, ty) pairs."""
    handlers = more.pop("handlers", [("run", None)])
    listed = [{"name": n, **({"ty": t} if t else {}), "public": True} for n, t in handlers]
    return {
        "name": name,
        "ty": ty,
        "handlers": listed,
        "deployment_id": deployment,
        "revision": 1,
        "public": True,
        "something_new": {"of": ["a", "later", "version"]},
        **more,
    }


def deployment(id_: str = "dp_1", uri: str = "http://w:9080/", **more: Any) -> Any:
    """One deployment as the admin API lists it."""
    return {
        "id": id_,
        "uri": uri,
        "protocol_type": "BidiStream",
        "http_version": "HTTP/2.0",
        "created_at": CREATED,
        "min_protocol_version": 5,
        "max_protocol_version": 7,
        "services": [{"name": "Greeter", "revision": 1}],
        **more,
    }


Rows = Callable[[str], list[dict[str, Any]]]


@dataclass
class FakeRestate:
    """Replies by (method, path without query); `queries` holds the SQL that was asked."""

    routes: dict[tuple[str, str], hostile.Reply] = field(default_factory=dict)
    rows: Rows = field(default=lambda _: [])
    queries: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        greeter = service("Greeter")
        whole = deployment() | {"services": [greeter]}
        self.routes = {
            ("GET", "/restate/health"): hostile.json_answer({"services": ["Greeter"]}),
            ("GET", "/version"): hostile.json_answer({"version": "1.7.12", "features": {}}),
            ("GET", "/cluster-health"): hostile.json_answer({"cluster_name": "c"}),
            ("GET", "/services"): hostile.json_answer({"services": [greeter]}),
            ("GET", "/deployments"): hostile.json_answer({"deployments": [deployment()]}),
            ("GET", "/deployments/dp_1"): hostile.json_answer(whole),
            ("POST", "/deployments"): hostile.json_answer({"id": "dp_1", "services": [greeter]}),
            **self.routes,
        }

    async def reply(self, request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        path = request.path.partition("?")[0]
        body = json.loads(request.body) if request.body else None
        self.calls.append((request.method, path, body))
        route = self.routes.get((request.method, path))
        if path == "/query":
            statement = str((body or {}).get("query"))
            self.queries.append(statement)
            route = route or hostile.json_answer({"rows": self.rows(statement)})
        missing = hostile.json_answer({"message": "no such thing", "restate_code": None}, 404)
        await (route or missing)(request, writer)

    @contextlib.asynccontextmanager
    async def api(self, *, node: bool = False, **options: Any) -> AsyncIterator[RestateApi]:
        async with hostile.serving(self.reply) as server, Transport() as transport:
            node_url = server.url if node else None
            yield connect_to(server.url, transport, node_url=node_url, **options)


def connect_to(
    url: str, transport: Transport, ingress_url: str | None = None, **options: Any
) -> RestateApi:
    """Connect with limits that suit a test."""
    return connect(
        transport,
        ingress_url=ingress_url or url,
        admin_url=url,
        **({"timeout": LIMIT, "query_timeout": LIMIT, "discovery_timeout": LIMIT} | options),
    )


async def read_all(
    api: RestateApi,
    target: Target | None = None,
    due: Any = tuple(Component),
    probes: dict[Component, Probe] | None = None,
    wanted: Wanted | None = None,
    **options: Any,
) -> dict[Component, Reading]:
    """Probe what is due and return the readings by component."""
    context = ProbeContext(api, target or Target("t"), wanted=lambda: wanted or Wanted())
    readings = await probe_all(
        probes or PROBES, due, context=context, clock=lambda: datetime.now(UTC), **options
    )
    return {reading.component: reading for reading in readings}
