"""Routes with which key holders steer: check now, pauses, a yes or a no, breakers.

None of them writes to Restate. Each takes an operator's key, which the gate has seen, and each
attempt is in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, Security

from exporter.model.component import Component
from exporter.model.errors import NotFoundError
from exporter.model.orders import BreakerName
from exporter.policy.actions import ACTIONS
from exporter.policy.words import no_such
from exporter.web.caller import reason_header
from exporter.web.clerk import Clerk
from exporter.web.errors import documented, unusable
from exporter.web.filters import BreakerId, LiftFilters, Name, OperationId, PauseId
from exporter.web.listing import one
from exporter.web.present import check_policy, check_target, in_full
from exporter.web.recorded import recorded
from exporter.web.security import key_header
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
        route_class=recorded(clerk.refused, lambda route: _CALLS[route.name]),
        dependencies=[Security(key_header), Depends(reason_header)],
    )
    _add_check(router, status, clerk)
    _add_pauses(router, status, clerk)
    _add_plans(router, clerk)
    _add_breakers(router, status, clerk)
    return router


def _add_check(router: APIRouter, status: Callable[[], WebStatus], clerk: Clerk) -> None:
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
        asked = body or CheckBody()
        target = one("target", name, status().targets, lambda row: row.target.name).target
        components = frozenset(map(Component, asked.components)) or frozenset(target.intervals)
        if off := components - target.intervals.keys():
            said = f"{', '.join(sorted(off))} is not read of {name}: it is off"
            raise unusable("body.components", said)
        by = clerk.asked(request, "check", target=name, body=body)
        found = await clerk.people().check(by, components)
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


def _add_pauses(router: APIRouter, status: Callable[[], WebStatus], clerk: Clerk) -> None:
    @router.post(
        "/pauses",
        status_code=HTTPStatus.CREATED,
        responses=documented(*_REFUSED, Code.TARGET_NOT_FOUND, Code.NOT_FOUND),
    )
    async def pause(request: Request, body: NewPause) -> PauseBody:
        """Let policies rest: what runs stops before its next write, and nothing more is begun.

        Watching goes on, and people may still act.
        """
        now = status()
        if body.scope == "target":
            check_target(now, body.name)
        if body.scope == "policy":
            check_policy(now, body.name)
        target = body.name if body.scope == "target" else None
        by = clerk.asked(request, "pause", target=target, body=body)
        if not by.reason.strip():
            raise unusable("body.reason", "is needed, here or in X-Reason: say why")
        made = await clerk.book().pause(by, body.scope, body.name, until=_until(body, clerk.now()))
        return pause_body(made, clerk.now())

    @router.delete("/pauses/{id}", responses=documented(*_REFUSED, Code.NOT_FOUND))
    async def unpause(request: Request, pause_id: PauseId) -> PauseBody:
        """Lift one pause."""
        by = clerk.asked(request, "unpause")
        return pause_body(await clerk.book().lift(by, pause_id), clerk.now())

    @router.delete("/pauses", responses=documented(*_REFUSED, Code.NOT_FOUND))
    async def unpause_all(request: Request, which: Annotated[LiftFilters, Query()]) -> PausesAnswer:
        """Lift every pause of one target, of one policy, or those of everything."""
        if (which.scope == "global") is (which.name is not None):
            raise unusable(
                "query.name", "name a target or a policy, or nothing with the scope global"
            )
        target = which.name if which.scope == "target" else None
        by = clerk.asked(request, "unpause", target=target)
        lifted = await clerk.book().lift_all(by, which.scope, which.name or "")
        return PausesAnswer(pauses=tuple(pause_body(one, clerk.now()) for one in lifted))


def _add_plans(router: APIRouter, clerk: Clerk) -> None:
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
        book = clerk.book()
        found = await book.find(operation_id)
        about = {"operation": found.id}
        by = clerk.asked(request, "approve", target=found.target, body=body, about=about)
        approved = await book.approve(by, found.id)
        with suppress(NotFoundError):  # configured no more: whoever acts for it will see
            clerk.people().hasten(approved.target)
        return operation_body(approved)

    @router.post(
        "/operations/{id}/reject",
        responses=documented(*_REFUSED, Code.NOT_FOUND, Code.OPERATION_NOT_WAITING),
    )
    async def reject(
        request: Request, operation_id: OperationId, body: WhyBody | None = None
    ) -> OperationBody:
        """Say no to a plan that waits; it is proposed again only after all was well in between."""
        book = clerk.book()
        found = await book.find(operation_id)
        about = {"operation": found.id}
        by = clerk.asked(request, "reject", target=found.target, body=body, about=about)
        return operation_body(await book.reject(by, found.id))


def _add_breakers(router: APIRouter, status: Callable[[], WebStatus], clerk: Clerk) -> None:
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
        name, now = BreakerName.parse(breaker_id), status()
        if name is None:
            raise NotFoundError(
                "there is no such breaker; write target:NAME:REMEDY or policy:NAME", kind="breaker"
            )
        if name.policy:
            check_policy(now, name.policy)
        else:
            check_target(now, name.target)
            if name.remedy not in ACTIONS:
                raise no_such("remedy", name.remedy, ACTIONS)
        by = clerk.asked(request, "reset-breaker", target=name.target, body=body)
        done = await clerk.book().reset(by, name)
        return ResetAnswer(id=str(name), reset=done)


_CALLS = {
    "check_now": "check",
    "pause": "pause",
    "unpause": "unpause",
    "unpause_all": "unpause",
    "approve": "approve",
    "reject": "reject",
    "reset_breaker": "reset-breaker",
}
"""What the ledger calls what each route does."""


def _until(body: NewPause, now: datetime) -> datetime | None:
    try:
        until = body.until(now)
    except OverflowError as error:
        raise unusable("body.for", "is longer than time lasts; write 2h") from error
    if until is not None and until <= now:
        raise unusable("body.expiresAt", "is over; write a moment to come")
    return until
