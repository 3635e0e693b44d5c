"""Options that several commands take, written once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Override(StrEnum):
    """What a person may insist on."""

    DROP_SERVICE = "drop-service"
    CHANGE_TYPE = "change-type"
    ROLLBACK = "rollback"
    FOREIGN = "foreign"
    PAUSED_BY_PERSON = "paused-by-person"
    ZOMBIE = "zombie"
    JOURNAL_MISMATCH = "journal-mismatch"
    UNKNOWN_SLEEPS = "unknown-sleeps"


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config.file",
        envvar="RESTATE_MEDIC_CONFIG_FILE",
        help="The configuration; RESTATE_MEDIC_CONFIG_FILE may name it too. Without one it is a"
        " Restate on localhost.",
        metavar="FILE",
        show_default=False,
        show_envvar=False,
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Which target, when there is more than one.",
        metavar="NAME",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before acting.")]
Why = Annotated[
    str,
    typer.Option(
        "--reason",
        help="Why, in your words, for the ledger.",
        metavar="TEXT",
        show_default=False,
    ),
]
Allow = Annotated[
    list[Override] | None,
    typer.Option(
        "--allow",
        help="Insist where a preflight refuses; the refusal says with which word.",
        metavar="WORD",
        show_default=False,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Have the daemon at this URL do it, instead of working on the local configuration.",
        metavar="URL",
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="With --url: the file that holds the key; RESTATE_MEDIC_KEY may hold it, too.",
        metavar="FILE",
        show_default=False,
    ),
]
