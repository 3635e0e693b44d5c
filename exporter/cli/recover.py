"""``restate-medic recover``: free a workflow key whose run failed."""

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
from exporter.cli.output import friendly


@friendly
def recover(
    service: Annotated[str, typer.Argument(help="The workflow.", metavar="SERVICE")],
    key: Annotated[str, typer.Argument(help="Its key.", metavar="KEY")],
    *,
    target: TargetName = None,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Why = "",
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Purge the failed run of a workflow key, so that the key can run again.

    What the run left (state, promises) goes with it. Refused while anything of the
    key is still active, after a run that succeeded, and (before Restate 1.8) while
    a sleep of the failed run is still to fire. Nothing is ever killed.
    """
    operate(
        Ask(
            where=Where(config_file, daemon, key_file),
            target=target,
            remedy="recover-stuck-workflow",
            arguments={"serviceName": service, "serviceKey": key},
            reason=reason,
            allow=frozenset(allow or ()),
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
        )
    )
