"""Routes whose every attempt is in the ledger, also one whose body cannot be used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from exporter.model.errors import (
    AmbiguousError,
    LedgerUnavailableError,
    MedicError,
    NotFoundError,
    RefusedError,
)
from exporter.web.api.errors import FailureError, issues_of
from exporter.web.api.fields import FORM, fields_of

WriteDown = Callable[[Request, str, object, str, str], Awaitable[None]]
"""Takes the call, what it was to do, its body, a bounded word for why not, and a sentence."""


def recorded(write_down: WriteDown, word: Callable[[APIRoute], str]) -> type[APIRoute]:
    """A class of routes; ``word`` is what the ledger calls what a route does."""

    class Recorded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()
            what = word(self)

            async def handled(request: Request) -> Response:
                try:
                    return await handler(request)
                except RequestValidationError as error:
                    said = "; ".join(f"{i['path']}: {i['message']}" for i in issues_of(error))
                    await write_down(request, what, error.body, "bad-request", said)
                    raise
                except HTTPException as error:
                    await write_down(request, what, None, "bad-request", str(error.detail))
                    raise
                except FailureError as error:
                    body = await _body_of(request)
                    await write_down(request, what, body, "bad-request", str(error))
                    raise
                except LedgerUnavailableError:
                    raise  # nor can it be written down
                except MedicError as error:
                    body = await _body_of(request)
                    await write_down(request, what, body, _word_of(error), str(error))
                    raise

            return handled

    return Recorded


def _word_of(error: MedicError) -> str:
    match error:
        case RefusedError():
            return error.reason
        case NotFoundError():
            return f"{error.kind}-not-found"
        case AmbiguousError():
            return "ambiguous"
        case _:
            return "bad-request"


async def _body_of(request: Request) -> object:
    """The body, which the route has read already: JSON, or what a form sent."""
    if request.headers.get("content-type", "").startswith(FORM):
        return await fields_of(request)
    try:
        return await request.json()
    except ValueError:
        return None
