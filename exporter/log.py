"""Logging: one line of JSON for each event on stderr, or something readable on a terminal.

Everything ends here, the libraries' own records included, and everything passes the redaction of
``model.redact``. Events are constant dotted names; what varies are fields.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from exporter.model.redact import sanitise

LogFormat = Literal["auto", "json", "pretty"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_CHATTY = ("aiohttp", "alembic", "apscheduler", "asyncio", "httpcore", "httpx", "uvicorn")
"""Libraries whose warnings matter and whose information does not."""
_FIRST = ("timestamp", "level", "event")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DEEPEST = 20


def configure_logging(
    level: str = "info", *, log_format: LogFormat = "auto", stream: TextIO | None = None
) -> None:
    """Set up structlog and the standard library's logging for the whole process; may be repeated.

    ``level`` is debug, info, warning or error (ValueError otherwise). ``stream`` is stderr when
    None; ``auto`` is pretty when that is a terminal.
    """
    number = _number(level)
    out = stream or sys.stderr
    pretty = log_format == "pretty" or (log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                *_renderers(pretty=pretty, colors=out.isatty()),
            ],
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace secrets in every field, by name and inside text; the last step before rendering.

    What is not plain data (an exception, a URL object) becomes text first, so that nothing passes.
    """
    return {key: sanitise(_plain(value), name=key) for key, value in event.items()}


def _renderers(*, pretty: bool, colors: bool) -> list[Processor]:
    if not pretty:
        return [_ordered, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [
        _visible,
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _ordered(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: event[key] for key in _FIRST if key in event} | dict(event)


def _visible(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Spell out control characters: remote text must not steer somebody's terminal."""
    return {
        key: _CONTROL.sub(lambda found: repr(found[0])[1:-1], value)
        if isinstance(value, str)
        else value
        for key, value in event.items()
    }


def _plain(value: object, depth: int = 0) -> object:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no NaN
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(k): _plain(v, depth + 1) for k, v in value.items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v, depth + 1) for v in value]
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a log line must never break what it tells about
        return f"<{type(value).__name__}: {type(error).__name__} in str()>"


def _number(level: str) -> int:
    try:
        return _LEVELS[level.lower()]
    except KeyError:
        known = ", ".join(_LEVELS)
        raise ValueError(f"{level!r} is not a log level; write one of {known}") from None
