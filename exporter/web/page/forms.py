"""What the forms of the pages share: whose order it is, what it came to, where to go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from exporter.model.errors import LedgerUnavailableError, MedicError, NotFoundError
from exporter.model.operation import Request as Order
from exporter.web.caller import request_of
from exporter.web.clerk import Clerk
from exporter.web.gate import FORMS
from exporter.web.page.render import Renderer, root_of
from exporter.web.status import WebStatus
from exporter.wire.operator import LONGEST_REASON

_Route = Callable[..., Awaitable[Response]]
_MOST_FIELDS = 20


class NotDoneError(MedicError):
    """A form that asks for nothing that can be done. ``str()`` says what to write."""

    reason = "bad-request"


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a urlencoded form; empty when the body is nothing of the kind.

    How long a body may be is bounded before it gets here.
    """
    body = await request.body()
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        )
    except ValueError:
        return {}


class Forms:
    """Registers the routes that forms are sent to."""

    def __init__(self, status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> None:
        self.router = APIRouter(prefix=FORMS, include_in_schema=False)
        self._status = status
        self._clerk = clerk
        self._renderer = renderer

    def action(self, path: str, call: str) -> Callable[[_Route], _Route]:
        """A form's route. What cannot be done is written down, and shown as a page."""

        def register(function: _Route) -> _Route:
            @self.router.post(path)
            @wraps(function)
            async def answered(request: Request, **given: object) -> Response:
                try:
                    return await function(request, **given)
                except MedicError as error:
                    return await self._not_done(request, call, error)

            return function

        return register

    async def order(self, request: Request, call: str, *, target: str | None = None) -> Order:
        """Who sent the form, what it says, and why."""
        form = await form_of(request)
        reason = form.pop("reason", "")[:LONGEST_REASON]
        return request_of(
            request,
            call,
            target=target,
            arguments={**request.path_params, **form},
            reason=reason,
            now=self._clerk.now(),
        )

    async def _not_done(self, request: Request, call: str, error: MedicError) -> Response:
        code = HTTPStatus.CONFLICT
        if isinstance(error, NotFoundError):
            code = HTTPStatus.NOT_FOUND
        if isinstance(error, LedgerUnavailableError):
            code = HTTPStatus.SERVICE_UNAVAILABLE
        else:
            reason = str(getattr(error, "reason", "bad-request"))
            form = await form_of(request)
            await self._clerk.refused(request, call, form, reason, str(error))
        return self._renderer.missing(request, self._status(), f"Not done: {error}.", code)


def back(request: Request, page: str, done: str) -> Response:
    """Back to a page of ours, which says what was done."""
    return RedirectResponse(f"{root_of(request)}{page}?done={done}", HTTPStatus.SEE_OTHER)
