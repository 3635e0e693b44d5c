"""How much of a body is read at most: no more than anything here needs."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

MOST_BODY_BYTES = 65_536
WEBHOOK = "/api/v1/alertmanager"
_MORE: Mapping[str, int] = MappingProxyType({WEBHOOK: 1_048_576})
"""By path. A group of alerts is as long as whoever wrote their rules likes."""


def bounded(scope: Scope, receive: Receive) -> Receive:
    """The same ``receive``, which raises a 413 where a body is, or says it is, too long.

    It raises inside the route that reads, so that the route's own error handling tells of it.
    """
    most = _MORE.get(scope["path"], MOST_BODY_BYTES)
    announced = Headers(scope=scope).get("content-length", "0")
    too_long = not announced.isdecimal() or int(announced) > most
    refusal = HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {most} bytes"
    )
    got = 0

    async def received() -> Message:
        nonlocal got
        if too_long:
            raise refusal
        message = await receive()
        got += len(message.get("body", b""))
        if got > most:
            raise refusal
        return message

    return received
