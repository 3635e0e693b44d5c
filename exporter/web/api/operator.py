"""The four routes of the operator recovery API: paths, bodies, answers, and their documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from pydantic import BaseModel, ConfigDict

from exporter.model.operation import Operation
from exporter.web.api.caller import reason_header
from exporter.web.api.desk import Desk
from exporter.web.api.errors import documented
from exporter.web.api.recorded import recorded
from exporter.web.entry.security import key_header
from exporter.wire.doctor import DoctorAnswer
from exporter.wire.operator import (
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


def operator_routes(desk: Desk) -> APIRouter:
    """Every attempt that gets here is in the ledger, also one whose body cannot be used."""
    router = APIRouter(
        prefix=PREFIX,
        tags=["operator"],
        route_class=recorded(desk.refused, lambda route: _last_word(route.path)),
        dependencies=[Security(key_header), Depends(reason_header)],
    )

    async def act(
        request: Request,
        on: OnTarget,
        body: ForceRedeployBody | CleanupBody | RecoverBody,
        arguments: dict[str, Any],
        *,
        allow: Iterable[str] = (),
        answer: Callable[[Operation], dict[str, Any]] = _acknowledged,
    ) -> Response:
        """Carry out the remedy that the route is named after."""
        remedy = _last_word(request.url.path)
        return await desk.act(
            request, remedy, on.target, arguments, allow=allow, reason=body.reason, answer=answer
        )

    @router.post("/doctor", response_model=DoctorAnswer, responses=documented(*_REFUSED))
    async def doctor(request: Request, body: DoctorBody, on: Target) -> Response:
        """Read the five components now. Changes nothing."""
        return await desk.doctor(request, on.target, body.reason)

    @router.post(
        "/force-redeploy",
        response_model=Redeployed,
        responses=documented(*_WRITE_REFUSED, Code.DISCOVERY_FAILED),
    )
    async def force_redeploy(request: Request, body: ForceRedeployBody, on: Target) -> Response:
        """Register a worker again. Does not drain or delete old deployments."""
        arguments = {"url": body.service_url, "force": body.force}
        return await act(request, on, body, arguments, allow=body.allow, answer=_redeployed)

    @router.post(
        "/cleanup-stale-deployments",
        response_model=Acknowledged,
        responses=documented(*_WRITE_REFUSED, Code.DEPLOYMENT_NOT_FOUND),
    )
    async def cleanup(request: Request, body: CleanupBody, on: Target) -> Response:
        """Keep the deployment at this URL; delete those it replaced that have no work left.

        What still has work is left alone, unless `forceDrain` is true and its endpoint is dead.
        """
        arguments: dict[str, Any] = {"url": body.service_url, "max_items": _EVERY_OTHER}
        if body.force_drain:
            arguments |= {"force_drain": True, "max_kills": body.max_kills}
        return await act(request, on, body, arguments)

    @router.post(
        "/recover-stuck-workflow",
        response_model=Acknowledged,
        responses=documented(
            *_WRITE_REFUSED,
            Code.WORKFLOW_RETRY_BLOCKED,
            also={502: [Code.WORKFLOW_RETRY_BLOCKED]},
        ),
    )
    async def recover(request: Request, body: RecoverBody, on: Target) -> Response:
        """Free the key of a workflow whose run failed, so that it can be submitted again."""
        arguments = {"serviceName": body.service_name, "serviceKey": body.service_key}
        return await act(request, on, body, arguments, allow=body.allow)

    return router


def _last_word(path: str) -> str:
    return path.rpartition("/")[2]


def _acknowledged(_operation: Operation) -> dict[str, Any]:
    return Acknowledged().model_dump(by_alias=True)


def _redeployed(operation: Operation) -> dict[str, Any]:
    deployment = str(operation.after.get("deploymentId", ""))
    return Redeployed(deploymentId=deployment).model_dump(by_alias=True)
