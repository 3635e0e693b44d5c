"""The heartbeat's invocations: handing one in, waiting for its end, finding those of before.

The only writes beside those of remedies. What the ingress answers, live on 1.6.2 and 1.7.12:

| call | answers |
|---|---|
| ``.../send`` | 202 with the id and ``Accepted``, or ``PreviouslyAccepted`` for a name it knows |
| the same | 404 no such service or handler; 400 not public, or no such input; no ``x-restate-id`` |
| ``attach`` | the invocation's own status and body, with ``x-restate-id``; 404 when it is gone |

A workflow's run takes no idempotency key (400): its own key is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from pydantic import AwareDatetime

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.model.views import COMPLETED, ServiceShape
from exporter.restate_api.admin import segment
from exporter.restate_api.bodies import Body, PathSafe, parse
from exporter.restate_api.invocations import TEXT_LENGTH
from exporter.restate_api.query import Query, literal
from exporter.transport import HttpClient, clean_text

OBJECT_KEY: Final = "restate-medic"
"""Of a virtual object one key is used for all beats, so that each leaves no state of its own."""
_ID_HEADER = "x-restate-id"
_FRESH = "Accepted"
_ANY_STATUS = tuple(range(200, 600))
_RESULT_MAX_BYTES = 1024 * 1024
_MOST_KNOWN = 50


class NotRegisteredError(CallFailedError):
    """The service or handler is not registered, so that nothing was started."""


class UnknownBeatError(CallFailedError):
    """The ingress knows no such invocation. Whether there is one, only the admin API can say."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An invocation that was handed in. ``fresh`` is false for one that was there before."""

    id: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class KnownBeat:
    """An invocation of an earlier beat that the server still has."""

    id: str
    name: str
    began_at: datetime
    ended_at: datetime | None
    """None while it is not completed."""
    failure: str | None


class _Accepted(Body):
    invocationId: PathSafe  # noqa: N815 - as the ingress spells it
    status: str


class _BeatRow(Body):
    id: PathSafe
    name: str
    status: str
    created_at: AwareDatetime
    modified_at: AwareDatetime
    completion_result: str | None = None
    failure: str = ""


class Beats:
    """Speaks to the ingress; questions go to the admin API. Each raises CallFailedError."""

    def __init__(self, ingress: HttpClient, query: Query) -> None:
        self._ingress = ingress
        self._query = query

    async def send(
        self,
        shape: ServiceShape,
        handler: str,
        name: str,
        *,
        timeout: timedelta,  # noqa: ASYNC109 - of the call, applied below
    ) -> Sent:
        """Write: hand in the invocation of that name, or find that it was handed in before.

        NotRegisteredError when there is no such service or handler. An error with ``sent`` true
        leaves open whether it was started; the same call tells.
        """
        by_key = runs_once(shape, handler)
        key = {"workflow": name, "object": OBJECT_KEY}.get(shape.type)
        parts = [shape.name, *([key] if key is not None else []), handler]
        path = "".join(f"/{segment(part)}" for part in parts)
        answer = await self._ingress.request(
            "POST",
            f"{path}/send",
            headers={} if by_key else {"idempotency-key": name},
            timeout=timeout,
            expect=(200, 202, 404),
        )
        if answer.status == HTTPStatus.NOT_FOUND:
            said, _ = answer.remote_error()
            raise NotRegisteredError(
                Reason.NOT_REGISTERED, said or f"{answer.place}: answered 404", http_status=404
            )
        accepted = parse(_Accepted, answer)
        return Sent(accepted.invocationId, accepted.status == _FRESH)

    async def failure_of(self, invocation_id: str, *, timeout: timedelta) -> str | None:  # noqa: ASYNC109 - as above
        """Wait for its end: None when it succeeded, else what it failed with.

        CallFailedError with ``timeout`` when it has not ended by then, UnknownBeatError when it is
        not there.
        """
        answer = await self._ingress.request(
            "GET",
            f"/restate/invocation/{segment(invocation_id)}/attach",
            timeout=timeout,
            max_bytes=_RESULT_MAX_BYTES,
            expect=_ANY_STATUS,
        )
        if answer.headers.get(_ID_HEADER) is None:
            # From the ingress, or a proxy: not the invocation's own end.
            error = answer.failure()
            if answer.status == HTTPStatus.NOT_FOUND:
                raise UnknownBeatError(error.reason, str(error), http_status=answer.status)
            raise error
        if answer.status < HTTPStatus.BAD_REQUEST:
            return None
        said, _ = answer.remote_error()
        return f"[{answer.status}] {said}" if said else f"[{answer.status}]"

    async def known(self, shape: ServiceShape, handler: str, prefix: str) -> tuple[KnownBeat, ...]:
        """Those whose name begins so: first what is outstanding, then the newest. Reads them all.

        As long as the server keeps them: a day, unless the service says otherwise.
        """
        column = "target_service_key" if runs_once(shape, handler) else "idempotency_key"
        rows = await self._query.rows(
            f"SELECT id, {column} AS name, status, created_at, modified_at, completion_result, "  # noqa: S608 - literal()
            f"substr(completion_failure, 1, {TEXT_LENGTH}) AS failure FROM sys_invocation_status "
            f"WHERE target_service_name = {literal(shape.name)} "
            f"AND target_handler_name = {literal(handler)} "
            f"AND starts_with({column}, {literal(prefix)}) "
            f"ORDER BY status = '{COMPLETED}', created_at DESC LIMIT {_MOST_KNOWN}",
            _BeatRow,
        )
        return tuple(_known(row) for row in rows)


def runs_once(shape: ServiceShape, handler: str) -> bool:
    """Whether it is a workflow's run, which its key alone makes unique."""
    kinds = {h.name: h.type for h in shape.handlers}
    return shape.type == "workflow" and kinds.get(handler) == "Workflow"


def _known(row: _BeatRow) -> KnownBeat:
    completed = row.status == COMPLETED
    failed = completed and row.completion_result == "failure"
    return KnownBeat(
        id=row.id,
        name=row.name,
        began_at=row.created_at,
        ended_at=row.modified_at if completed else None,
        failure=clean_text(row.failure) if failed else None,
    )
