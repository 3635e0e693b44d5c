"""``restate-medic policy``: check policies before they run, and the schema editors use."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from exporter.app import served
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.output import Exit, err, friendly, out, print_json
from exporter.model.duration import format_duration
from exporter.policy.check import Checked, check
from exporter.settings.load import load

app = typer.Typer(help="Check policies before they run.", no_args_is_help=True)


@app.command("check")
@friendly
def check_(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders or patterns; those of the configuration by default.",
            show_default=False,
        ),
    ] = None,
    *,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check every policy against the configured targets, and say where and how to mend it.

    Exit 0 when all is well, 2 when something is wrong.
    """
    configuration = load(config_file)
    checked = check(
        files or configuration.policy_patterns,
        targets=configuration.targets,
        served=served(configuration),
        limits=tuple(limit.window for limit in configuration.settings.limits),
        base=None if files else configuration.base,
    )
    if as_json:
        print_json(
            {
                "policies": [row.policy.name for row in checked.rows],
                "problems": list(checked.problems),
                "notes": list(checked.notes),
            }
        )
    else:
        _print(checked)
    raise typer.Exit(int(Exit.USAGE if checked.problems else Exit.FINE))


def _print(checked: Checked) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("policy", "mode", "action", "for", "cooldown", "targets", "place"):
        table.add_column(heading, overflow="fold")
    for policy, targets in ((row.policy, row.targets) for row in checked.rows):
        each = f" for each of {policy.for_each}" if policy.for_each else ""
        table.add_row(
            escape(policy.name),
            str(policy.mode),
            policy.action + each,
            format_duration(policy.for_),
            format_duration(policy.budget.cooldown),
            escape(", ".join(targets)),
            escape(policy.place),
        )
    if checked.rows:
        out.print(table)
    else:
        out.print("no policies")
    for line in (*(f"note: {n}" for n in checked.notes), *checked.problems):
        err.print(line, markup=False)
