"""``restate-medic cleanup``: remove drained deployments that a newer one replaced."""

from __future__ import annotations

from typing import Annotated

import typer

from exporter.cli.operate import Ask, operate
from exporter.cli.options import Allow, AsJson, ConfigFile, DryRun, TargetName, Why, Yes
from exporter.cli.output import friendly


@friendly
def cleanup(
    url: Annotated[
        str | None,
        typer.Argument(
            help="The URL to keep; the target's only worker by default.", show_default=False
        ),
    ] = None,
    *,
    target: TargetName = None,
    config_file: ConfigFile = None,
    max_items: Annotated[
        int, typer.Option(min=1, help="Delete at most this many.", metavar="COUNT")
    ] = 10,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "",
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Delete deployments that are not the latest for any service and have no work left.

    Foreign and protected deployments are never touched; one that still has work
    is skipped, and said so. Nothing is ever killed.
    """
    arguments: dict[str, object] = {"max_items": max_items}
    if url is not None:
        arguments["url"] = url
    operate(
        Ask(
            config_file=config_file,
            target=target,
            remedy="cleanup-stale-deployments",
            arguments=arguments,
            reason=reason,
            allow=frozenset(map(str, allow or ())),
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
        )
    )
