"""``restate-medic audit``: what was done, by whom, why, and how it ended."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.markup import escape

from exporter.cli import audit_export, audit_report, audit_seal, audit_verify
from exporter.cli.office.office import Where
from exporter.cli.office.open import open_orders
from exporter.cli.options import AsJson, ConfigFile, KeyFile, Url
from exporter.cli.output import (
    OUTCOME_STYLE,
    bullets,
    columns,
    friendly,
    lay_out,
    out,
    print_json,
    value_text,
    when_text,
)
from exporter.model.operation import Outcome
from exporter.wire.operation import OperationBody, OperationDetail

_NOTHING: tuple[object, ...] = (None, "", [], {}, False)
app = typer.Typer(
    help="Look at the ledger of operations, check it, and tell what a night was like.",
    no_args_is_help=True,
)
app.command("verify")(audit_verify.verify)
app.command("export")(audit_export.export)
app.command("seal")(audit_seal.seal)
app.command("report")(audit_report.report)


@app.command("list")
@friendly
def list_(
    *,
    target: Annotated[str | None, typer.Option(help="Only this target.", metavar="NAME")] = None,
    policy: Annotated[str | None, typer.Option(help="Only this policy.", metavar="NAME")] = None,
    remedy: Annotated[str | None, typer.Option(help="Only this remedy.", metavar="NAME")] = None,
    outcome: Annotated[
        Outcome | None,
        typer.Option(help="Only this outcome, such as verified or failed.", metavar="WORD"),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most this many.", metavar="COUNT")
    ] = 50,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """List operations, newest first."""

    async def read() -> tuple[OperationBody, ...]:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            return await orders.operations(
                target=target, policy=policy, remedy=remedy, outcome=outcome, limit=limit
            )

    operations = asyncio.run(read())
    if as_json:
        print_json([operation.as_json() for operation in operations])
        return
    if not operations:
        out.print("no operations")
        return
    # Two lines for each: side by side, the columns do not fit into a usual terminal.
    table = columns("when", "outcome", "what", fold="what")
    for o in operations:
        style = OUTCOME_STYLE.get(o.outcome, "red") if o.outcome else "cyan"
        where = f" on {o.target}" if o.target else ""
        who = f"[dim]{escape(f'{o.remedy}{where} by {o.actor}, {o.id}')}[/]"
        told = escape(str(o.error or o.summary or o.after.get("summary") or o.reason))
        table.add_row(
            when_text(o.created_at),
            f"[{style}]{o.outcome or o.phase}[/]" + (" [red]relapsed[/]" if o.relapsed_at else ""),
            "\n".join(filter(None, (told, who))),
        )
    lay_out(table)


@app.command("show")
@friendly
def show(
    operation: Annotated[
        str, typer.Argument(help="The operation's id, or how it begins.", metavar="ID")
    ],
    *,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one operation with everything the ledger knows: who, why, before, after, each step."""
    found = asyncio.run(_one(operation, Where(config_file, daemon, key_file)))
    fields = found.as_json()
    if as_json:
        print_json(fields)
        return
    del fields["entries"]
    table = columns("name", "value", fold="value")
    table.show_header = False
    for name, value in fields.items():
        if value not in _NOTHING:
            table.add_row(f"[bold]{name}[/]", escape(value_text(value)))
    lay_out(table, "", "[bold]what happened[/]")
    told = list(map(value_text, fields.values()))
    for entry in found.entries:
        lay_out(f"{entry.seq}  {entry.at}  [cyan]{entry.kind}[/]")
        lay_out(bullets(_news(entry.body, told)))


def _news(body: dict[str, Any], told: list[str]) -> list[str]:
    """What an entry adds to what was told above or by an earlier entry."""
    news = [(name, value_text(value)) for name, value in body.items() if value not in _NOTHING]
    fresh = [(name, text) for name, text in news if text not in told]
    told.extend(text for _, text in fresh)
    return [f"{name}: {text}" for name, text in fresh]


async def _one(name: str, where: Where) -> OperationDetail:
    async with open_orders(where) as orders:
        return await orders.operation(name)
