"""Writes to single invocations, and to the state of a key. When to write is decided elsewhere.

Each documented refusal is a value, because the caller has to act on it; whatever leaves the outcome
unknown (a 503, a broken connection) is raised as CallFailedError. The answers, live on 1.6.2 and
1.7.12:

| call | answers |
|---|---|
| kill | 200; 409 already completed |
| cancel | 202; 409 already completed. It wakes a paused invocation, which may pause again |
| pause | 202, and 200 for what is paused already; 409 completed |
| resume | 200, also for what is not paused; 409 completed, or not free to change its deployment |
| purge | 200; 409 not yet completed |
| restart-as-new | 200 with the new id; 409 still running; 422 workflows |

All: 404 no such invocation, 400 malformed; resume also 425 for what is inboxed or scheduled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from exporter.restate_api.admin import segment
from exporter.restate_api.bodies import Body, PathSafe, parse
from exporter.transport import Answer, HttpClient


class Said(StrEnum):
    """What Restate made of a write."""

    DONE = "done"
    ACCEPTED = "accepted"
    """It will be done, or for a cancellation: the invocation was told."""
    GONE = "gone"
    CONFLICT = "conflict"
    """It is in another status than the write needs."""
    TOO_EARLY = "too_early"
    INVALID = "invalid"
    """Restate cannot do it with these parameters, such as an incompatible deployment."""
    UNSUPPORTED = "unsupported"


_BY_STATUS = MappingProxyType(
    {
        200: Said.DONE,
        202: Said.ACCEPTED,
        400: Said.INVALID,
        404: Said.GONE,
        409: Said.CONFLICT,
        422: Said.UNSUPPORTED,
        425: Said.TOO_EARLY,
    }
)
_OK = frozenset({Said.DONE, Said.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Written:
    """Restate's answer to one write; ``message`` is its own sentence when it refused."""

    said: Said
    message: str = ""
    new_id: str | None = None
    """Of a restart: the new invocation."""

    @property
    def ok(self) -> bool:
        """Whether it was done or accepted."""
        return self.said in _OK


class _Restarted(Body):
    new_invocation_id: PathSafe


class Lifecycle:
    """Speaks to ``{admin_url}/invocations`` and ``…/services/{name}/state``."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def kill(self, invocation_id: str) -> Written:
        """Write: end it now, its children too, without compensation (restate-facts)."""
        return await self._patch(invocation_id, "kill")

    async def cancel(self, invocation_id: str) -> Written:
        """Write: ask its code to end; what runs on a dead endpoint never does."""
        return await self._patch(invocation_id, "cancel")

    async def pause(self, invocation_id: str) -> Written:
        """Write: stop trying until somebody resumes it."""
        return await self._patch(invocation_id, "pause")

    async def resume(self, invocation_id: str, *, deployment: str = "keep") -> Written:
        """Write: try it again now, on the deployment it has, the ``latest``, or one by its id."""
        return await self._patch(invocation_id, f"resume?deployment={segment(deployment)}")

    async def purge(self, invocation_id: str) -> Written:
        """Write: forget a completed invocation; of a workflow's run also its state and promises."""
        return await self._patch(invocation_id, "purge")

    async def restart_as_new(self, invocation_id: str) -> Written:
        """Write: run a completed one again from the start, as a new invocation."""
        answer = await self._call(invocation_id, "restart-as-new")
        if answer.status not in {200, 202}:
            return _written(answer)
        new_id = parse(_Restarted, answer).new_invocation_id
        return Written(_BY_STATUS[answer.status], new_id=new_id)

    async def clear_state(self, service: str, key: str) -> None:
        """Write: leave a key without state. Asynchronous: read again to see it done.

        Live 1.6.2 and 1.7.12 answer 202 even for a service that does not exist.
        """
        await self._http.request(
            "POST",
            f"/services/{segment(service)}/state",
            json={"object_key": key, "new_state": {}},
            expect=(200, 202),
        )

    async def _patch(self, invocation_id: str, verb: str) -> Written:
        return _written(await self._call(invocation_id, verb))

    async def _call(self, invocation_id: str, verb: str) -> Answer:
        path = f"/invocations/{segment(invocation_id)}/{verb}"
        return await self._http.request("PATCH", path, expect=tuple(_BY_STATUS))


def _written(answer: Answer) -> Written:
    said = _BY_STATUS[answer.status]
    if said in _OK:
        return Written(said)
    # A proxy's error page says nothing about the invocation.
    if not answer.headers.get("content-type", "").startswith("application/json"):
        raise answer.failure()
    return Written(said, answer.remote_error()[0])
