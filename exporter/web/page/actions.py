"""What an operator does from a page: the same orders as the control routes.

The gate lets only operators' requests through that change anything, and none of another site's.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response

from exporter.web.api.clerk import Clerk
from exporter.web.api.filters import BreakerId, Name, OperationId, PauseId
from exporter.web.api.steering import Steering
from exporter.web.page.forms import back, body_of, forms_router
from exporter.web.page.render import Renderer
from exporter.web.status import WebStatus
from exporter.wire.orders import CheckBody, NewPause, WhyBody


def action_routes(status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> APIRouter:
    """All of them; the names of the functions are those of the control routes."""
    router = forms_router(status, clerk, renderer)
    steering = Steering(status, clerk)

    @router.post("/targets/{name}/check")
    async def check_now(request: Request, name: Name) -> Response:
        found = await steering.check(request, name, await body_of(request, CheckBody))
        return back(request, f"targets/{name}", "checking" if found.waiting else "checked")

    @router.post("/targets/{name}/pause")
    async def pause(request: Request, name: Name) -> Response:
        body = await body_of(request, NewPause, scope="target", name=name)
        await steering.pause(request, body)
        return back(request, f"targets/{name}", "paused")

    @router.post("/pauses/{id}/lift")
    async def unpause(request: Request, pause_id: PauseId) -> Response:
        lifted = await steering.lift(request, pause_id)
        page = f"targets/{lifted.name}" if lifted.scope == "target" else "policies"
        return back(request, page, "resumed")

    @router.post("/audit/{id}/approve")
    async def approve(request: Request, operation_id: OperationId) -> Response:
        body = await body_of(request, WhyBody)
        approved = await steering.approve(request, operation_id, body)
        return back(request, f"audit/{approved.id}", "approved")

    @router.post("/audit/{id}/reject")
    async def reject(request: Request, operation_id: OperationId) -> Response:
        rejected = await steering.reject(request, operation_id, await body_of(request, WhyBody))
        return back(request, f"audit/{rejected.id}", "rejected")

    @router.post("/breakers/{id}/reset")
    async def reset_breaker(request: Request, breaker_id: BreakerId) -> Response:
        done = await steering.reset(request, breaker_id, await body_of(request, WhyBody))
        return back(request, "policies", "reset" if done else "not-reset")

    return router
