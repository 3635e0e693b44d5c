"""``restate-medic audit export``: the ledger's entries for other programs."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, TextIO, cast

import typer

from exporter.cli.audit_verify import reading_progress
from exporter.cli.options import ConfigFile
from exporter.cli.orders import open_ledger
from exporter.cli.output import Exit, err, fail, friendly
from exporter.cli.since import moment_of
from exporter.ledger.chain import Entry, Head
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import PAGE
from exporter.settings.load import Configuration, load

_COLUMNS = ("seq", "at", "kind", "operationId", "body", "prevHash", "hash")


class Format(StrEnum):
    """How entries are written."""

    JSONL = "jsonl"
    CSV = "csv"


@friendly
def export(
    *,
    format_: Annotated[
        Format, typer.Option("--format", help="One JSON object a line, or a table.")
    ] = Format.JSONL,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only what came then or later: 24h, 7d or 2026-05-09T10:00:00Z.",
            metavar="WHEN",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Write this file instead of stdout.", metavar="FILE"),
    ] = None,
    config_file: ConfigFile = None,
) -> None:
    """Write the ledger's entries, oldest first: what was decided, done and verified.

    Says on stderr how many there were, and the head, which audit verify --head takes.
    """
    moment = None if since is None else moment_of(since, "--since")
    configuration = load(config_file)
    try:
        with _file(to) as file:
            count, head = asyncio.run(_write(configuration, _writer(format_, file), moment))
    except OSError as error:
        fail(f"--out {to}: {error.strerror or error}", Exit.USAGE)
    err.print(f"{count} entries; head {head.seq}:{head.hash}", markup=False)


async def _write(
    configuration: Configuration, write: Callable[[Entry], None], since: datetime | None
) -> tuple[int, Head]:
    count = 0
    async with open_ledger(configuration, standing=False) as ledger:
        head = await ledger.head()
        with reading_progress() as progress:
            task = progress.add_task("writing", total=head.seq)
            async for entry in _entries(ledger, head):
                if since is None or entry.at >= since:
                    write(entry)
                    count += 1
                progress.update(task, completed=entry.seq)
    return count, head


async def _entries(ledger: Ledger, head: Head) -> AsyncIterator[Entry]:
    after = 0
    while after < head.seq:
        read = await ledger.chain(after=after, limit=PAGE)
        if not read:
            return
        for entry in read:
            if entry.seq <= head.seq:
                yield entry
        after = read[-1].seq


def _writer(format_: Format, file: TextIO) -> Callable[[Entry], None]:
    if format_ is Format.JSONL:
        return lambda entry: print(json.dumps(_row(entry) | {"body": entry.data}), file=file)
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_COLUMNS)
    return lambda entry: table.writerow(_row(entry).values())


def _row(entry: Entry) -> dict[str, Any]:
    """Every field, in the order of the columns; the moment to the microsecond, as it is hashed."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    fields = entry.seq, at, entry.kind, entry.operation_id, entry.body, entry.prev_hash, entry.hash
    return dict(zip(_COLUMNS, fields, strict=True))


@contextmanager
def _file(to: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there only once it is whole."""
    if to is None:
        yield sys.stdout
        return
    with NamedTemporaryFile(
        "w", dir=to.parent, prefix=f".{to.name}.", delete=False, encoding="utf-8", newline=""
    ) as file:
        try:
            yield cast("TextIO", file)
            file.close()
            Path(file.name).replace(to)
        except BaseException:
            Path(file.name).unlink()
            raise
