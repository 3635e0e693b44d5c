"""Log lines: one JSON object each, everybody's, and never with a secret in them."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from exporter.log import configure_logging

SECRET = "hunter2hunter2"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream for the lines; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json(stream: io.StringIO) -> None:
    """Time, level, constant event name, fields: one object a line, whatever is in the fields."""
    configure_logging(stream=stream)
    structlog.get_logger("exporter.round").info("round.ended", target="ä\nb", n=1, x=float("nan"))
    (line,) = lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")
    assert line["event"] == "round.ended"
    assert line["level"] == "info"
    assert line["logger"] == "exporter.round"
    assert line["target"] == "ä\nb"
    assert line["x"] == "nan"


def test_libraries_come_the_same_way(stream: io.StringIO) -> None:
    """Records of uvicorn, apscheduler, alembic and warnings are lines like ours."""
    configure_logging(stream=stream)
    for name in ("uvicorn.error", "apscheduler.scheduler", "alembic.runtime"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("about %s", name)
    warnings.warn("careful", stacklevel=1)
    found = lines(stream)
    assert [line["event"] for line in found[:3]] == [
        "about uvicorn.error",
        "about apscheduler.scheduler",
        "about alembic.runtime",
    ]
    assert "careful" in found[3]["event"]


def test_the_level_holds_for_everybody(stream: io.StringIO) -> None:
    """What is below the level is not written, and setting up again changes the level."""
    log = structlog.get_logger()
    configure_logging("error", stream=stream)
    log.warning("a.b")
    logging.getLogger("x").warning("c")
    assert stream.getvalue() == ""
    configure_logging("DEBUG", stream=stream)
    log.debug("a.b")
    assert [line["event"] for line in lines(stream)] == ["a.b"]


def test_an_unknown_level_is_told(stream: io.StringIO) -> None:
    """A mistyped level is an error that lists the levels."""
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        configure_logging("verbose", stream=stream)


class Odd:
    """Has a secret in its text."""

    def __str__(self) -> str:
        return f"https://user:{SECRET}@host/"


class Broken:
    """Cannot be written."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def fail() -> None:
    raise RuntimeError(f"cannot reach http://me:{SECRET}@h/")


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_no_secret_is_written(stream: io.StringIO, log_format: Any) -> None:
    """Secrets by name, in URLs, in nested data, objects, exceptions, tracebacks and libraries."""
    configure_logging("debug", log_format=log_format, stream=stream)
    log = structlog.get_logger()
    log.info(
        "a.b",
        url=f"http://me:{SECRET}@h:9070/x",
        admin_token=SECRET,
        headers={"x": SECRET},
        nested=[{"authorization": SECRET, "odd": Odd()}, (f"Bearer {SECRET}",)],
        odd=Odd(),
        problem=ValueError(f"http://me:{SECRET}@h/"),
        raw=f"key_{SECRET}".encode(),
    )
    try:
        fail()
    except RuntimeError:
        log.exception("c.d")
    logging.getLogger("uvicorn.error").error("failed: %s", Odd(), exc_info=ValueError(str(Odd())))
    structlog.contextvars.bind_contextvars(api_key=SECRET)
    log.info("e.f")
    assert SECRET not in stream.getvalue()
    assert "http://REDACTED@h:9070/x" in stream.getvalue()
    assert "RuntimeError: cannot reach" in stream.getvalue()


def test_a_field_that_cannot_be_written_loses_nothing_else(stream: io.StringIO) -> None:
    """A log call never raises over its fields, and the rest of the line is there."""
    configure_logging(stream=stream)
    loop: list[Any] = []
    loop.append(loop)
    structlog.get_logger().info("a.b", broken=Broken(), lone="\ud800", loop=loop, fine=1)
    (line,) = lines(stream)
    assert line["fine"] == 1
    assert "RuntimeError" in line["broken"]


def test_remote_text_cannot_steer_a_terminal(stream: io.StringIO) -> None:
    """Control characters are spelled out in the pretty format, in fields and in events."""
    configure_logging(log_format="pretty", stream=stream)
    structlog.get_logger().info("a.b", error="\x1b[2J\x07 wiped")
    logging.getLogger("x").error("\x1b]0;title\x07")
    assert "\x1b" not in stream.getvalue()
    assert r"\x1b[2J" in stream.getvalue()


def test_auto_is_pretty_on_a_terminal_only(stream: io.StringIO) -> None:
    """A pipe gets JSON, a person gets text."""
    configure_logging(stream=stream)
    structlog.get_logger().info("a.b")
    assert stream.getvalue().startswith("{")
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    configure_logging(stream=terminal)
    structlog.get_logger().info("a.b")
    assert not terminal.getvalue().startswith("{")
    assert "a.b" in terminal.getvalue()
