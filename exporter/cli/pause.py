"""``restate-medic pause``, ``unpause`` and ``pauses``: policies rest; watching goes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape

from exporter.cli.office.office import Where
from exporter.cli.office.open import open_orders
from exporter.cli.options import AsJson, ConfigFile, KeyFile, Url
from exporter.cli.output import Exit, columns, fail, friendly, lay_out, out, print_json, when_text
from exporter.model.duration import parse_duration
from exporter.model.errors import NotFoundError
from exporter.model.orders import PauseScope, what_rests
from exporter.wire.orders import PauseBody

OnTarget = Annotated[
    str | None, typer.Option("--target", help="On this target.", metavar="NAME", show_default=False)
]
AsPolicy = Annotated[
    str | None,
    typer.Option("--policy", help="This policy, everywhere.", metavar="NAME", show_default=False),
]
Everything = Annotated[bool, typer.Option("--all", help="Every policy on every target.")]


@friendly
def pause(
    *,
    target: OnTarget = None,
    policy: AsPolicy = None,
    everything: Everything = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, for whoever wonders later.", metavar="TEXT")
    ],
    for_: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="How long, such as 2h; until unpaused by default.",
            metavar="DURATION",
            show_default=False,
        ),
    ] = None,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Let policies rest: nothing more is written on their behalf.

    What runs stops before its next write. Watching goes on, and people may still act.
    """
    scope, name = _scope(target, policy, everything=everything)
    if not reason.strip():
        fail("--reason is empty; say why", Exit.USAGE)
    lasts = None if for_ is None else _duration(for_)

    async def hold() -> PauseBody:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            return await orders.pause(scope, name, reason=reason, lasts=lasts)

    made = asyncio.run(hold())
    if as_json:
        print_json(made.as_json())
        return
    ends = f"until {when_text(made.expires_at)}" if made.expires_at else "until it is unpaused"
    out.print(escape(f"paused {what_rests(scope, name)} {ends} (pause {made.id})"))


@friendly
def unpause(
    pause_id: Annotated[
        int | None, typer.Argument(metavar="ID", help="One pause, as listed.", show_default=False)
    ] = None,
    *,
    target: OnTarget = None,
    policy: AsPolicy = None,
    everything: Everything = False,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Lift one pause by its ID, or those of a target, of a policy, or of everything."""
    scope: PauseScope = "global"
    name = ""
    if pause_id is None:
        scope, name = _scope(target, policy, everything=everything)
    elif target or policy or everything:
        fail("name an ID, or what to unpause, not both", Exit.USAGE)

    async def lift() -> tuple[PauseBody, ...]:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            if pause_id is not None:
                return (await orders.lift(pause_id),)
            return await orders.lift_all(scope, name)

    try:
        lifted = asyncio.run(lift())
    except NotFoundError:
        fail("nothing of this is paused; see restate-medic pauses", Exit.UNHEALTHY)
    if as_json:
        print_json([one.as_json() for one in lifted])
        return
    for one in lifted:
        what = what_rests(one.scope, one.name)
        out.print(escape(f"unpaused {what} (pause {one.id} of {one.owner})"))


@friendly
def pauses(
    *,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """List the pauses in force: what, by whom, why, and until when."""

    async def read() -> tuple[PauseBody, ...]:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            return await orders.pauses()

    found = asyncio.run(read())
    if as_json:
        print_json([one.as_json() for one in found])
        return
    if not found:
        out.print("nothing is paused")
        return
    table = columns("id", "until", "what", fold="what")
    for one in found:
        who = f"by {one.owner} since {when_text(one.created_at)}: {one.reason}"
        what = f"{escape(what_rests(one.scope, one.name))}\n[dim]{escape(who)}[/]"
        table.add_row(str(one.id), when_text(one.expires_at) or "unpaused", what)
    lay_out(table)


def _scope(target: str | None, policy: str | None, *, everything: bool) -> tuple[PauseScope, str]:
    given = [bool(target), bool(policy), everything]
    if sum(given) != 1:
        fail("say one of --target NAME, --policy NAME or --all", Exit.USAGE)
    if target:
        return "target", target
    return ("policy", policy) if policy else ("global", "")


def _duration(text: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        fail(f"--for: {error}", Exit.USAGE)
    if duration <= timedelta(0):
        fail(f"--for: {text} is no time at all; write 30m or 2h", Exit.USAGE)
    return duration
