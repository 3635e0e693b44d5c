"""The four routes of the operator recovery API: paths, bodies, answers, and their documentation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from exporter.web.desk import Desk
from exporter.web.errors import documented, issues_of
from exporter.web.security import key_header
from exporter.wire.doctor import DoctorAnswer
from exporter.wire.operator import (
    LONGEST_REASON,
    PREFIX,
    Acknowledged,
    CleanupBody,
    Code,
    DoctorBody,
    ForceRedeployBody,
    RecoverBody,
    Redeployed,
)

_REFUSED = (
    Code.UNAUTHORIZED,
    Code.FORBIDDEN,
    Code.PERMISSION_REQUIRED,
    Code.TARGET_NOT_FOUND,
    Code.PAYLOAD_TOO_LARGE,
    Code.BAD_REQUEST,
    Code.TARGET_AMBIGUOUS,
    Code.TOO_MANY_REQUESTS,
    Code.INTERNAL,
    Code.LEDGER_UNAVAILABLE,
)
_WRITE_REFUSED = (
    *_REFUSED,
    Code.OPERATION_IN_FLIGHT,
    Code.PREFLIGHT_REFUSED,
    Code.REMEDY_UNSUPPORTED,
    Code.OPERATION_FAILED,
    Code.OPERATION_UNVERIFIED,
    Code.ADMIN_UNREACHABLE,
    Code.SHUTTING_DOWN,
)


_EVERY_OTHER = 10_000
"""Of old deployments this route takes all there are, as the reference says."""


class OnTarget(BaseModel):
    """Which target is meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    target: str | None = None
    """Needed when there is more than one."""


Target = Annotated[OnTarget, Query()]
Reason = Annotated[
    str | None,
    Header(alias="X-Reason", description="Why, for the ledger.", max_length=LONGEST_REASON),
]


def operator_routes(desk: Desk) -> APIRouter:
    """Every attempt that gets here is in the ledger, also one whose body cannot be used."""

    class Recorded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()
            remedy = self.path.rpartition("/")[2]

            async def recorded(request: Request) -> Response:
                try:
                    return await handler(request)
                except RequestValidationError as error:
                    said = "; ".join(f"{i['path']}: {i['message']}" for i in issues_of(error))
                    await desk.invalid(request, remedy, error.body, said)
                    raise
                except HTTPException as error:
                    await desk.invalid(request, remedy, None, str(error.detail))
                    raise

            return recorded

    router = APIRouter(
        prefix=PREFIX,
        tags=["operator"],
        route_class=Recorded,
        dependencies=[Security(key_header)],
    )

    @router.post("/doctor", response_model=DoctorAnswer, responses=documented(*_REFUSED))
    async def doctor(
        request: Request, body: DoctorBody, on: Target, x_reason: Reason = None
    ) -> Response:
        """Read the five components now. Changes nothing."""
        del x_reason  # read from the request, as the text that was meant
        return await desk.doctor(request, on.target, body.reason)

    @router.post(
        "/force-redeploy",
        response_model=Redeployed,
        responses=documented(*_WRITE_REFUSED, Code.DISCOVERY_FAILED),
    )
    async def force_redeploy(
        request: Request, body: ForceRedeployBody, on: Target, x_reason: Reason = None
    ) -> Response:
        """Register a worker again. Does not drain or delete old deployments."""
        del x_reason
        return await desk.act(
            request,
            "force-redeploy",
            on.target,
            {"url": body.service_url, "force": body.force},
            allow=body.allow,
            reason=body.reason,
            answer=lambda operation: Redeployed(
                deploymentId=str(operation.after.get("deploymentId", ""))
            ).model_dump(by_alias=True),
        )

    @router.post(
        "/cleanup-stale-deployments",
        response_model=Acknowledged,
        responses=documented(*_WRITE_REFUSED, Code.DEPLOYMENT_NOT_FOUND),
    )
    async def cleanup(
        request: Request, body: CleanupBody, on: Target, x_reason: Reason = None
    ) -> Response:
        """Keep the deployment at this URL; delete those it replaced that have no work left.

        What still has work is left alone, unless `forceDrain` is true and its endpoint is dead.
        """
        del x_reason
        arguments: dict[str, Any] = {"url": body.service_url, "max_items": _EVERY_OTHER}
        if body.force_drain:
            arguments |= {"force_drain": True, "max_kills": body.max_kills}
        return await desk.act(
            request,
            "cleanup-stale-deployments",
            on.target,
            arguments,
            reason=body.reason,
            answer=_acknowledged,
        )

    @router.post(
        "/recover-stuck-workflow",
        response_model=Acknowledged,
        responses=documented(
            *_WRITE_REFUSED,
            Code.WORKFLOW_RETRY_BLOCKED,
            also={502: [Code.WORKFLOW_RETRY_BLOCKED]},
        ),
    )
    async def recover(
        request: Request, body: RecoverBody, on: Target, x_reason: Reason = None
    ) -> Response:
        """Free the key of a workflow whose run failed, so that it can be submitted again."""
        del x_reason
        return await desk.act(
            request,
            "recover-stuck-workflow",
            on.target,
            {"serviceName": body.service_name, "serviceKey": body.service_key},
            allow=body.allow,
            reason=body.reason,
            answer=_acknowledged,
        )

    return router


def _acknowledged(_operation: object) -> dict[str, Any]:
    return Acknowledged().model_dump(by_alias=True)
