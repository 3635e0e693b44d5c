"""Who asks for something over HTTP, and why: what the ledger keeps of a call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

from fastapi import Header
from fastapi import Request as HttpRequest

from exporter.model.keys import ApiKey, Role
from exporter.model.operation import Request
from exporter.model.redact import redact_text
from exporter.wire.operator import LONGEST_REASON

_LONGEST_ARGUMENTS = 4096
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def reason_header(
    x_reason: Annotated[
        str | None,
        Header(alias="X-Reason", description="Why, for the ledger.", max_length=LONGEST_REASON),
    ] = None,
) -> None:
    """A dependency that checks and documents the header; ``request_of`` reads what was meant."""
    del x_reason


def request_of(
    http: HttpRequest,
    remedy: str,
    *,
    target: str | None,
    arguments: Mapping[str, Any],
    allow: Iterable[str] = (),
    reason: str | None,
    now: datetime,
) -> Request:
    """A call by the holder of an operator's key. ``X-Reason`` wins over the body's reason."""
    key = _key_of(http)
    return Request(
        target=_named(target),
        remedy=remedy,
        arguments=arguments,
        source="api",
        actor=key.name,
        role=str(key.role),
        route=http.scope["route"].path,  # as it is documented: what stands in it is arguments
        reason=_reason_of(http) or reason or "",
        allow=frozenset(allow),
        request_id=http.state.request_id,
        asked_at=now,
    )


def kept(body: object) -> dict[str, Any]:
    """What is kept of a body that was refused: all of it, unless it is no object or too long."""
    if not isinstance(body, dict):
        return {}
    try:
        text = json.dumps(body, default=str)
    except (ValueError, RecursionError):
        return {"body": "not kept"}
    return body if len(text) <= _LONGEST_ARGUMENTS else {"body": "too long to keep"}


def _key_of(http: HttpRequest) -> ApiKey:
    key = http.state.key
    if not isinstance(key, ApiKey) or key.role is not Role.OPERATOR:
        msg = f"{http.url.path} was reached without an operator's key"  # the gate is broken
        raise TypeError(msg)
    return key


def _named(target: str | None) -> str:
    """The target as it may be written down: what can be no name of one is left out."""
    return redact_text(target) if target and _TARGET.fullmatch(target) else ""


def _reason_of(http: HttpRequest) -> str:
    """``X-Reason`` as it was meant: HTTP reads header bytes as Latin-1, people send UTF-8."""
    text = http.headers.get("x-reason", "")
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")
    return text[:LONGEST_REASON]
