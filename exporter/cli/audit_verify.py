"""``restate-medic audit verify``: whether the ledger is as it was written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.orders import open_ledger
from exporter.cli.output import Exit, err, fail, friendly, out, print_json
from exporter.ledger.chain import Head
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import Inspection, inspect
from exporter.ledger.texts import clean
from exporter.settings.load import Configuration, load

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@friendly
def verify(
    *,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            help="One that was printed earlier and kept elsewhere: what was cut off since, or"
            " written anew, is found too.",
            metavar="SEQ:HASH",
            show_default=False,
        ),
    ] = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check the chain of all entries, and every row that entries tell of.

    Prints the head: keep it where nobody who may write to the ledger can change it. Exit 0 when all
    is as it was written, 1 when something was altered, inserted, moved or removed.
    """
    known = None if head is None else _head(head)
    found = asyncio.run(_look(load(config_file), known))
    flaw, end = found.flaw, f"{found.head.seq}:{found.head.hash}"
    if as_json:
        told = None if flaw is None else {"entry": flaw.seq, "problem": flaw.sentence}
        key = None if found.key is None else {"id": found.key, "since": found.keyed_since}
        told_all = {"head": end, "entries": found.head.seq, "begins": _begins(found), "key": key}
        print_json(told_all | {"flaw": told})
    elif flaw is not None:
        out.print(str(flaw), markup=False, soft_wrap=True)
    else:
        out.print(f"{_entries(found)} and their rows are as they were written")
        for line in _removed(found):
            out.print(line, soft_wrap=True)
        out.print(_sealed(found))
        out.print(f"head {end}", soft_wrap=True)
    raise typer.Exit(int(Exit.FINE if flaw is None else Exit.UNHEALTHY))


async def _look(configuration: Configuration, known: Head | None) -> Inspection:
    # A damaged row must not keep anybody from being told of it.
    async with open_ledger(configuration, standing=False) as ledger:
        return await look_through(ledger, known)


async def look_through(ledger: Ledger, known: Head | None) -> Inspection:
    """Check a whole ledger, with a bar of how far it is."""
    with reading_progress() as progress:
        task = progress.add_task("reading", total=None)
        return await inspect(
            ledger,
            known=known,
            on_progress=lambda done, of: progress.update(task, completed=done, total=of),
        )


def _entries(found: Inspection) -> str:
    if found.begins is None:
        return f"{found.head.seq} entries"
    return f"entries {found.begins.through.seq + 1} to {found.head.seq}"


def _removed(found: Inspection) -> Iterator[str]:
    if (begins := found.begins) is not None:
        on = f"{begins.at.astimezone(UTC):%Y-%m-%d}"
        yield f"entries before {begins.through.seq + 1} were removed by retention on {on}"
        if begins.kept:
            yield f"{begins.kept} of them that are still needed are there, as they were written"


def _begins(found: Inspection) -> dict[str, object] | None:
    if (begins := found.begins) is None:
        return None
    first = begins.through.seq + 1
    return {"entry": first, "removedAt": clean(begins.at), "kept": begins.kept}


def _sealed(found: Inspection) -> str:
    if found.key is None:
        return "they have no key: whoever may write to the database could write all of them anew"
    if found.keyed_since == 1:
        return f"all have a key, the newest {found.key}"
    return f"since entry {found.keyed_since} they have a key, the newest {found.key}"


def reading_progress() -> Progress:
    """A bar of entries on stderr, where that is a terminal; it goes when all are read."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _head(text: str) -> Head:
    found = _HEAD.fullmatch(text)
    if found is None:
        fail(f"--head {text!r} is none; write SEQ:HASH as audit verify prints it", Exit.USAGE)
    return Head(int(found[1]), found[2])
