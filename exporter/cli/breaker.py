"""``restate-medic breaker``: which policies are stopped because they did not help, and go on."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from exporter.cli.office.office import Where
from exporter.cli.office.open import open_orders
from exporter.cli.options import AsJson, ConfigFile, KeyFile, Url
from exporter.cli.orders import Reason
from exporter.cli.output import Exit, columns, fail, friendly, lay_out, out, print_json, when_text
from exporter.model.orders import BreakerName
from exporter.wire.orders import BreakerBody

app = typer.Typer(help="Policies that are stopped because they did not help.", no_args_is_help=True)


@app.command("list")
@friendly
def list_(
    *,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """List the breakers that are open, and what closes each."""

    async def read() -> tuple[BreakerBody, ...]:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            return await orders.breakers()

    rows = asyncio.run(read())
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    if not rows:
        out.print("no breaker is open")
        return
    table = columns("target", "closes", "policy", fold="policy")
    for row in rows:
        stopped = f"{escape(row.policy)}\n[dim]{escape(row.why)}[/]"
        table.add_row(escape(row.target), when_text(row.closes_at) or "by a person", stopped)
    lay_out(table)


@app.command("reset")
@friendly
def reset(
    target: Annotated[
        str | None, typer.Argument(help="The target.", metavar="TARGET", show_default=False)
    ] = None,
    remedy: Annotated[
        str | None,
        typer.Argument(
            help="The remedy, such as force-redeploy.", metavar="REMEDY", show_default=False
        ),
    ] = None,
    *,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            help="A policy that is stopped on every target.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    reason: Reason = "",
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
) -> None:
    """Let policies use a REMEDY on a TARGET again, or close a policy's own breaker.

    A policy's own breaker stops it everywhere once it failed on three targets; those of the single
    targets stay open until each is reset. What failed so far counts no more; limits and cooldowns
    go on as they are.
    """
    if (policy is None) is (target is None or remedy is None):
        fail("name TARGET and REMEDY, or --policy NAME", Exit.USAGE)
    if policy is not None and target is not None:
        fail("name TARGET and REMEDY, or --policy NAME, not both", Exit.USAGE)
    name = BreakerName(policy=policy) if policy else BreakerName(target or "", remedy or "")

    async def close() -> bool:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            return await orders.reset(name, reason=reason)

    done = asyncio.run(close())
    what = f"of {name.what}"
    out.print(escape(f"the breaker {what} is reset" if done else f"nothing {what} had failed"))
