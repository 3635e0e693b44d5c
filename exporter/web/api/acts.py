"""Routes that do for a person what a command does: show the plan of a remedy, and carry it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.responses import JSONResponse

from exporter.model.errors import MedicError
from exporter.model.operation import Request as Asked
from exporter.web.api.caller import reason_header, request_of
from exporter.web.api.clerk import Clerk
from exporter.web.api.errors import documented, failure_response
from exporter.web.api.failures import failure_of
from exporter.web.api.filters import Name
from exporter.web.api.present import check_target
from exporter.web.api.recorded import recorded
from exporter.web.entry.security import key_header
from exporter.web.status import WebStatus
from exporter.wire.acts import ActBody, PlanBody, arguments_of, plan_body
from exporter.wire.operation import OperationBody, operation_body
from exporter.wire.operator import Code

PLAN = "plan"
"""What the ledger calls it when somebody only had a plan shown."""
_REFUSED = (
    *(Code.UNAUTHORIZED, Code.FORBIDDEN, Code.PERMISSION_REQUIRED, Code.PAYLOAD_TOO_LARGE),
    *(Code.BAD_REQUEST, Code.TOO_MANY_REQUESTS, Code.INTERNAL, Code.LEDGER_UNAVAILABLE),
    *(Code.TARGET_NOT_FOUND, Code.PREFLIGHT_REFUSED, Code.REMEDY_UNSUPPORTED),
    *(Code.DEPLOYMENT_NOT_FOUND, Code.WORKFLOW_RETRY_BLOCKED, Code.DISCOVERY_FAILED),
    *(Code.ADMIN_UNREACHABLE, Code.OPERATION_FAILED, Code.OPERATION_IN_FLIGHT),
    Code.SHUTTING_DOWN,
)
_ERRORS: dict[int | str, Any] = documented(*_REFUSED, also={502: [Code.WORKFLOW_RETRY_BLOCKED]})


def act_routes(status: Callable[[], WebStatus], clerk: Clerk) -> APIRouter:
    """Both of them. A call that is not understood is written down here, all others by people."""
    router = APIRouter(
        prefix="/api/v1/targets/{name}",
        tags=["control"],
        route_class=recorded(clerk.refused, lambda route: route.path.rpartition("/")[2]),
        dependencies=[Security(key_header), Depends(reason_header)],
    )

    def asked(http: Request, name: str, body: ActBody) -> Asked:
        check_target(status(), name)
        return request_of(
            http,
            body.remedy,
            target=name,
            arguments=arguments_of(body),
            allow=body.allow,
            reason=body.reason,
            now=clerk.now(),
        )

    @router.post("/plan", response_model=PlanBody, responses=_ERRORS)
    async def plan(request: Request, name: Name, body: ActBody) -> Response:
        """What a remedy would do now. Changes nothing."""
        wanted = asked(request, name, body)
        try:
            found = await clerk.people().preview(wanted, call=PLAN)
        except MedicError as error:
            return _not_done(request, error, body.remedy)
        return JSONResponse(plan_body(found).as_json())

    @router.post("/operations", response_model=OperationBody, responses=_ERRORS)
    async def carry_out(request: Request, name: Name, body: ActBody) -> Response:
        """Carry a remedy out, and answer when its operation is closed, however it ended.

        What was begun goes on if nobody waits for it any more; `outcome` says how it ended.
        """
        wanted = asked(request, name, body)
        try:
            closed = await clerk.people().perform(wanted, confirmed=body.plan)
        except MedicError as error:
            return _not_done(request, error, body.remedy)
        return JSONResponse(operation_body(closed).as_json())

    return router


def _not_done(request: Request, error: MedicError, remedy: str) -> Response:
    failure = failure_of(error, remedy)
    return failure_response(failure, request_id=request.state.request_id)
