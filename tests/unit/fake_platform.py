"""A remote operator API that answers as a test says: documented answers until one is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from exporter.wire.operator import PREFIX
from tests.unit import hostile

KEY = "sm_dalp_operator_canary_0123456789"
KEPT, OLD = "dp_01kept", "dp_01old"
URL = "http://ddwf:9080/v1"
FAILED = "inv_01failed"
AT = "2026-05-09T10:07:19.000Z"
REDEPLOY, CLEANUP, RECOVER = (
    "force-redeploy",
    "cleanup-stale-deployments",
    "recover-stuck-workflow",
)


def deployment(id_: str = KEPT, url: str = URL, at: str = "2026-05-09T10:00:00.000Z") -> Any:
    return {"id": id_, "serviceUrl": url, "createdAt": at}


def failure(key: str | None = "stuck", id_: str = FAILED, at: str = AT) -> Any:
    return {
        "id": id_,
        "serviceName": "Signup",
        "serviceKey": key,
        "failedAt": at,
        "errorMessage": "TerminalError: upstream provider returned a terminal failure",
    }


def healthy() -> Any:
    """The reference's example, in its shape."""
    return {
        "ingress": {"status": "ok", "latencyMs": 12},
        "admin": {"status": "ok", "latencyMs": 9, "version": "1.4.0"},
        "deployments": {
            "status": "ok",
            "items": [deployment(), deployment(OLD, "http://ddwf:9080/v0")],
            "error": None,
        },
        "services": {"status": "ok", "items": [{"name": "Signup", "revision": 3}], "error": None},
        "invocations": {
            "status": "ok",
            "byStatus": {"invoked": 2, "suspended": 1},
            "recentFailures": [failure()],
            "error": None,
        },
    }


def refusal(status: int, code: str, **data: Any) -> hostile.Reply:
    """An error in the documented shape, which quotes the key it came with."""
    message = f"it says no to {KEY}"
    body = {"code": code, "message": message, "data": data, "requestId": "req_1"}
    return hostile.json_answer(body, status)


@dataclass
class FakePlatform:
    """Replies by the route's name; writes are done in its own books before they are answered."""

    body: Any = field(default_factory=healthy)
    replies: dict[str, hostile.Reply] = field(default_factory=dict)
    doctors: list[hostile.Reply] = field(default_factory=list)
    """Answers to the next doctor calls, instead of the body."""
    asked: list[tuple[str, Any, hostile.Request]] = field(default_factory=list)

    async def reply(self, request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        path, _, _ = request.path.partition("?")
        assert path.startswith(f"{PREFIX}/"), path
        route = path.removeprefix(f"{PREFIX}/")
        self.asked.append((route, json.loads(request.body), request))
        if route == "doctor":
            reply = self.doctors.pop(0) if self.doctors else hostile.json_answer(self.body)
        else:
            reply = self.replies.get(route) or self._done(route)
        await reply(request, writer)

    def _done(self, route: str) -> hostile.Reply:
        if route == REDEPLOY:
            return hostile.json_answer({"acknowledged": True, "deploymentId": KEPT})
        if route == CLEANUP:
            rows = self.body["deployments"]["items"]
            rows[:] = [row for row in rows if row["id"] == KEPT]
        if route == RECOVER:
            self.body["invocations"]["recentFailures"].clear()
        return hostile.json_answer({"acknowledged": True})

    def writes(self) -> list[Any]:
        """The bodies of everything but doctor calls, by route."""
        return [(route, body) for route, body, _ in self.asked if route != "doctor"]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with hostile.serving(self.reply) as server:
            yield server.url
