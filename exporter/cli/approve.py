"""``restate-medic approve``, ``reject`` and ``approvals``: plans that wait for a person."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from exporter.app.open import utc_now
from exporter.cli.office.office import Orders, Where
from exporter.cli.office.open import open_orders
from exporter.cli.operate import GOOD
from exporter.cli.options import AsJson, ConfigFile, KeyFile, Url
from exporter.cli.orders import Reason
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
    when_text,
)
from exporter.model.operation import Phase
from exporter.wire.operation import OperationBody, OperationDetail

_POLL_SECONDS = 0.5
_Id = Annotated[str, typer.Argument(metavar="ID", help="The operation's id, or how it begins.")]


@friendly
def approvals(
    *,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """List the plans that wait for a person, oldest first."""

    async def read() -> tuple[OperationBody, ...]:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            return await orders.waiting()

    found = asyncio.run(read())
    if as_json:
        print_json([one.as_json() for one in found])
        return
    if not found:
        out.print("nothing waits for approval")
        return
    table = columns("id", "until", "what", fold="what")
    for one in found:
        who = f"{one.remedy} on {one.target} by {one.actor}"
        said = f", approved by {one.approved_by}" if one.approved_by else ""
        what = f"{escape(one.summary)}\n[dim]{escape(who + said)}[/]"
        table.add_row(one.id, when_text(one.expires_at), what)
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
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say yes to a plan of a policy. The daemon carries it out if everything is still as planned.

    Every gate is asked again but the window. Another plan than this one is refused.
    """
    if as_json and not yes:
        fail("--json does not ask: add --yes", Exit.USAGE)
    where = Where(config_file, daemon, key_file)
    asyncio.run(_approve(operation, where, yes=yes, wait=wait, reason=reason, as_json=as_json))


@friendly
def reject(
    operation: _Id,
    *,
    reason: Reason = "",
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say no to a plan of a policy, which proposes it again only after all was well in between."""

    async def say_no() -> OperationBody:
        async with open_orders(Where(config_file, daemon, key_file)) as orders:
            return await orders.reject(operation, reason=reason)

    closed = asyncio.run(say_no())
    if as_json:
        print_json(closed.as_json())
    else:
        out.print(escape(f"rejected {closed.id}: {closed.summary}"))


async def _approve(
    name: str, where: Where, *, yes: bool, wait: bool, reason: str, as_json: bool
) -> None:
    async with open_orders(where) as orders:
        found = await orders.operation(name)
        if found.phase is Phase.PROPOSED and not yes:
            _show(found)
            if not typer.confirm("Approve this?", default=False, err=True):
                fail("it still waits", Exit.UNHEALTHY)
        approved = await orders.approve(found.id, reason=reason)
        if not wait:
            _tell(approved, as_json=as_json)
            return
        closed = await _wait_for(orders, approved, quiet=as_json)
    _tell(closed, as_json=as_json)
    if closed.outcome not in GOOD:
        raise typer.Exit(int(Exit.UNHEALTHY))


def _show(found: OperationDetail) -> None:
    """The plan as it was written down: what a yes is a yes to."""
    out.print(f"[bold]{escape(found.summary)}[/]")
    lay_out(bullets(map(str, found.entries[0].body.get("steps", ()))))
    for name, value in found.values.items():
        out.print(f"  [dim]{escape(f'{name} = {value}')}[/]")
    out.print(f"  [dim]by {escape(found.actor)}, until {when_text(found.expires_at)}[/]")


async def _wait_for(orders: Orders, approved: OperationBody, *, quiet: bool) -> OperationBody:
    """Until it is closed: the ledger closes what no daemon begins in time."""
    found = approved
    with err.status(_waiting_for(found)) as status:
        if quiet:
            status.stop()
        while found.outcome is None:
            if _late(found):
                _not_begun(found)
            await asyncio.sleep(_POLL_SECONDS)
            found = await orders.operation(approved.id)
            status.update(_waiting_for(found))
    return found


def _late(found: OperationBody) -> bool:
    if found.phase is not Phase.PROPOSED:
        return False
    return found.expires_at is None or datetime.fromisoformat(found.expires_at) <= utc_now()


def _not_begun(found: OperationBody) -> NoReturn:
    msg = f"{found.id} is approved, and no daemon began it in time: is restate-medic running?"
    fail(msg, Exit.UNREACHABLE)


def _waiting_for(found: OperationBody) -> str:
    if found.phase is Phase.PROPOSED:
        return "approved, waiting for the daemon's next round ..."
    return f"{found.phase} ..."


def _tell(found: OperationBody, *, as_json: bool) -> None:
    if as_json:
        print_json(OperationBody.model_validate(found, from_attributes=True).as_json())
        return
    word = str(found.outcome or "approved")
    style = OUTCOME_STYLE.get(found.outcome, "red") if found.outcome else "green"
    out.print(f"[{style}]{word}[/]  {found.id}")
    if found.error:
        out.print(escape(found.error))
