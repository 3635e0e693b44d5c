"""The field types that the configuration is made of, each refusing with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from exporter.model.duration import format_duration, parse_duration
from exporter.model.target import is_placeholder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def _positive(value: object) -> timedelta:
    duration = parse_duration(value)
    if duration <= timedelta(0):
        msg = f"{value!r} is zero; write a duration such as 15s"
        raise ValueError(msg)
    return duration


def _at_least(shortest: timedelta) -> BeforeValidator:
    def checked(value: object) -> timedelta:
        duration = _positive(value)
        if duration < shortest:
            msg = f"{value!r} is too short; write {format_duration(shortest)} or more"
            raise ValueError(msg)
        return duration

    return BeforeValidator(checked)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the reference calls values of a type; None for a key that is always refused."""

    words: str | None


Duration = Annotated[timedelta, BeforeValidator(_positive), Kind("duration")]
Interval = Annotated[timedelta, _at_least(timedelta(seconds=1)), Kind("duration, `1s` or more")]
Lease = Annotated[timedelta, _at_least(timedelta(seconds=5)), Kind("duration, `5s` or more")]

Keeping = Annotated[timedelta, _at_least(timedelta(days=30)), Kind("duration, `30d` or more")]


def _http_url(value: object) -> str:
    url = str(value).strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in {"http", "https"} and bool(parts.hostname)
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        msg = f"{url!r} is not a URL; write http://host:port or https://host:port"
        raise ValueError(msg)
    if is_placeholder(url):
        msg = f"{url!r} is a placeholder; write the real address"
        raise ValueError(msg)
    return url


def _base_url(value: object) -> str:
    url = _http_url(value)
    if urlsplit(url).query or urlsplit(url).fragment:
        msg = f"{url!r} is not a base URL; write it without ? and #"
        raise ValueError(msg)
    return url


def _service_url(value: object) -> str:
    url = str(value).strip()
    return url if url.startswith("arn:") else _http_url(url)


ServiceUrl = Annotated[str, BeforeValidator(_service_url), Kind("URL or ARN")]
"""Of a worker; a Lambda function has an ARN."""
BaseUrl = Annotated[str, BeforeValidator(_base_url), Kind("URL")]


_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_TAKEN = ("-", "api", "audit", "openapi.json", "policies", "targets")


def _telemetry_path(value: object) -> str:
    path = str(value)
    if not _PATH.fullmatch(path):
        msg = f"{path!r} is not a path; write one such as /metrics, without / at the end, ? and #"
        raise ValueError(msg)
    if path.split("/")[1] in _TAKEN:
        msg = f"{path!r} is the place of something else; write one such as /metrics"
        raise ValueError(msg)
    return path


TelemetryPath = Annotated[str, BeforeValidator(_telemetry_path), Kind("path of a URL")]
"""Where the metrics are; nothing else is there or below."""


def problem(path: tuple[int | str, ...], message: str) -> ValidationError:
    """A problem at a part of the value under validation."""
    return problems({path: message})


def problems(messages: Mapping[tuple[int | str, ...], str]) -> ValidationError:
    """Several of them, each with its part."""
    details: list[InitErrorDetails] = []
    for path, message in messages.items():
        kind = PydanticCustomError("value_error", "{error}", {"error": message})
        details.append(InitErrorDetails(type=kind, loc=path, input=message))
    return ValidationError.from_exception_data("configuration", details)


def plain_name(name: str) -> str:
    """The name, if it is one that can be a label and a part of a URL; else ValueError."""
    if not _NAME.fullmatch(name):
        msg = f"{name!r} is not a name; use letters, digits, dots, dashes and underscores"
        raise ValueError(msg)
    return name
