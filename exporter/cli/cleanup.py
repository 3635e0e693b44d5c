"""``restate-medic cleanup``: remove drained deployments that a newer one replaced."""

from __future__ import annotations

from typing import Annotated

import typer

from exporter.cli.office.office import Where
from exporter.cli.operate import Ask, operate
from exporter.cli.options import (
    Allow,
    AsJson,
    ConfigFile,
    DryRun,
    KeyFile,
    TargetName,
    Url,
    Why,
    Yes,
)
from exporter.cli.output import Exit, fail, friendly


@friendly
def cleanup(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The URL to keep; the target's only worker by default.",
            show_default=False,
        ),
    ] = None,
    *,
    target: TargetName = None,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    max_items: Annotated[
        int, typer.Option(min=1, help="Delete at most this many.", metavar="COUNT")
    ] = 10,
    force_drain: Annotated[
        bool, typer.Option("--force-drain", help="Kill what is pinned to dead endpoints.")
    ] = False,
    max_kills: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --force-drain: at most this many.",
            metavar="COUNT",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "",
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Delete deployments that are not the latest for any service and have no work left.

    Foreign and protected deployments are never touched; one that still has work
    is skipped, and said so. Nothing is killed, unless --force-drain says so: then
    exactly the work that the plan lists, on endpoints that answer no discovery.
    """
    arguments: dict[str, object] = {"max_items": max_items}
    if force_drain:
        if max_kills is None:
            fail("--force-drain needs --max-kills", Exit.USAGE)
        arguments |= {"force_drain": True, "max_kills": max_kills}
    if url is not None:
        arguments["url"] = url
    operate(
        Ask(
            where=Where(config_file, daemon, key_file),
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
