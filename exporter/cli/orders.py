"""What the commands share that write an order of a person into the ledger."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from exporter.app.check import check
from exporter.cli.output import Exit, err, fail
from exporter.ledger.gateway import Ledger
from exporter.model.errors import ConfigurationError
from exporter.model.operation import Request
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


def known_policy(configuration: Configuration, name: str) -> None:
    """Leave unless it is a policy; a file that is broken now must not keep anybody from braking."""
    try:
        names = [policy.name for policy in check(configuration)]
    except ConfigurationError:
        err.print(f"the policies cannot be loaded now, so nobody checks the name {name!r}")
        return
    known("policy", name, names)


@asynccontextmanager
async def open_ledger(
    configuration: Configuration, *, create: bool = False, standing: bool = True
) -> AsyncIterator[Ledger]:
    """The configuration's ledger, with its ``standing`` loaded unless only its rows are wanted.

    One that is not there is not made unless asked for: an order in it would reach no daemon.
    """
    path = configuration.ledger_file
    if path is not None and not create and not path.exists():
        msg = f"there is no ledger at {path}: name the configuration of the daemon (--config.file)"
        fail(msg, Exit.USAGE)
    url, keys = configuration.storage_url, configuration.ledger_keys
    ledger = await Ledger.open(url, keys=keys) if standing else Ledger(url, keys=keys)
    try:
        yield ledger
    finally:
        await ledger.close()


def ordered(what: str, reason: str = "") -> Request:
    """Whoever is at the terminal, and why."""
    return Request(target="", remedy=what, arguments={}, source="cli", actor=actor(), reason=reason)
