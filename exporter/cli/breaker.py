"""``restate-medic breaker``: which policies are stopped because they did not help, and go on."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.markup import escape

from exporter.app.check import check
from exporter.app.open import utc_now
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.orders import Reason, actor, known, known_policy, open_ledger
from exporter.cli.output import Exit, columns, fail, friendly, lay_out, out, print_json, when
from exporter.model.hold import HoldReason
from exporter.policy.actions import ACTIONS
from exporter.policy.breaker import opened
from exporter.settings.load import Configuration, load

app = typer.Typer(help="Policies that are stopped because they did not help.", no_args_is_help=True)


@app.command("list")
@friendly
def list_(*, config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the breakers that are open, and what closes each."""
    rows = asyncio.run(_open(load(config_file)))
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("no breaker is open")
        return
    table = columns("target", "closes", "policy", fold="policy")
    for row in rows:
        stopped = f"{escape(row['policy'])}\n[dim]{escape(row['why'])}[/]"
        table.add_row(escape(row["target"]), row["closes"] or "by a person", stopped)
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
    named = {"target": target or "", "remedy": remedy or "", "policy": policy or ""}
    if policy is not None:
        known_policy(configuration, policy)
    else:
        known("target", named["target"], (t.name for t in configuration.targets))
        known("remedy", named["remedy"], ACTIONS)
    what = f"of {policy}" if policy else f"of {remedy} on {target}"
    done = asyncio.run(_reset(configuration, named, reason))
    out.print(escape(f"the breaker {what} is reset" if done else f"nothing {what} had failed"))


async def _open(configuration: Configuration) -> list[dict[str, Any]]:
    policies, now = check(configuration), utc_now()
    rows: list[dict[str, Any]] = []
    async with open_ledger(configuration) as ledger:
        for policy in (p for p in policies if HoldReason.BREAKER_OPEN not in p.waives):
            for target in filter(policy.matches, configuration.targets):
                found = opened(
                    policy.breaker,
                    policy=policy.name,
                    target=target.name,
                    remedy=policy.action,
                    here=ledger.standing.failures(target.name, policy.action),
                    of_policy=ledger.standing.failures_of(policy.name),
                    now=now,
                )
                if found is not None:
                    until = when(found.until) or None
                    row = {"policy": policy.name, "target": target.name, "closes": until}
                    rows.append(row | {"why": found.sentence})
    return rows


async def _reset(configuration: Configuration, named: dict[str, str], reason: str) -> bool:
    async with open_ledger(configuration) as ledger:
        if named["policy"]:
            failed = ledger.standing.failures_of(named["policy"])
        else:
            failed = ledger.standing.failures(named["target"], named["remedy"])
        if failed:
            await ledger.reset_breaker(actor=actor(), reason=reason, now=utc_now(), **named)
        return bool(failed)
