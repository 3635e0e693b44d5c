"""How commands speak to people and programs: exit codes, errors, JSON, times, colours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import IntEnum
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from exporter.model.component import Reason, Status
from exporter.model.errors import (
    CallFailedError,
    ConfigurationError,
    LedgerUnavailableError,
    MedicError,
    NotFoundError,
    RefusedElsewhereError,
)
from exporter.model.operation import Outcome
from exporter.model.redact import redact_text

_P = ParamSpec("_P")
_R = TypeVar("_R")

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """The documented exit codes."""

    FINE = 0
    UNHEALTHY = 1
    USAGE = 2
    UNREACHABLE = 3


STYLE = {
    Status.OK: "green",
    Status.DEGRADED: "yellow",
    Status.UNREACHABLE: "red",
    Status.UNKNOWN: "magenta",
    Status.OFF: "dim",
}
OUTCOME_STYLE = {
    Outcome.VERIFIED: "green",
    Outcome.NOTHING_TO_DO: "green",
    Outcome.OBSERVED: "cyan",
    Outcome.PARTIAL: "yellow",
    Outcome.UNVERIFIED: "yellow",
    Outcome.REFUSED: "yellow",
}


_NOT_REACHED = frozenset({"admin-unreachable", "discovery-failed", "throttled"})
"""What a daemon calls a Restate or a worker that it could not reach."""
_WRITTEN = frozenset({"target", "policy", "remedy"})
"""Names that are written down somewhere: another one is a slip of who typed it."""


def fail(message: str, code: Exit) -> NoReturn:
    """Say what is wrong on stderr and leave with the code."""
    for line in redact_text(message).splitlines():
        err.print(line, markup=False)
    raise typer.Exit(int(code))


def print_json(data: object) -> None:
    """Write JSON for programs: plain, on stdout, whatever the terminal."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def lay_out(*parts: RenderableType) -> None:
    """Print as wide as the terminal is, without the blanks that end a table's lines."""
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    lines = captured.get().split("\n")
    out.file.write("\n".join(line.rstrip(" ") for line in lines))


def columns(*headings: str, fold: str = "") -> Table:
    """A table as all commands print it; only ``fold`` gives way where the terminal is narrow."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        folds = heading == fold
        table.add_column(heading, no_wrap=not folds, overflow="fold" if folds else "ellipsis")
    return table


def bullets(steps: Iterable[str]) -> Table:
    """Steps one below the other; what is too long goes on beneath its beginning."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(2):
        table.add_column(overflow="fold")
    for step in steps:
        table.add_row("  •", escape(step))
    return table


def exit_code_of(error: MedicError) -> Exit:
    """The exit code that belongs to an error."""
    match error:
        case ConfigurationError():
            return Exit.USAGE
        case CallFailedError() if error.reason is Reason.UNAUTHORIZED:
            return Exit.UNHEALTHY
        case CallFailedError() | LedgerUnavailableError():
            return Exit.UNREACHABLE
        case RefusedElsewhereError() if error.reason in _NOT_REACHED:
            return Exit.UNREACHABLE
        case NotFoundError() if error.kind in _WRITTEN:
            return Exit.USAGE
        case _:
            return Exit.UNHEALTHY


def friendly(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn the errors we raise on purpose into one clear message and the right exit code."""

    @wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except MedicError as error:
            fail(str(error), exit_code_of(error))

    return run


def when(moment: datetime | None) -> str:
    """A moment as people read it: UTC to the second."""
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%SZ")


def when_text(moment: str | None) -> str:
    """The same of a timestamp in a body."""
    return "" if moment is None else when(datetime.fromisoformat(moment))


def value_text(value: object) -> str:
    """A fact of a body in a line of words."""
    if isinstance(value, dict):
        return ", ".join(
            f"{k}={{{value_text(v)}}}" if isinstance(v, dict) else f"{k}={value_text(v)}"
            for k, v in value.items()
        )
    if isinstance(value, list):
        return ", ".join(value_text(v) for v in value) or "none"
    return str(value)
