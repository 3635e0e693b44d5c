"""``restate-medic policy explain``: what a policy sees, what holds it, and when it could act."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from exporter.cli import explain_here
from exporter.cli.office.office import Where
from exporter.cli.office.open import open_there
from exporter.cli.options import AsJson, ConfigFile, KeyFile, Url
from exporter.cli.output import err, friendly, lay_out, out, print_json, value_text, when_text
from exporter.model.decision import Result
from exporter.wire.explain import ExplainAnswer, ExplanationBody
from exporter.wire.explain_words import next_words, since_words

_STYLE = {Result.CLEAR: "green", Result.HOLD: "yellow", Result.ACT: "red"}


@friendly
def explain_(
    *,
    target: Annotated[str | None, typer.Option(help="Only this target.", metavar="NAME")] = None,
    policy: Annotated[str | None, typer.Option(help="Only this policy.", metavar="NAME")] = None,
    item: Annotated[
        str | None, typer.Option(help="Only this item, as it is shown.", metavar="KEY")
    ] = None,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what each policy's condition sees, what every gate says, and when it could act.

    Reads the targets once; with --url the daemon tells, which also knows since when a condition
    has been true. Nothing is changed.
    """
    where = Where(config_file, daemon, key_file)
    with err.status("looking ..."):
        told = asyncio.run(_ask(where, target, policy, item))
    if as_json:
        print_json(told.as_json())
        return
    for one in told.explanations:
        _show(one)
    if not told.explanations:
        out.print("no policies that are about it")
    for note in told.notes:
        lay_out(f"[dim]{escape(note)}[/]")


async def _ask(
    where: Where, target: str | None, policy: str | None, item: str | None
) -> ExplainAnswer:
    if where.url is None:
        return await explain_here.look(where.config_file, target, policy, item)
    async with open_there(where) as there:
        return await there.explain(target=target, policy=policy, item=item)


def _show(one: ExplanationBody) -> None:
    about = f", {escape(one.item)}" if one.item else ""
    result = f"{one.result}: {one.reason}" if one.reason else str(one.result)
    lay_out(f"[bold]{escape(one.policy)}[/] on {escape(one.target)}{about}")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    does = f", mode {one.mode}, {escape(one.remedy)}"
    table.add_row("  result", f"[{_STYLE[one.result]}]{result}[/]{does}")
    table.add_row("  when", escape(one.condition))
    for number, line in enumerate(_seen(one)):
        table.add_row("" if number else "  sees", line)
    table.add_row("  since", since_words(one))
    for number, line in enumerate(_gates(one)):
        table.add_row("" if number else "  gates", line)
    table.add_row("  next", next_words(one))
    lay_out(table, "")


def _seen(one: ExplanationBody) -> list[str]:
    known = [f"{escape(name)} = {escape(value_text(value))}" for name, value in one.values.items()]
    return [*known, *(f"{escape(name)} [magenta]is unknown[/]" for name in one.unknown)]


def _gates(one: ExplanationBody) -> list[str]:
    if not one.verdicts:
        return ["none is asked while there is nothing to do"]
    lines = []
    for verdict in one.verdicts:
        if verdict.holds:
            until = "" if verdict.until is None else f" (until {when_text(verdict.until)})"
            said = f": {escape(verdict.detail)}" if verdict.detail else ""
            lines.append(f"[yellow]{verdict.gate} holds[/]{said}{until}")
    passing = ", ".join(str(verdict.gate) for verdict in one.verdicts if not verdict.holds)
    if passing:
        lines.append(f"[dim]pass: {passing}[/]")
    return lines
