"""``restate-medic breaker``: which policies are stopped because they did not help, and go on."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from exporter.app.check import check
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.orders import Reason, known, known_policy, open_book, ordered
from exporter.cli.output import Exit, columns, fail, friendly, lay_out, out, print_json, when
from exporter.model.orders import BreakerName, OpenBreaker
from exporter.policy.actions import ACTIONS
from exporter.settings.load import Configuration, load
from exporter.wire.orders import breaker_body

app = typer.Typer(help="Policies that are stopped because they did not help.", no_args_is_help=True)


@app.command("list")
@friendly
def list_(*, config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the breakers that are open, and what closes each."""
    rows = asyncio.run(_open(load(config_file)))
    if as_json:
        print_json([breaker_body(row).as_json() for row in rows])
        return
    if not rows:
        out.print("no breaker is open")
        return
    table = columns("target", "closes", "policy", fold="policy")
    for row in rows:
        stopped = f"{escape(row.policy)}\n[dim]{escape(row.why)}[/]"
        table.add_row(escape(row.target), when(row.until) or "by a person", stopped)
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
) -> None:
    """Let policies use a REMEDY on a TARGET again, or close a policy's own breaker.

    A policy's own breaker stops it everywhere once it failed on three targets; those of the single
    targets stay open until each is reset. What failed so far counts no more; limits and cooldowns
    go on as they are.
    """
    configuration = load(config_file)
    if (policy is None) is (target is None or remedy is None):
        fail("name TARGET and REMEDY, or --policy NAME", Exit.USAGE)
    if policy is not None and target is not None:
        fail("name TARGET and REMEDY, or --policy NAME, not both", Exit.USAGE)
    if policy is not None:
        known_policy(configuration, policy)
        name = BreakerName(policy=policy)
    else:
        name = BreakerName(target or "", remedy or "")
        known("target", name.target, (t.name for t in configuration.targets))
        known("remedy", name.remedy, ACTIONS)

    async def close() -> bool:
        async with open_book(configuration) as book:
            return await book.reset(ordered("reset-breaker", reason), name)

    done = asyncio.run(close())
    what = f"of {name.what}"
    out.print(escape(f"the breaker {what} is reset" if done else f"nothing {what} had failed"))


async def _open(configuration: Configuration) -> tuple[OpenBreaker, ...]:
    policies = check(configuration)
    async with open_book(configuration) as book:
        return await book.breakers(policies, configuration.targets)
