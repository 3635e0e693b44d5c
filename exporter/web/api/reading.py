"""Routes that only read: answered to GET and HEAD, and documented with what the gate may answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Response, Security

from exporter.web.api.errors import documented
from exporter.web.entry.security import key_header
from exporter.wire.operator import Code

_F = TypeVar("_F", bound=Callable[..., Any])
_AT_THE_GATE = (
    Code.UNAUTHORIZED,
    Code.TOO_MANY_REQUESTS,
    Code.INTERNAL,
    Code.LEDGER_UNAVAILABLE,
)


def reading(
    router: APIRouter,
    path: str,
    *codes: Code,
    media: tuple[str, ...] = (),
    also: dict[int, str] | None = None,
) -> Callable[[_F], _F]:
    """Register a function for GET and HEAD.

    ``codes`` are errors of its own, ``media`` what it answers with when that is not JSON, ``also``
    other statuses with a plain text.
    """
    responses = documented(*_AT_THE_GATE, *codes)
    for status, description in (also or {}).items():
        answer = responses.setdefault(status, {})
        answer["description"] = ", ".join(filter(None, (description, answer.get("description"))))
        answer["content"] = {"text/plain": {}}
    options: dict[str, Any] = {}
    if media:
        options["response_class"] = Response  # none of its own: then errors stay JSON
        responses[200] = {"content": {kind: {} for kind in media}}
    guards = [Security(key_header)]

    def register(function: _F) -> _F:
        router.get(path, responses=responses, dependencies=guards, **options)(function)
        router.head(path, include_in_schema=False, **options)(function)
        return function

    return register
