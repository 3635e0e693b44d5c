"""The field types that policy files are made of, each refusing with what to write instead."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from exporter.model.duration import parse_duration
from exporter.model.target import normalise_url

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|[dhms]))+$"
FOREVER = "forever"
ANY = "any"
"""Every service."""


class Strict(BaseModel):
    """A mapping in a policy file: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _positive(value: object) -> object:
    """Only what was written is text; a default is a timedelta already."""
    if isinstance(value, timedelta):
        return value
    duration = parse_duration(value)
    if duration <= timedelta(0):
        raise ValueError(f"{value!r} is no time at all; write a duration such as 15s, 2m or 24h")
    return duration


def _positive_or_forever(value: object) -> object:
    if value == FOREVER:
        return None
    if value is None:
        raise ValueError("is empty; write a duration such as 24h, or forever")
    try:
        return _positive(value)
    except ValueError as error:
        raise ValueError(f"{error}, or forever") from error


def _worker_url(value: str) -> str:
    try:
        parts = urlsplit(value.strip())
        scheme, host, user = parts.scheme.lower(), parts.hostname, parts.username
    except ValueError as error:
        raise ValueError(f"is not a URL ({error}); write http://host:port/path") from error
    if scheme == "arn":
        return value.strip()
    if scheme not in {"http", "https"} or not host:
        raise ValueError(f"{value!r} is not a service URL; write http://host:port/path or an ARN")
    if user is not None:
        raise ValueError("carries a user name or password; write the URL without them")
    return normalise_url(value)


def _services(value: object) -> object:
    """A name or a list of names; ``any`` stands alone."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise ValueError(f"must name a service, a list of them, or {ANY}; write service: Billing")
    if not all(isinstance(name, str) and name.strip() == name and name for name in names):
        raise ValueError("has something that is not a service's name; write [Billing, Signup]")
    if ANY in names and len(names) > 1:
        raise ValueError(f"{ANY} is every service; write it alone, or only names")
    return tuple(dict.fromkeys(names))


_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "2m", "24h"]}

Duration = Annotated[timedelta, BeforeValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)]
"""Longer than nothing: ``30s``, ``2m``, ``1h30m``."""

Period = Annotated[
    timedelta | None,
    BeforeValidator(_positive_or_forever),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": FOREVER}]}),
]
"""A duration, or ``forever`` (None)."""

WorkerUrl = Annotated[str, AfterValidator(_worker_url)]
"""A service URL as the server stores it, or a Lambda ARN."""

_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 253}
Services = Annotated[
    tuple[str, ...],
    BeforeValidator(_services),
    WithJsonSchema(
        {"anyOf": [_NAME_SCHEMA, {"type": "array", "items": _NAME_SCHEMA, "minItems": 1}]}
    ),
]
"""Names of services, in the order written; ``any`` alone for all."""
