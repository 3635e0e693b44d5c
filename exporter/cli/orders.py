"""What the commands share that write an order of a person into the ledger."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from exporter.cli.output import Exit, fail
from exporter.ledger.gateway import Ledger
from exporter.policy.words import did_you_mean, listing
from exporter.settings.load import Configuration

Reason = Annotated[
    str,
    typer.Option(
        "--reason", help="Why, in your words, for the ledger.", metavar="TEXT", show_default=False
    ),
]


def actor() -> str:
    """Who gives the order: the operating system's user, who in a container may be a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"


def known(kind: str, name: str, names: Iterable[str]) -> None:
    """Leave, saying what to write, unless the name is one of them."""
    names = sorted(names)
    if name not in names:
        hint = did_you_mean(name, names) or (f"; write {listing(names)}" if names else "")
        fail(f"there is no {kind} {name!r}{hint}", Exit.USAGE)


@asynccontextmanager
async def open_ledger(configuration: Configuration) -> AsyncIterator[Ledger]:
    """The configuration's ledger, with its standing loaded."""
    ledger = await Ledger.open(configuration.storage_url)
    try:
        yield ledger
    finally:
        await ledger.close()
