"""``policy replay --check``: whether what was decided comes out again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import typer
from rich.markup import escape
from sqlalchemy import Engine

from exporter.cli.output import Exit, columns, fail, lay_out, out, print_json, when
from exporter.cli.recorded import known_targets, progress_over
from exporter.model.redact import redact_text
from exporter.replay.check import Compared, Difference, compare

_SHOWN = 40


def check_(
    source: Engine, *, since: datetime, until: datetime, targets: Collection[str], as_json: bool
) -> None:
    """Compare, print, and leave with 1 where the two differ or nothing was recorded."""
    known_targets(source, targets)
    with progress_over(since, until) as advance:
        found = compare(source, since=since, until=until, targets=targets, on_progress=advance)
    if not found.rounds:
        fail(_nothing(found, since, until), Exit.UNHEALTHY)
    if as_json:
        print_json(_json(found))
    else:
        _show(found)
    if found.differences:
        raise typer.Exit(int(Exit.UNHEALTHY))


def _nothing(found: Compared, since: datetime, until: datetime) -> str:
    if found.unsettled:
        return (
            f"only {found.unsettled} rounds were recorded, all of them soon after the record"
            " begins in the middle of a run, where the daemon knew more: try again later"
        )
    return f"nothing was recorded between {when(since)} and {when(until)}"


def _show(found: Compared) -> None:
    span = f"{found.rounds} rounds, {when(found.began)} to {when(found.ended)}"
    lay_out(f"[dim]{span}[/]", "")
    if found.differences:
        table = columns("when", "noted by", "decision", fold="decision")
        for one in found.differences[:_SHOWN]:
            side = "ledger only" if one.live else "replay only"
            table.add_row(when(one.at), side, escape(_told(one)))
        lay_out("[bold red]decided otherwise[/]", table)
        if len(found.differences) > _SHOWN:
            out.print(f"and {len(found.differences) - _SHOWN} more (--json shows all)")
    else:
        out.print(f"{found.equal} decisions on record, and the same come out again")
    for note in _notes(found):
        lay_out(f"[dim]{note}[/]")


def _told(one: Difference) -> str:
    about = f", {redact_text(one.note.item)}" if one.note.item else ""
    reason = f": {one.note.reason}" if one.note.reason else ""
    return f"{one.note.policy} on {one.target}{about}: {one.note.result}{reason}"


def _notes(found: Compared) -> list[str]:
    notes = []
    if found.unrecorded:
        count = len(found.unrecorded)
        notes.append(
            f"Not compared: {count} moments whose rounds are not recorded (a crash loses the last"
            " ones)."
        )
    if found.unsettled:
        notes.append(
            f"Not compared: {found.unsettled} rounds soon after the record begins in the middle of"
            " a run."
        )
    return notes


def _json(found: Compared) -> dict[str, Any]:
    return {
        "since": when(found.began),
        "until": when(found.ended),
        "rounds": found.rounds,
        "equal": found.equal,
        "differences": [
            {
                "at": one.at.isoformat().replace("+00:00", "Z"),
                "target": one.target,
                "policy": one.note.policy,
                "item": redact_text(one.note.item) if one.note.item else None,
                "result": one.note.result,
                "reason": one.note.reason or None,
                "by": "ledger" if one.live else "replay",
            }
            for one in found.differences
        ],
        "unrecorded": [when(at) for at in found.unrecorded],
        "unsettled": found.unsettled,
        "notes": _notes(found),
    }
