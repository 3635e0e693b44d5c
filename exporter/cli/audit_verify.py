"""``restate-medic audit verify``: whether the ledger is as it was written."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.orders import open_ledger
from exporter.cli.output import Exit, err, fail, friendly, out, print_json
from exporter.ledger.chain import Head
from exporter.ledger.integrity import Inspection, inspect
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
        print_json({"head": end, "entries": found.head.seq, "flaw": told})
    elif flaw is not None:
        out.print(f"the ledger was changed: {flaw.sentence}", markup=False, soft_wrap=True)
    else:
        out.print(f"{found.head.seq} entries and their rows are as they were written")
        out.print(f"head {end}", soft_wrap=True)
    raise typer.Exit(int(Exit.FINE if flaw is None else Exit.UNHEALTHY))


async def _look(configuration: Configuration, known: Head | None) -> Inspection:
    # A damaged row must not keep anybody from being told of it.
    async with open_ledger(configuration, standing=False) as ledger:
        with reading_progress() as progress:
            task = progress.add_task("reading", total=None)
            return await inspect(
                ledger,
                known=known,
                on_progress=lambda done, of: progress.update(task, completed=done, total=of),
            )


def reading_progress() -> Progress:
    """A bar of entries on stderr, where that is a terminal; it goes when all are read."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _head(text: str) -> Head:
    found = _HEAD.fullmatch(text)
    if found is None:
        fail(f"--head {text!r} is none; write SEQ:HASH as audit verify prints it", Exit.USAGE)
    return Head(int(found[1]), found[2])
