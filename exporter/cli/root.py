"""The command tree, and the options every command shares."""

from __future__ import annotations

from typing import Annotated

import typer

from exporter import __version__
from exporter.cli import (
    accept,
    approve,
    audit,
    breaker,
    cleanup,
    doctor,
    invocations,
    key,
    pause,
    policy,
    recover,
    redeploy,
    run,
    why,
)
from exporter.cli.plain_help import PlainGroup
from exporter.log import configure_logging

app = typer.Typer(
    name="restate-medic",
    cls=PlainGroup,
    help="Watches Restate, and repairs what a policy allows it to repair.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # whose paragraphs are filled
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"restate-medic {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del version
    configure_logging("warning")


app.command("run")(run.run)
app.command("doctor")(doctor.doctor)
app.command("why")(why.why)
app.command("redeploy")(redeploy.redeploy)
app.command("cleanup")(cleanup.cleanup)
app.command("recover")(recover.recover)
app.add_typer(invocations.app, name="invocations")
app.command("accept")(accept.accept)
app.command("approve")(approve.approve)
app.command("reject")(approve.reject)
app.command("approvals")(approve.approvals)
app.command("pause")(pause.pause)
app.command("unpause")(pause.unpause)
app.command("pauses")(pause.pauses)
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(breaker.app, name="breaker")
app.add_typer(key.app, name="key")
