"""``restate-medic redeploy``: register a worker again, the way a policy would."""

from __future__ import annotations

from typing import Annotated

import typer

from exporter.cli.operate import Ask, operate
from exporter.cli.options import Allow, AsJson, ConfigFile, DryRun, TargetName, Why, Yes
from exporter.cli.output import friendly


@friendly
def redeploy(
    url: Annotated[
        str | None,
        typer.Argument(
            help="The worker's URL; the target's only worker by default.", show_default=False
        ),
    ] = None,
    *,
    target: TargetName = None,
    config_file: ConfigFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "",
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Register a worker with Restate again, so that the services it offers now are reachable.

    Refuses what would hurt: a URL that is not the latest, a worker that lost a
    service or a handler or changed a type. Headers, metadata and overrides that a
    registration wipes are kept.
    """
    operate(
        Ask(
            config_file=config_file,
            target=target,
            remedy="force-redeploy",
            arguments={} if url is None else {"url": url},
            reason=reason,
            allow=frozenset(map(str, allow or ())),
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
        )
    )
