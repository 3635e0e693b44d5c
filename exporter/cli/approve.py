"""``restate-medic approve``, ``reject`` and ``approvals``: plans that wait for a person."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from exporter.app.open import utc_now
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.orders import Reason, open_book, open_ledger, ordered
from exporter.cli.output import (
    OUTCOME_STYLE,
    Exit,
    bullets,
    columns,
    err,
    fail,
    friendly,
    lay_out,
    out,
    print_json,
    when,
)
from exporter.ledger.gateway import Ledger
from exporter.model.operation import Operation, Outcome, Phase
from exporter.order_book import OrderBook
from exporter.settings.load import load
from exporter.wire.operation import operation_json

_GOOD = frozenset({Outcome.VERIFIED, Outcome.NOTHING_TO_DO})
_POLL_SECONDS = 0.5
_Id = Annotated[str, typer.Argument(metavar="ID", help="The operation's id, or how it begins.")]


@friendly
def approvals(*, config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the plans that wait for a person, oldest first."""

    async def read() -> tuple[Operation, ...]:
        async with open_ledger(load(config_file)) as ledger:
            now = utc_now()
            return tuple(p for p in ledger.standing.proposals if _stands(p, now))

    found = asyncio.run(read())
    if as_json:
        print_json([operation_json(one) for one in found])
        return
    if not found:
        out.print("nothing waits for approval")
        return
    table = columns("id", "until", "what", fold="what")
    for one in found:
        who = f"{one.remedy} on {one.target} by {one.actor}"
        said = f", approved by {one.approved_by}" if one.approved_by else ""
        what = f"{escape(one.summary)}\n[dim]{escape(who + said)}[/]"
        table.add_row(one.id, when(one.lease_until), what)
    lay_out(table)


@friendly
def approve(
    operation: _Id,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[
        bool, typer.Option(help="Wait for the daemon to carry it out, and tell how it ended.")
    ] = True,
    reason: Reason = "",
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say yes to a plan of a policy. The daemon carries it out if everything is still as planned.

    Every gate is asked again but the window. Another plan than this one is refused.
    """
    if as_json and not yes:
        fail("--json does not ask: add --yes", Exit.USAGE)
    asyncio.run(
        _approve(operation, yes=yes, wait=wait, reason=reason, where=config_file, as_json=as_json)
    )


@friendly
def reject(
    operation: _Id,
    *,
    reason: Reason = "",
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say no to a plan of a policy, which proposes it again only after all was well in between."""

    async def say_no() -> Operation:
        async with open_book(load(config_file)) as book:
            return await book.reject(ordered("reject", reason), operation)

    closed = asyncio.run(say_no())
    if as_json:
        print_json(operation_json(closed))
    else:
        out.print(escape(f"rejected {closed.id}: {closed.summary}"))


async def _approve(
    name: str, *, yes: bool, wait: bool, reason: str, where: Path | None, as_json: bool
) -> None:
    async with open_ledger(load(where)) as ledger:
        book = OrderBook(ledger=ledger, now=utc_now)
        found = await book.find(name)
        if found.phase is Phase.PROPOSED and not yes:
            await _show(ledger, found)
            if not typer.confirm("Approve this?", default=False, err=True):
                fail("it still waits", Exit.UNHEALTHY)
        approved = await book.approve(ordered("approve", reason), found.id)
        if not wait:
            _tell(approved, as_json=as_json)
            return
        closed = await _wait_for(ledger, approved, quiet=as_json)
    _tell(closed, as_json=as_json)
    if closed.outcome not in _GOOD:
        raise typer.Exit(int(Exit.UNHEALTHY))


async def _show(ledger: Ledger, found: Operation) -> None:
    """The plan as it was written down: what a yes is a yes to."""
    out.print(f"[bold]{escape(found.summary)}[/]")
    first = (await ledger.entries(found.id))[0].data
    lay_out(bullets(map(str, first.get("steps", ()))))
    for name, value in found.values.items():
        out.print(f"  [dim]{escape(f'{name} = {value}')}[/]")
    out.print(f"  [dim]by {escape(found.actor)}, until {when(found.lease_until)}[/]")


async def _wait_for(ledger: Ledger, approved: Operation, *, quiet: bool) -> Operation:
    """Until it is closed: the ledger closes what no daemon begins in time."""
    found = approved
    with err.status(_waiting_for(found)) as status:
        if quiet:
            status.stop()
        while found.open:
            if _late(found):
                _not_begun(found)
            await asyncio.sleep(_POLL_SECONDS)
            found = await ledger.operation(approved.id) or found
            status.update(_waiting_for(found))
    return found


def _late(found: Operation) -> bool:
    return found.phase is Phase.PROPOSED and not _stands(found, utc_now())


def _not_begun(found: Operation) -> NoReturn:
    msg = f"{found.id} is approved, and no daemon began it in time: is restate-medic running?"
    fail(msg, Exit.UNREACHABLE)


def _waiting_for(found: Operation) -> str:
    if found.phase is Phase.PROPOSED:
        return "approved, waiting for the daemon's next round ..."
    return f"{found.phase} ..."


def _stands(found: Operation, now: datetime) -> bool:
    return found.lease_until is not None and now < found.lease_until


def _tell(found: Operation, *, as_json: bool) -> None:
    if as_json:
        print_json(operation_json(found))
        return
    word = str(found.outcome or "approved")
    style = OUTCOME_STYLE.get(found.outcome, "red") if found.outcome else "green"
    out.print(f"[{style}]{word}[/]  {found.id}")
    if found.error:
        out.print(escape(found.error))
