"""Errors as the HTTP interfaces tell them: ``{"code", "message", "data", "requestId"}``."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

_CODES: Mapping[int, str] = MappingProxyType(
    {
        HTTPStatus.FORBIDDEN: "FORBIDDEN",
        HTTPStatus.NOT_FOUND: "NOT_FOUND",
        HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
        HTTPStatus.UNPROCESSABLE_ENTITY: "BAD_REQUEST",
        HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL",
    }
)


def error_response(
    status: int,
    message: str,
    *,
    request_id: str,
    code: str | None = None,
    data: Mapping[str, Any] = MappingProxyType({}),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error body. ``message`` is a sentence for people that says what to do."""
    body = {
        "code": code or _CODES.get(status, HTTPStatus(status).name),
        "message": message,
        "data": dict(data),
        "requestId": request_id,
    }
    return JSONResponse(body, status, headers)


def handle_errors(app: FastAPI) -> None:
    """Give routing and validation errors the same body as all others."""

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        status, headers = HTTPStatus.INTERNAL_SERVER_ERROR.value, None
        message = "internal error"
        if isinstance(error, HTTPException):
            status, headers, message = error.status_code, error.headers, str(error.detail)
        if status == HTTPStatus.NOT_FOUND:
            message = f"there is nothing at {request.url.path}; GET / lists what there is"
        return error_response(status, message, request_id=request.state.request_id, headers=headers)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        lines = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems]
        return error_response(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "; ".join(lines),
            request_id=request.state.request_id,
        )

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
