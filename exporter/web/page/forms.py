"""What the forms of the pages share: their bodies, what became of them, where to go on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from exporter.model.errors import MedicError
from exporter.web.api.clerk import Clerk
from exporter.web.api.errors import FailureError, issues_of
from exporter.web.api.failures import failure_of
from exporter.web.api.fields import fields_of
from exporter.web.api.recorded import recorded
from exporter.web.api.steering import CALLS
from exporter.web.entry.gate import FORMS
from exporter.web.page.notices import DONE
from exporter.web.page.render import Renderer, root_of
from exporter.web.status import WebStatus
from exporter.wire.body import Asked
from exporter.wire.operator import STATUS, Code

_Body = TypeVar("_Body", bound=Asked)


def forms_router(status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> APIRouter:
    """Where forms are sent to. What cannot be done is in the ledger, and shown as a page."""
    in_ledger = recorded(clerk.refused, lambda route: CALLS[route.name])

    class Shown(in_ledger):  # type: ignore[valid-type,misc]  # a class made for this ledger
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    answer: Response = await handler(request)
                except (MedicError, FailureError, RequestValidationError, HTTPException) as error:
                    code, text = _told(error)
                    return await renderer.missing(request, status(), text, code, title="Not done")
                return answer

            return handled

    return APIRouter(prefix=FORMS, include_in_schema=False, route_class=Shown)


async def body_of(request: Request, kind: type[_Body], **more: object) -> _Body:
    """The fields of a form as the body that the API takes; a field left empty was not sent.

    RequestValidationError, as if it had been sent to the API.
    """
    fields = {name: text for name, text in (await fields_of(request)).items() if text.strip()}
    given = {**fields, **more}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        issues = [{**issue, "loc": ("body", *issue["loc"])} for issue in error.errors()]
        raise RequestValidationError(issues, body=given) from error


def back(request: Request, page: str, done: str) -> Response:
    """Back to a page of ours, which says what was done."""
    return RedirectResponse(f"{root_of(request)}{page}?{DONE}={done}", HTTPStatus.SEE_OTHER)


def _told(error: Exception) -> tuple[HTTPStatus, str]:
    """The status and the sentence that the API would answer with."""
    match error:
        case MedicError():
            failure = failure_of(error)
        case FailureError():
            failure = error.failure
        case RequestValidationError():
            said = "; ".join(f"{i['path']}: {i['message']}" for i in issues_of(error))
            return HTTPStatus(STATUS[Code.BAD_REQUEST]), f"{said.removeprefix('body.')}."
        case HTTPException():
            return HTTPStatus(error.status_code), f"{error.detail}."
        case _:
            raise error
    return HTTPStatus(failure.http_status), f"{failure.message.removeprefix('body.')}."
