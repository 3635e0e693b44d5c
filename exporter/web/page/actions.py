"""What an operator does from a page: the same orders as the control routes.

The gate lets only operators' requests through that change anything, and none of another site's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from exporter.model.duration import parse_duration
from exporter.model.errors import NotFoundError
from exporter.model.orders import BreakerName
from exporter.web.clerk import Clerk
from exporter.web.filters import BreakerId, Name, OperationId, PauseId
from exporter.web.page.forms import Forms, NotDoneError, back, form_of
from exporter.web.page.render import Renderer
from exporter.web.present import check_target
from exporter.web.status import WebStatus


def action_routes(status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> APIRouter:
    """All of them."""
    forms = Forms(status, clerk, renderer)
    _on_targets(forms, status, clerk)
    _on_orders(forms, clerk)
    return forms.router


def _on_targets(forms: Forms, status: Callable[[], WebStatus], clerk: Clerk) -> None:
    @forms.action("/targets/{name}/check", "check")
    async def check(request: Request, name: Name) -> Response:
        check_target(status(), name)
        target = next(row.target for row in status().targets if row.target.name == name)
        by = await forms.order(request, "check", target=name)
        found = await clerk.people().check(by, frozenset(target.intervals))
        word = "checking" if found.waiting else "checked"
        return back(request, f"targets/{name}", word)

    @forms.action("/targets/{name}/pause", "pause")
    async def pause(request: Request, name: Name) -> Response:
        check_target(status(), name)
        by = await forms.order(request, "pause", target=name)
        if not by.reason.strip():
            raise NotDoneError("a pause needs a reason, for whoever wonders later")
        text = (await form_of(request)).get("for", "").strip()
        until = None if not text else clerk.now() + _length(text)
        await clerk.book().pause(by, "target", name, until=until)
        return back(request, f"targets/{name}", "paused")

    @forms.action("/pauses/{pause_id}/lift", "unpause")
    async def lift(request: Request, pause_id: PauseId) -> Response:
        lifted = await clerk.book().lift(await forms.order(request, "unpause"), pause_id)
        page = f"targets/{lifted.name}" if lifted.scope == "target" else "policies"
        return back(request, page, "resumed")


def _on_orders(forms: Forms, clerk: Clerk) -> None:
    @forms.action("/audit/{operation_id}/approve", "approve")
    async def approve(request: Request, operation_id: OperationId) -> Response:
        approved = await clerk.book().approve(await forms.order(request, "approve"), operation_id)
        with suppress(NotFoundError):  # configured no more: whoever acts for it will see
            clerk.people().hasten(approved.target)
        return back(request, f"audit/{approved.id}", "approved")

    @forms.action("/audit/{operation_id}/reject", "reject")
    async def reject(request: Request, operation_id: OperationId) -> Response:
        rejected = await clerk.book().reject(await forms.order(request, "reject"), operation_id)
        return back(request, f"audit/{rejected.id}", "rejected")

    @forms.action("/breakers/{breaker_id}/reset", "reset-breaker")
    async def reset(request: Request, breaker_id: BreakerId) -> Response:
        name = BreakerName.parse(breaker_id)
        if name is None:
            raise NotFoundError("there is no such breaker", kind="breaker")
        by = await forms.order(request, "reset-breaker", target=name.target)
        done = await clerk.book().reset(by, name)
        return back(request, "policies", "reset" if done else "not-reset")


def _length(text: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise NotDoneError(f"for {text!r}: {error}") from error
    if duration <= timedelta(0):
        raise NotDoneError(f"{text} is no time at all; write 30m or 2h")
    return duration
