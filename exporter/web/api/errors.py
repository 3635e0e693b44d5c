"""Errors as the HTTP interfaces tell them: ``{"code", "message", "data", "requestId"}``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from exporter.model.errors import MedicError
from exporter.model.redact import redact_text
from exporter.web.api.failures import Failure, failure_of
from exporter.wire.operator import STATUS, Code, ErrorBody

_CODES: Mapping[int, Code] = MappingProxyType(
    {
        STATUS[code]: code
        for code in (
            Code.FORBIDDEN,
            Code.NOT_FOUND,
            Code.METHOD_NOT_ALLOWED,
            Code.PAYLOAD_TOO_LARGE,
            Code.BAD_REQUEST,
            Code.INTERNAL,
        )
    }
)


class FailureError(Exception):
    """A route's own error answer, for where no error of the program's stands behind it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def unusable(path: str, message: str) -> FailureError:
    """A value that cannot be used, as a validation would tell of it: ``body.for``, ``query.x``."""
    issues = [{"path": path, "message": message}]
    return FailureError(Failure(Code.BAD_REQUEST, f"{path}: {message}", {"issues": issues}))


def error_response(
    status: int,
    message: str,
    *,
    request_id: str,
    code: Code | None = None,
    data: Mapping[str, Any] = MappingProxyType({}),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error body. ``message`` is a sentence for people that says what to do."""
    body = ErrorBody.model_construct(
        code=code or _CODES.get(status, Code.INTERNAL),
        message=message,
        data=dict(data),
        request_id=request_id,
    )
    return JSONResponse(body.model_dump(mode="json", by_alias=True), int(status), headers)


def failure_response(failure: Failure, *, request_id: str) -> JSONResponse:
    """The answer that a failure stands for."""
    headers = {}
    if failure.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(failure.retry_after.total_seconds()))
    return error_response(
        failure.http_status,
        failure.message,
        request_id=request_id,
        code=failure.code,
        data=failure.data,
        headers=headers,
    )


def documented(
    *codes: Code, also: Mapping[int, Iterable[Code]] | None = None
) -> dict[int | str, Any]:
    """The error answers of a route, for the OpenAPI document. ``also``: codes by other statuses."""
    by_status: dict[int, list[Code]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code].value, []).append(code)
    for status, more in (also or {}).items():
        by_status.setdefault(status, []).extend(more)
    return {
        status: {"model": ErrorBody, "description": ", ".join(f"`{code}`" for code in here)}
        for status, here in sorted(by_status.items())
    }


def handle_errors(app: FastAPI) -> None:
    """Give routing and validation errors the same body as all others."""

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        status, headers = HTTPStatus.INTERNAL_SERVER_ERROR.value, None
        message = "internal error"
        if isinstance(error, HTTPException):
            status, headers, message = error.status_code, error.headers, str(error.detail)
        if status == HTTPStatus.NOT_FOUND:
            message = f"there is nothing at {request.url.path}; GET / lists what there is"
        if status == HTTPStatus.BAD_REQUEST:  # a body that is no text, or nested without end
            status, message = HTTPStatus.UNPROCESSABLE_ENTITY, "the body is no JSON"
        return error_response(status, message, request_id=request.state.request_id, headers=headers)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        issues = issues_of(error) if isinstance(error, RequestValidationError) else []
        return error_response(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "; ".join(f"{issue['path']}: {issue['message']}" for issue in issues),
            request_id=request.state.request_id,
            data={"issues": issues},
        )

    async def on_medic(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, MedicError)  # noqa: S101 - what it is registered for
        return failure_response(failure_of(error), request_id=request.state.request_id)

    async def on_failure(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, FailureError)  # noqa: S101 - what it is registered for
        return failure_response(error.failure, request_id=request.state.request_id)

    app.add_exception_handler(FailureError, on_failure)
    app.add_exception_handler(MedicError, on_medic)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)


def issues_of(error: RequestValidationError) -> list[dict[str, str]]:
    """Each problem with its place (``body.serviceUrl``), without the value that was sent."""
    return [
        {
            "path": _harmless(".".join(map(str, problem["loc"]))),
            "message": _harmless(str(problem["msg"]).removeprefix("Value error, ")),
        }
        for problem in error.errors()
    ]


def _harmless(text: str) -> str:
    """A sender's own words, fit for an answer: no secrets, and nothing that is no text."""
    return redact_text(text.encode("utf-8", "replace").decode())
