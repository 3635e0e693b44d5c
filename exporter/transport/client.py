"""The shared pool of connections, and the small client each remote system gets.

Every call has one limit on its whole time and one on the size of its answer.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Self, cast

import aiohttp
import certifi
import httpx
from httpx_aiohttp import AiohttpTransport

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError, MedicError
from exporter.transport.address import split_base
from exporter.transport.answer import Answer
from exporter.transport.failure import translate

TokenProvider = Callable[[], str | None]
"""Gives the token of this moment, so that a secret that was read again is used at once."""

DEFAULT_TIMEOUT = timedelta(seconds=10)
DEFAULT_MAX_BYTES = 16 * 1024 * 1024
_CONNECT_TIMEOUT_SECONDS = 5.0
_CONNECT_SHARE = 0.8
"""Connecting ends before the whole call does: a call that ran out of time was sent."""
_CONNECTIONS_PER_HOST = 32
_KEEPALIVE_SECONDS = 30.0
_DNS_CACHE_SECONDS = 30
_ERROR_BODY_BYTES = 64 * 1024
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "accept": "application/json",
        # An answer nobody compressed cannot unpack into more than was counted.
        "accept-encoding": "identity",
        "user-agent": "restate-medic",
    }
)


class HttpClient:
    """Calls one remote system. Made by ``Transport.client``; holds no connection of its own."""

    def __init__(
        self,
        http: httpx.AsyncBaseTransport,
        base_url: str,
        *,
        token: TokenProvider | None,
        token_header: str | None,
        headers: Mapping[str, str],
        timeout: timedelta,
        max_bytes: int,
    ) -> None:
        self._http = http
        self._base, self._basic = split_base(base_url)
        self._token = token
        self._token_header = token_header
        self._headers = {**_HEADERS, **headers}
        self._timeout = timeout
        self._max_bytes = max_bytes

    @property
    def base_url(self) -> str:
        """Where this client calls, without user info or a trailing slash."""
        return self._base

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109 - of the whole exchange, applied here
        max_bytes: int | None = None,
        expect: tuple[int, ...] = (200,),
    ) -> Answer:
        """Make one call and read its whole answer; redirects are not followed.

        Args:
            method: The HTTP method.
            path: Begins with a slash, already quoted; appended to the base URL's own path.
            json: A body to send as JSON; None for no body.
            headers: Beside those of the client.
            timeout: For everything from the name lookup to the last byte.
            max_bytes: The longest body that is read; more is ``too_large``.
            expect: The statuses to return. Any other is raised.

        Raises:
            CallFailedError: Whatever went wrong.
        """
        place = f"{method} {self._base}{path.partition('?')[0]}"
        seconds = (timeout or self._timeout).total_seconds()
        cap = max_bytes or self._max_bytes
        request: httpx.Request | None = None
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(seconds):
                request = self._build(method, path, json, headers, seconds)
                response = await self._http.handle_async_request(request)
                stream = cast("httpx.AsyncByteStream", response.stream)
                try:
                    body = await _read(
                        response, stream, cap, place, expected=response.status_code in expect
                    )
                finally:
                    await stream.aclose()
        except MedicError:
            raise
        except Exception as error:
            if response is not None and response.status_code not in expect:
                raise Answer(
                    response.status_code, response.headers, b"", place
                ).failure() from error
            raise translate(
                error, place, built=request is not None, answering=response is not None
            ) from error
        answer = Answer(response.status_code, response.headers, body, place)
        if answer.status not in expect:
            raise answer.failure()
        return answer

    async def get_json(self, path: str, **options: Any) -> Any:  # noqa: ANN401 - passed on
        """GET ``path`` and parse its JSON. ``options`` as in ``request``."""
        return (await self.request("GET", path, **options)).json()

    def _build(
        self,
        method: str,
        path: str,
        json: object,
        headers: Mapping[str, str] | None,
        seconds: float,
    ) -> httpx.Request:
        sent = {**self._headers, **(headers or {}), **self._authorization()}
        body = b""
        if json is not None:
            sent["content-type"] = "application/json"
            body = jsonlib.dumps(json).encode()
        make = _request if body else _repeated
        connect = min(_CONNECT_TIMEOUT_SECONDS, _CONNECT_SHARE * seconds)
        return make(method, self._base + path, tuple(sent.items()), connect, body)

    def _authorization(self) -> dict[str, str]:
        if self._token is None:
            return self._basic
        try:
            token = self._token()
        except (OSError, ValueError, MedicError) as error:
            raise _unauthorized(self._base, "the token cannot be read") from error
        if token is None:
            return self._basic
        if not (token.isascii() and token.isprintable() and token.strip() == token and token):
            raise _unauthorized(self._base, "the token is empty or has characters no token has")
        if self._token_header is not None:
            return {**self._basic, self._token_header: token}
        return {"authorization": f"Bearer {token}"}


class Transport:
    """One pool of connections and one TLS context for every client; close it last.

    Connections belong to the event loop that makes the first call. Cookies are neither kept nor
    sent, and the environment's proxy settings are not read.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context or default_ssl_context()
        # Not behind an httpx.AsyncClient: what it adds (cookies, redirects, hooks) is what we want
        # none of, and as much work as the call itself.
        self._http = AiohttpTransport(verify=self._ssl, trust_env=False, client=self._session)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._ssl,
                limit=0,
                limit_per_host=_CONNECTIONS_PER_HOST,
                keepalive_timeout=_KEEPALIVE_SECONDS,
                ttl_dns_cache=_DNS_CACHE_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # aiohttp would call no body at all a body of octets, which an ingress refuses.
            skip_auto_headers=("content-type",),
            trust_env=False,
        )

    def client(
        self,
        base_url: str,
        *,
        token: TokenProvider | None = None,
        token_header: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> HttpClient:
        """Make a client for a base URL, whose path is kept and whose user info becomes basic auth.

        The token is sent as a bearer's, or as it is in ``token_header``, beside the basic auth.
        Raises ``ConfigurationError`` when it is not an http(s) URL.
        """
        return HttpClient(
            self._http,
            base_url,
            token=token,
            token_header=token_header,
            headers=headers or {},
            timeout=timeout,
            max_bytes=max_bytes,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def default_ssl_context() -> ssl.SSLContext:
    """Trust the machine's certificates, or certifi's where the machine has none."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        context.load_verify_locations(certifi.where())
    return context


def _request(
    method: str,
    url: str,
    headers: tuple[tuple[str, str], ...],
    connect_seconds: float,
    body: bytes,
) -> httpx.Request:
    request = httpx.Request(
        method,
        url,
        headers=[(name.encode(), value.encode()) for name, value in headers],
        # Of a stream httpx adds no headers, which is most of its work; aiohttp adds them anyway.
        stream=httpx.ByteStream(body),
        # `pool` is what aiohttp calls `connect`: name lookup, TCP and TLS together.
        extensions={"timeout": {"connect": connect_seconds, "pool": connect_seconds}},
    )
    request.read()
    return request


_repeated = lru_cache(maxsize=4096)(_request)
"""The same calls are made over and over, and making a request takes as long as sending one."""


async def _read(
    response: httpx.Response,
    stream: httpx.AsyncByteStream,
    cap: int,
    place: str,
    *,
    expected: bool,
) -> bytes:
    """Read the body up to ``cap`` bytes; of an error's body only what a message needs."""
    response.headers.encoding = "latin-1"  # finding it out would take longer than reading
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        if not expected:
            return b""
        raise _unusable(
            Reason.BAD_BODY, f"{place}: compressed although we asked for plain", response
        )
    body = bytearray()
    limit = cap if expected else _ERROR_BODY_BYTES
    async for chunk in stream:
        body += chunk
        if len(body) > limit:
            if not expected:
                break
            raise _unusable(
                Reason.TOO_LARGE, f"{place}: the answer exceeds {cap:,} bytes", response
            )
    return bytes(body)


def _unusable(reason: Reason, message: str, response: httpx.Response) -> CallFailedError:
    return CallFailedError(reason, message, http_status=response.status_code)


def _unauthorized(place: str, why: str) -> CallFailedError:
    return CallFailedError(Reason.UNAUTHORIZED, f"{place}: {why}", sent=False)
