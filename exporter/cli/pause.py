"""``restate-medic pause``, ``unpause`` and ``pauses``: policies rest; watching goes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape

from exporter.app.open import utc_now
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.orders import known, known_policy, open_book, ordered
from exporter.cli.output import Exit, columns, fail, friendly, lay_out, out, print_json, when
from exporter.model.duration import parse_duration
from exporter.model.errors import NotFoundError
from exporter.model.orders import Pause, PauseScope
from exporter.settings.load import load
from exporter.wire.orders import pause_body

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
    as_json: AsJson = False,
) -> None:
    """Let policies rest: nothing more is written on their behalf.

    What runs stops before its next write. Watching goes on, and people may still act.
    """
    configuration = load(config_file)
    scope, name = _scope(target, policy, everything=everything)
    if scope == "target":
        known("target", name, (t.name for t in configuration.targets))
    if scope == "policy":
        known_policy(configuration, name)
    if not reason.strip():
        fail("--reason is empty; say why", Exit.USAGE)
    until = None if for_ is None else utc_now() + _duration(for_)

    async def hold() -> Pause:
        async with open_book(configuration) as book:
            return await book.pause(ordered("pause", reason), scope, name, until=until)

    made = asyncio.run(hold())
    if as_json:
        print_json(pause_body(made, made.created_at).as_json())
        return
    ends = f"until {when(made.expires_at)}" if made.expires_at else "until it is unpaused"
    out.print(escape(f"paused {made.what} {ends} (pause {made.id})"))


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
    as_json: AsJson = False,
) -> None:
    """Lift one pause by its ID, or those of a target, of a policy, or of everything."""
    configuration = load(config_file)
    if pause_id is None:
        scope, name = _scope(target, policy, everything=everything)
    elif target or policy or everything:
        fail("name an ID, or what to unpause, not both", Exit.USAGE)
    else:
        scope, name = "global", ""

    async def lift() -> tuple[Pause, ...]:
        async with open_book(configuration) as book:
            by = ordered("unpause")
            if pause_id is not None:
                return (await book.lift(by, pause_id),)
            return await book.lift_all(by, scope, name)

    try:
        lifted = asyncio.run(lift())
    except NotFoundError:
        fail("nothing of this is paused; see restate-medic pauses", Exit.UNHEALTHY)
    if as_json:
        print_json([pause_body(one, utc_now()).as_json() for one in lifted])
        return
    for one in lifted:
        out.print(escape(f"unpaused {one.what} (pause {one.id} of {one.owner})"))


@friendly
def pauses(*, config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the pauses in force: what, by whom, why, and until when."""

    async def read() -> tuple[Pause, ...]:
        async with open_book(load(config_file)) as book:
            return await book.pauses()

    found = asyncio.run(read())
    if as_json:
        print_json([pause_body(one, utc_now()).as_json() for one in found])
        return
    if not found:
        out.print("nothing is paused")
        return
    table = columns("id", "until", "what", fold="what")
    for one in found:
        who = f"by {one.owner} since {when(one.created_at)}: {one.reason}"
        what = f"{escape(one.what)}\n[dim]{escape(who)}[/]"
        table.add_row(str(one.id), when(one.expires_at) or "unpaused", what)
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
