"""Around every request: a request id, security headers, one debug line, and no bare failures."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.api.errors import error_response

_log = structlog.get_logger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)
"""For every answer; one that sets a header itself keeps its own."""


class Envelope:
    """The outermost ASGI middleware. ``headers`` are set on every answer, whatever it says."""

    def __init__(self, app: ASGIApp, *, headers: Callable[[], Mapping[str, str]] = dict) -> None:
        self._app = app
        self._more = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is passed on untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        async def enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                for name, value in self._more().items():
                    headers[name] = value
                headers["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, enveloped)
            except Exception:
                _log.exception("http.failed", method=scope["method"], path=scope["path"])
                if status:
                    raise  # too late for another answer: the server closes the connection
                answer = error_response(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    "internal error; the log has the details under this request id",
                    request_id=request_id,
                )
                await answer(scope, receive, enveloped)
            finally:
                _log.debug(
                    "http.request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    client=(scope.get("client") or ("",))[0],
                    duration_ms=round((time.perf_counter() - began) * 1000, 1),
                )


def _request_id(scope: Scope) -> str:
    """The caller's own id when it is harmless, otherwise a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
