"""Options that several commands take, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config.file",
        "--config-file",
        envvar="RESTATE_MEDIC_CONFIG_FILE",
        help="The configuration (restate-medic.yaml). Without one: a Restate on localhost.",
        show_default=False,
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option("--target", help="Which target, when there is more than one.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before acting.")]
Why = Annotated[
    str, typer.Option("--reason", help="Why, in your words, for the ledger.", show_default=False)
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        help="Insist where a preflight refuses; the refusal says with which word.",
        show_default=False,
    ),
]
