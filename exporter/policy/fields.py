"""The field types that policy files are made of, each refusing with what to write instead."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from exporter.model.duration import parse_duration
from exporter.model.target import normalise_url
from exporter.policy.words import did_you_mean

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|[dhms]))+$"
FOREVER = "forever"
MANUAL = "manual"
MIDNIGHT = "24:00"
ANY = "any"
"""Every service."""
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


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


def _positive_or_manual(value: object) -> object:
    if value == MANUAL:
        return value
    try:
        return _positive(value)
    except ValueError as error:
        raise ValueError(f"{error}, or manual") from error


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


_SHARE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?%")
_ANCHORED = f"^({_CLOCK.pattern})$"


def _clock_time(value: object) -> str:
    """A time in two digits each; a number is what is left of a time without its quotes."""
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return value
    padded = f"0{value}"
    mend = f'"{padded}"' if _CLOCK.fullmatch(padded) else '00:00 to 23:59, such as "22:00"'
    raise ValueError(f"{value!r} is not a time; write {mend}")


def _end_time(value: object) -> str:
    return MIDNIGHT if value == MIDNIGHT else _clock_time(value)


def _share(value: object) -> str:
    if isinstance(value, str) and _SHARE.fullmatch(value) and float(value[:-1]) <= 100:  # noqa: PLR2004 - percent
        return value
    raise ValueError(f"{value!r} is not a share; write 0% to 100%, such as 40%")


def _zone(value: str) -> str:
    if value not in _zones():
        hint = did_you_mean(value, _zones()) or "; write one such as Europe/Berlin or UTC"
        raise ValueError(f"{value!r} is not a time zone{hint}")
    return value


@cache
def _zones() -> frozenset[str]:
    """The names of the IANA database; reading its list takes a while."""
    return frozenset(available_timezones())


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


def _names(value: list[str]) -> list[str]:
    twice = next((name for number, name in enumerate(value) if name in value[:number]), None)
    if twice is not None:
        raise ValueError(f"names {twice!r} twice; name it once")
    return value


_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "2m", "24h"]}

Duration = Annotated[timedelta, BeforeValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)]
"""Longer than nothing: ``30s``, ``2m``, ``1h30m``."""

Period = Annotated[
    timedelta | None,
    BeforeValidator(_positive_or_forever),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": FOREVER}]}),
]
"""A duration, or ``forever`` (None)."""

ManualReset = Annotated[
    timedelta | Literal["manual"],
    BeforeValidator(_positive_or_manual),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": MANUAL}]}),
]
"""A duration, or ``manual``."""

WorkerUrl = Annotated[str, AfterValidator(_worker_url)]
"""A service URL as the server stores it, or a Lambda ARN."""

ClockTime = Annotated[
    str, BeforeValidator(_clock_time), WithJsonSchema({"type": "string", "pattern": _ANCHORED})
]
"""A time of day, ``00:00`` to ``23:59``."""

EndTime = Annotated[
    str,
    BeforeValidator(_end_time),
    WithJsonSchema({"type": "string", "pattern": _ANCHORED.replace("^", "^24:00$|^", 1)}),
]
"""A time of day, or ``24:00``."""

Zone = Annotated[str, AfterValidator(_zone)]
"""The name of an IANA time zone."""

Share = Annotated[
    str,
    BeforeValidator(_share),
    WithJsonSchema({"type": "string", "pattern": f"^{_SHARE.pattern}$", "examples": ["40%"]}),
]
"""A part of a whole: ``40%``."""

Names = Annotated[list[str], Field(min_length=1), AfterValidator(_names)]
"""Names of notifiers, each once."""

_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 253}
Services = Annotated[
    tuple[str, ...],
    BeforeValidator(_services),
    WithJsonSchema(
        {"anyOf": [_NAME_SCHEMA, {"type": "array", "items": _NAME_SCHEMA, "minItems": 1}]}
    ),
]
"""Names of services, in the order written; ``any`` alone for all."""
