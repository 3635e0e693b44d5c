"""``restate-medic invocations``: resume, cancel, kill, purge or restart the ones that are named."""

from __future__ import annotations

from collections.abc import Callable
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

app = typer.Typer(
    help="Resume, cancel, kill, purge or restart invocations by their ids.", no_args_is_help=True
)

_Ids = Annotated[list[str], typer.Argument(metavar="ID", help="Invocation ids.")]
_HELP = {
    "cancel": "Ask invocations to end, so that their code can compensate.",
    "kill": "End invocations and their children at once; nothing compensates.",
    "purge": "Forget completed invocations, and with a workflow's run its state.",
    "restart": "Run completed invocations again from their start, as new ones; no workflows.",
}


@app.command()
@friendly
def resume(
    ids: _Ids,
    *,
    deployment: Annotated[
        str,
        typer.Option(help="Where to go on: keep, latest, or a deployment's id.", metavar="WHERE"),
    ] = "keep",
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
    """Try paused invocations again: one first, and the others only if that one runs.

    Refused unless the endpoint answers a discovery. Left alone is what a person
    paused, and what failed with RT0011 or RT0016: insist on those with --allow and
    the word paused-by-person, zombie or journal-mismatch.
    """
    operate(
        Ask(
            where=Where(config_file, daemon, key_file),
            target=target,
            remedy="resume-invocations",
            arguments={"ids": ids, "deployment": deployment},
            reason=reason,
            allow=frozenset(allow or ()),
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
        )
    )


def _command(verb: str) -> Callable[..., None]:
    def command(
        ids: _Ids,
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
        operate(
            Ask(
                where=Where(config_file, daemon, key_file),
                target=target,
                remedy=f"{verb}-invocations",
                arguments={"ids": ids},
                reason=reason,
                allow=frozenset(allow or ()),
                dry_run=dry_run,
                yes=yes,
                as_json=as_json,
            )
        )

    return friendly(command)


for _verb, _help in _HELP.items():
    app.command(_verb, help=_help)(_command(_verb))
