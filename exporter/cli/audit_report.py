"""``restate-medic audit report``: what a night was like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

import typer

from exporter.app.check import check
from exporter.app.open import utc_now
from exporter.cli.options import ConfigFile
from exporter.cli.orders import open_ledger
from exporter.cli.output import Exit, err, fail, friendly
from exporter.model.duration import parse_duration
from exporter.model.errors import ConfigurationError
from exporter.policy.policy import Policy
from exporter.report.gather import report as gather
from exporter.report.html import to_html
from exporter.report.markdown import to_markdown
from exporter.settings.load import Configuration, load
from exporter.wire.report import ReportBody


class Format(StrEnum):
    """How the report is written."""

    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


def _to_json(body: ReportBody) -> str:
    return json.dumps(body.as_json(), indent=2, ensure_ascii=False) + "\n"


_WRITERS: Mapping[Format, Callable[[ReportBody], str]] = MappingProxyType(
    {Format.MARKDOWN: to_markdown, Format.HTML: to_html, Format.JSON: _to_json}
)


@friendly
def report(
    *,
    since: Annotated[
        str, typer.Option(help="How far it reaches back: 24h, 7d.", metavar="DURATION")
    ] = "24h",
    format_: Annotated[
        Format, typer.Option("--format", help="Markdown, a page by itself, or JSON.")
    ] = Format.MARKDOWN,
    config_file: ConfigFile = None,
) -> None:
    """Tell what was wrong, done and held since then, and what still waits for a person.

    What ended badly or in doubt comes first. It says where the ledger knows nothing: before it
    began, and while no daemon acted for the targets.
    """
    body = asyncio.run(_report(load(config_file), _duration(since)))
    typer.echo(_WRITERS[format_](body), nl=False)


async def _report(configuration: Configuration, reach: timedelta) -> ReportBody:
    policies = _policies(configuration)
    async with open_ledger(configuration, standing=False) as ledger:
        now = utc_now()
        targets = configuration.targets
        return await gather(ledger, targets=targets, policies=policies, since=now - reach, now=now)


def _policies(configuration: Configuration) -> tuple[Policy, ...] | None:
    """The policies; a file that is broken now must not keep anybody from the night's report."""
    try:
        return check(configuration)
    except ConfigurationError as error:
        err.print(str(error), markup=False)
        return None


def _duration(text: str) -> timedelta:
    try:
        reach = parse_duration(text)
    except ValueError as error:
        fail(f"--since {error}", Exit.USAGE)
    if reach <= timedelta(0):
        fail(f"--since {text!r} is zero; write 24h, say", Exit.USAGE)
    return reach
