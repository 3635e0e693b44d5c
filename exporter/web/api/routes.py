"""The routes for machines: metrics, health, readiness, reload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

from fastapi import APIRouter, Request, Response, Security
from fastapi.responses import PlainTextResponse

from exporter.metrics.exposition import Exposition
from exporter.model.keys import ApiKey, Role
from exporter.model.redact import redact_text
from exporter.web.api.errors import documented, error_response
from exporter.web.api.reading import reading
from exporter.web.entry.security import key_header
from exporter.web.status import ReloadResult, WebStatus
from exporter.wire.operator import Code

_METRICS = ("text/plain", "application/openmetrics-text")
_FROM_ELSEWHERE = ("forwarded", "x-forwarded-for", "x-real-ip", "origin")
_NAMES_SHOWN = 20


def metrics_routes(exposition: Exposition, path: str) -> APIRouter:
    """The page that Prometheus scrapes."""
    router = APIRouter()

    @reading(router, path, media=_METRICS)
    async def metrics(request: Request) -> Response:
        scrape = await exposition.scrape(
            accept=",".join(request.headers.getlist("accept")),
            accept_encoding=",".join(request.headers.getlist("accept-encoding")),
            names=request.query_params.getlist("name[]"),
        )
        headers = {"Content-Type": scrape.content_type, "Vary": "Accept, Accept-Encoding"}
        if scrape.content_encoding:
            headers["Content-Encoding"] = scrape.content_encoding
        return Response(scrape.body, headers=headers)

    return router


def health_routes(status: Callable[[], WebStatus]) -> APIRouter:
    """Healthy while the process answers; ready once every target has had a round."""
    router = APIRouter()

    @reading(router, "/-/healthy", media=("text/plain",))
    async def healthy() -> PlainTextResponse:
        return PlainTextResponse("healthy\n")

    @reading(router, "/-/ready", media=("text/plain",), also={503: "Not ready yet."})
    async def ready() -> PlainTextResponse:
        now = status()
        if now.ready:
            return PlainTextResponse("ready\n")
        names = ", ".join(now.waiting_for[:_NAMES_SHOWN])
        more = "" if len(now.waiting_for) <= _NAMES_SHOWN else ", …"
        text = f"not ready: waiting for the first round of {names}{more}\n"
        return PlainTextResponse(text, HTTPStatus.SERVICE_UNAVAILABLE)

    return router


def reload_routes(reload: Callable[[], Awaitable[ReloadResult]]) -> APIRouter:
    """Reload on request, from this machine or with an operator's key."""
    router = APIRouter()

    @router.post(
        "/-/reload",
        response_class=Response,
        responses={
            **documented(
                *(Code.UNAUTHORIZED, Code.FORBIDDEN, Code.PAYLOAD_TOO_LARGE),
                *(Code.TOO_MANY_REQUESTS, Code.INTERNAL, Code.LEDGER_UNAVAILABLE),
            ),
            200: {"content": {"text/plain": {}}},
            500: {"content": {"text/plain": {}}, "description": "The one in use stays."},
        },
        dependencies=[Security(key_header)],
    )
    async def reload_configuration(request: Request) -> Response:
        key: ApiKey | None = request.state.key
        by_operator = key is not None and key.role is Role.OPERATOR
        if not by_operator and not from_loopback(request):
            return error_response(
                HTTPStatus.FORBIDDEN,
                "reload is allowed from loopback, not through a proxy or a browser; elsewhere send"
                " an operator's key in X-Api-Key; or send the process SIGHUP",
                request_id=request.state.request_id,
            )
        result = await reload()
        if result.ok:
            return PlainTextResponse("reloaded\n")
        lines = "\n".join(redact_text(problem) for problem in result.problems)
        text = f"not reloaded, the configuration in use stays:\n{lines}\n"
        return PlainTextResponse(text, HTTPStatus.INTERNAL_SERVER_ERROR)

    return router


def from_loopback(request: Request) -> bool:
    """Whether the request comes from this machine itself.

    A proxy on this machine would make everybody look local, and so would a page in a browser on
    it: what either adds to a request is refused.
    """
    if request.client is None or any(name in request.headers for name in _FROM_ELSEWHERE):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
