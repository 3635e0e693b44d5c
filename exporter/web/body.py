"""How much of a body is read at most: no more than anything here needs."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

MOST_BODY_BYTES = 65_536


def bounded(scope: Scope, receive: Receive) -> Receive:
    """The same ``receive``, which raises a 413 where a body is, or says it is, too long.

    It raises inside the route that reads, so that the route's own error handling tells of it.
    """
    announced = Headers(scope=scope).get("content-length", "0")
    too_long = not announced.isdecimal() or int(announced) > MOST_BODY_BYTES
    got = 0

    async def received() -> Message:
        nonlocal got
        if too_long:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        message = await receive()
        got += len(message.get("body", b""))
        if got > MOST_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message

    return received
