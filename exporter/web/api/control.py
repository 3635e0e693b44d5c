"""Routes with which key holders steer: check now, pauses, a yes or a no, breakers.

None of them writes to Restate. Each takes an operator's key, which the gate has seen, and each
attempt is in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, Security

from exporter.web.api.caller import reason_header
from exporter.web.api.clerk import Clerk
from exporter.web.api.errors import documented
from exporter.web.api.filters import BreakerId, LiftFilters, Name, OperationId, PauseId
from exporter.web.api.listing import one
from exporter.web.api.present import in_full
from exporter.web.api.recorded import recorded
from exporter.web.api.steering import CALLS, Steering
from exporter.web.entry.security import key_header
from exporter.web.status import WebStatus
from exporter.wire.operation import OperationBody, operation_body
from exporter.wire.operator import Code
from exporter.wire.orders import (
    CheckBody,
    NewPause,
    PauseBody,
    PausesAnswer,
    ResetAnswer,
    WhyBody,
    pause_body,
)
from exporter.wire.targets import CheckAnswer

_REFUSED = (
    *(Code.UNAUTHORIZED, Code.FORBIDDEN, Code.PERMISSION_REQUIRED, Code.PAYLOAD_TOO_LARGE),
    *(Code.BAD_REQUEST, Code.TOO_MANY_REQUESTS, Code.INTERNAL, Code.LEDGER_UNAVAILABLE),
)


def control_routes(status: Callable[[], WebStatus], clerk: Clerk) -> APIRouter:
    """All of them but the webhook of Alertmanager."""
    router = APIRouter(
        prefix="/api/v1",
        tags=["control"],
        route_class=recorded(clerk.refused, lambda route: CALLS[route.name]),
        dependencies=[Security(key_header), Depends(reason_header)],
    )
    steering = Steering(status, clerk)
    _add_check(router, status, steering)
    _add_pauses(router, clerk, steering)
    _add_plans(router, steering)
    _add_breakers(router, steering)
    return router


def _add_check(router: APIRouter, status: Callable[[], WebStatus], steering: Steering) -> None:
    @router.post(
        "/targets/{name}/check",
        responses={
            **documented(*_REFUSED, Code.TARGET_NOT_FOUND),
            202: {"model": CheckAnswer, "description": "What `waiting` lists is still being read."},
        },
    )
    async def check_now(
        request: Request, response: Response, name: Name, body: CheckBody | None = None
    ) -> CheckAnswer:
        """Read a target now, as its next round would: policies then decide on what it shows.

        Answers when everything was read, or after half a minute with what was.
        """
        found = await steering.check(request, name, body or CheckBody())
        if found.waiting:
            response.status_code = HTTPStatus.ACCEPTED
        now = status()
        row = one("target", name, now.targets, lambda row: row.target.name)
        return CheckAnswer(
            read=tuple(sorted(found.read)),
            waiting=tuple(sorted(found.waiting)),
            kept=tuple(sorted(found.kept)),
            target=in_full(row, now),
        )


def _add_pauses(router: APIRouter, clerk: Clerk, steering: Steering) -> None:
    @router.post(
        "/pauses",
        status_code=HTTPStatus.CREATED,
        responses=documented(*_REFUSED, Code.TARGET_NOT_FOUND, Code.NOT_FOUND),
    )
    async def pause(request: Request, body: NewPause) -> PauseBody:
        """Let policies rest: what runs stops before its next write, and nothing more is begun.

        Watching goes on, and people may still act.
        """
        return pause_body(await steering.pause(request, body), clerk.now())

    @router.delete("/pauses/{id}", responses=documented(*_REFUSED, Code.NOT_FOUND))
    async def unpause(request: Request, pause_id: PauseId) -> PauseBody:
        """Lift one pause."""
        return pause_body(await steering.lift(request, pause_id), clerk.now())

    @router.delete("/pauses", responses=documented(*_REFUSED, Code.NOT_FOUND))
    async def unpause_all(request: Request, which: Annotated[LiftFilters, Query()]) -> PausesAnswer:
        """Lift every pause of one target, of one policy, or those of everything."""
        lifted = await steering.lift_all(request, which)
        return PausesAnswer(pauses=tuple(pause_body(one, clerk.now()) for one in lifted))


def _add_plans(router: APIRouter, steering: Steering) -> None:
    @router.post(
        "/operations/{id}/approve",
        status_code=HTTPStatus.ACCEPTED,
        responses=documented(*_REFUSED, Code.NOT_FOUND, Code.OPERATION_NOT_WAITING),
    )
    async def approve(
        request: Request, operation_id: OperationId, body: WhyBody | None = None
    ) -> OperationBody:
        """Say yes to a plan that waits. The next round carries it out if all is as planned.

        Every gate is asked again but the window. How it ended, the operation tells.
        """
        return operation_body(await steering.approve(request, operation_id, body))

    @router.post(
        "/operations/{id}/reject",
        responses=documented(*_REFUSED, Code.NOT_FOUND, Code.OPERATION_NOT_WAITING),
    )
    async def reject(
        request: Request, operation_id: OperationId, body: WhyBody | None = None
    ) -> OperationBody:
        """Say no to a plan that waits; it is proposed again only after all was well in between."""
        return operation_body(await steering.reject(request, operation_id, body))


def _add_breakers(router: APIRouter, steering: Steering) -> None:
    @router.post(
        "/breakers/{id}/reset",
        responses=documented(*_REFUSED, Code.NOT_FOUND, Code.TARGET_NOT_FOUND),
    )
    async def reset_breaker(
        request: Request, breaker_id: BreakerId, body: WhyBody | None = None
    ) -> ResetAnswer:
        """Let policies use a remedy on a target again, or close a policy's own breaker.

        What failed so far counts no more; limits and cooldowns go on as they are.
        """
        return ResetAnswer(id=breaker_id, reset=await steering.reset(request, breaker_id, body))
