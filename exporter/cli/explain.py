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
from exporter.model.hold import HoldReason
from exporter.wire.explain import ExplainAnswer, ExplanationBody

_STYLE = {Result.CLEAR: "green", Result.HOLD: "yellow", Result.ACT: "red"}
_DOES = {
    HoldReason.OBSERVING: "it only rehearses",
    HoldReason.AWAITING_APPROVAL: "a person must say yes to its plan",
}


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
    table.add_row("  since", _since(one))
    for number, line in enumerate(_gates(one)):
        table.add_row("" if number else "  gates", line)
    table.add_row("  next", _next(one))
    lay_out(table, "")


def _seen(one: ExplanationBody) -> list[str]:
    known = [f"{escape(name)} = {escape(value_text(value))}" for name, value in one.values.items()]
    return [*known, *(f"{escape(name)} [magenta]is unknown[/]" for name in one.unknown)]


def _since(one: ExplanationBody) -> str:
    stands = "" if one.since is None else f"; {one.result} since {when_text(one.since)}"
    if one.waiting is None:
        what = "not true" if one.result is Result.CLEAR else "not known to be true"
        return f"{what}, must be for {one.for_}{stands}"
    count = one.waiting.readings
    readings = f"{count} reading{'' if count == 1 else 's'}"
    return f"true since {when_text(one.waiting.since)} on {readings}, for {one.for_}{stands}"


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


def _next(one: ExplanationBody) -> str:
    if one.result is Result.CLEAR:
        return "nothing to do"
    if one.result is Result.ACT:
        return f"{one.remedy} now"
    if one.acts_at is not None:
        return f"{one.remedy} at {when_text(one.acts_at)}, if nothing else changes"
    untils = [v.until for v in one.verdicts if v.holds and v.until is not None]
    if set(one.open_ended) <= _DOES.keys():
        does = " and ".join(_DOES[gate] for gate in one.open_ended)
        return f"mode {one.mode}: {does}{_not_before(untils)}"
    return f"unknown: nobody can say when {_and(one.open_ended)} will open{_not_before(untils)}"


def _not_before(untils: list[str]) -> str:
    return f", not before {when_text(max(untils))}" if untils else ""


def _and(gates: tuple[HoldReason, ...]) -> str:
    *most, last = map(str, gates)
    return f"{', '.join(most)} and {last}" if most else last
