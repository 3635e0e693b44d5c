"""``restate-medic policy``: check policies, see what they would do, copy those shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exporter.app.check import served
from exporter.cli.explain import explain_
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.output import Exit, columns, err, fail, friendly, lay_out, out, print_json
from exporter.cli.policy_tests import run_tests
from exporter.cli.replay import replay_
from exporter.model.duration import format_duration
from exporter.policy.check import Checked, check
from exporter.policy.schema_json import schema_text
from exporter.policy.shipped import copy_shipped
from exporter.settings.load import load
from exporter.simulate.schema_json import schema_for_tests_text

app = typer.Typer(
    help="Check policies before they run, and see why they act or hold.", no_args_is_help=True
)
app.command("explain")(explain_)
app.command("test")(run_tests)
app.command("replay")(replay_)


@app.command("check")
@friendly
def check_(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
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
        notifiers=configuration.settings.notifiers,
        alertmanager=configuration.settings.alertmanager is not None,
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


@app.command("schema")
@friendly
def schema_(
    *,
    tests: Annotated[
        bool, typer.Option("--tests", help="That of the files that `policy test` plays.")
    ] = False,
) -> None:
    """Print the JSON Schema of policy files, with which editors complete and check them.

    The first line of a policy file names it: `# yaml-language-server: $schema=policy.schema.json`,
    that of a test in a folder beside it `# yaml-language-server: $schema=../tests.schema.json`.
    """
    typer.echo(schema_for_tests_text() if tests else schema_text(), nl=False)


@app.command("copy")
@friendly
def copy_(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to; it is made if it is not there.")
    ] = Path("policies"),
) -> None:
    """Copy the shipped policies, their tests and schemas into a folder, to be changed there.

    The policies only observe or propose. A file that is there already stays as it is.
    """
    try:
        written, kept = copy_shipped(folder)
    except OSError as error:
        fail(f"cannot write into {folder}: {error.strerror}", Exit.USAGE)
    for path in written:
        typer.echo(path)
    for path in kept:
        err.print(f"kept as it is: {path}", markup=False)


def _print(checked: Checked) -> None:
    # Two lines for each: side by side, the columns do not fit into a usual terminal.
    table = columns("mode", "policy", fold="policy")
    for policy, targets in ((row.policy, row.targets) for row in checked.rows):
        each = f" for each of {policy.for_each}" if policy.for_each else ""
        often = f"for {format_duration(policy.for_)}, cooldown"
        often = f"{often} {format_duration(policy.budget.cooldown)}"
        about = f"{often}, on {', '.join(targets)}; {policy.place}"
        named = f"[bold]{escape(policy.name)}[/]: {escape(policy.action + each)}"
        table.add_row(str(policy.mode), f"{named}\n[dim]{escape(about)}[/]")
    if checked.rows:
        lay_out(table)
    else:
        out.print("no policies")
    for line in (*(f"note: {n}" for n in checked.notes), *checked.problems):
        err.print(line, markup=False)
