"""``restate-medic key``: who may use the HTTP interface, and for what."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from exporter.app.open import utc_now
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.orders import actor, open_ledger
from exporter.cli.output import Exit, err, fail, friendly, lay_out, out, print_json, when
from exporter.ledger.keys import digest_of, new_key
from exporter.model.keys import ApiKey, Role
from exporter.settings.load import load

app = typer.Typer(help="Keys of the HTTP interface.", no_args_is_help=True)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


@app.command("new")
@friendly
def new(
    name: Annotated[
        str, typer.Argument(help="Whose it is; the ledger shows this name.", metavar="NAME")
    ],
    *,
    role: Annotated[
        Role,
        typer.Option(
            help="viewer (reads) or operator (acts, too).", metavar="ROLE", show_default=False
        ),
    ],
    config_file: ConfigFile = None,
) -> None:
    """Make a key and print it, once: only its hash is kept.

    Standard output is the key and nothing else, so that it can be piped to where secrets are kept.
    """
    if not _NAME.fullmatch(name):
        fail(f"{name!r} is not a name; use letters, digits, '.', '_', '@' and '-'", Exit.USAGE)
    key = new_key()
    asyncio.run(_add(config_file, name, role, digest_of(key)))
    err.print(f"{role} key for {escape(name)}; it is shown only now", style="dim")
    typer.echo(key)


@app.command("revoke")
@friendly
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name, as listed.", metavar="NAME")],
    *,
    config_file: ConfigFile = None,
) -> None:
    """End a key. Running daemons refuse it within seconds."""
    revoked = asyncio.run(_revoke(config_file, name))
    if revoked is None:
        fail(f"there is no valid key named {name!r}: see restate-medic key list", Exit.UNHEALTHY)
    out.print(escape(f"revoked the {revoked.role} key {revoked.name}"))


@app.command("list")
@friendly
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones, too.")] = False,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the keys: whose, with which role, made when and by whom."""
    found = [one for one in asyncio.run(_known(config_file)) if everything or one.valid]
    if as_json:
        print_json([_json(one) for one in found])
        return
    if not found:
        out.print("there is no key; make one with restate-medic key new NAME --role operator")
        return
    table = Table(box=None, pad_edge=False)
    headings = ("name", "role", "made", "by", *(("revoked", "by") if everything else ()))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for one in found:
        cells = [one.name, str(one.role), when(one.created_at), one.created_by]
        cells += [when(one.revoked_at), one.revoked_by or ""] if everything else []
        table.add_row(*map(escape, cells))
    lay_out(table)


async def _add(config_file: Path | None, name: str, role: Role, digest: str) -> None:
    async with open_ledger(load(config_file), create=True) as ledger:
        await ledger.add_key(name, role, digest=digest, actor=actor(), now=utc_now())


async def _revoke(config_file: Path | None, name: str) -> ApiKey | None:
    async with open_ledger(load(config_file)) as ledger:
        return await ledger.revoke_key(name, actor=actor(), now=utc_now())


async def _known(config_file: Path | None) -> tuple[ApiKey, ...]:
    async with open_ledger(load(config_file)) as ledger:
        return await ledger.api_keys()


def _json(one: ApiKey) -> dict[str, object]:
    return {
        "name": one.name,
        "role": str(one.role),
        "created_at": when(one.created_at),
        "created_by": one.created_by,
        "revoked_at": when(one.revoked_at) or None,
        "revoked_by": one.revoked_by,
    }
