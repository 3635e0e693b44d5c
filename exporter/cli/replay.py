"""``restate-medic policy replay``: policies over what was recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from exporter.app.check import served
from exporter.cli.options import AsJson, ConfigFile
from exporter.cli.output import Exit, columns, err, fail, friendly, lay_out, out, print_json, when
from exporter.cli.recorded import known_targets, progress_over, recorded_ledger
from exporter.cli.replay_check import check_
from exporter.cli.since import moment_of
from exporter.model.decision import Mode
from exporter.model.duration import format_duration
from exporter.model.operation import Outcome
from exporter.model.redact import redact_text
from exporter.policy.check import check as checked_files
from exporter.policy.policy import Policy
from exporter.replay.replay import Held, Question, Replayed, replay
from exporter.replay.simulation import Deed
from exporter.settings.load import Configuration, load

_SHOWN = 40


class Repairs(StrEnum):
    """What is assumed of every repair."""

    HELP = "help"
    FAIL = "fail"


class As(StrEnum):
    """Modes to replay in."""

    OBSERVE = "observe"
    APPROVE = "approve"
    ENFORCE = "enforce"


_ASSUMED = {
    Repairs.HELP: "Assumed: no preflight refuses, and each repair helps, until what called for it"
    " was over in the record and comes again (--repairs fail assumes the contrary).",
    Repairs.FAIL: "Assumed: no preflight refuses, and no repair changes anything: each is verified"
    " only if the record shows that what called for it was over in time.",
}


@friendly
def replay_(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Policy files, folders or patterns; by default the policies that were in force.",
            show_default=False,
        ),
    ] = None,
    *,
    since: Annotated[
        str, typer.Option(help="From when on: how long ago, or a moment.", metavar="WHEN")
    ] = "7d",
    until: Annotated[
        str | None,
        typer.Option(help="Up to when; by default now.", metavar="WHEN", show_default=False),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Only this target.", metavar="NAME", show_default=False)
    ] = None,
    mode: Annotated[
        As | None,
        typer.Option(help="As if every policy that is not off were in this mode."),
    ] = None,
    repairs: Annotated[Repairs, typer.Option(help="What to assume of each repair.")] = Repairs.HELP,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Instead decide each recorded round again as it was decided then, and compare"
            " with what the ledger noted; exit 1 where they differ.",
        ),
    ] = False,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what policies would have done over the recorded history, and what would have held them.

    The daemon's own deciding, gates and limits, over what it read then. Nothing is changed. Exit 0
    whatever comes out, 1 when there is no history of that time, 2 when a policy is wrong.
    """
    configuration = load(config_file)
    began = moment_of(since, "--since")
    ends = moment_of("0s" if until is None else until, "--until")
    if began >= ends:
        fail("--since is not before --until; write an earlier moment", Exit.USAGE)
    if check:
        if files is not None or mode is not None or repairs is not Repairs.HELP:
            msg = "--check decides with the policies of then: leave out files, --mode and --repairs"
            fail(msg, Exit.USAGE)
        with recorded_ledger(configuration) as source:
            check_(source, since=began, until=ends, targets=target or (), as_json=as_json)
        return
    question = Question(
        since=began,
        until=ends,
        policies=None if files is None else _policies(configuration, files),
        targets=tuple(target or ()),
        mode=None if mode is None else Mode(mode),
        helps=repairs is Repairs.HELP,
    )
    with recorded_ledger(configuration) as source:
        known_targets(source, question.targets)
        with progress_over(question.since, question.until) as advance:
            found = replay(question, source, on_progress=advance)
    if not found.rounds:
        fail(f"nothing was recorded between {when(began)} and {when(ends)}", Exit.UNHEALTHY)
    notes = _notes(question, found, repairs)
    if as_json:
        print_json(_json(found, notes))
    else:
        _show(found, notes)


def _policies(configuration: Configuration, files: list[str]) -> tuple[Policy, ...]:
    checked = checked_files(
        files,
        targets=configuration.targets,
        served=served(configuration),
        notifiers=configuration.settings.notifiers,
        alertmanager=configuration.settings.alertmanager is not None,
        limits=tuple(limit.window for limit in configuration.settings.limits),
    )
    for line in checked.problems:
        err.print(line, markup=False)
    if checked.problems:
        raise typer.Exit(int(Exit.USAGE))
    return tuple(row.policy for row in checked.rows)


def _notes(question: Question, found: Replayed, repairs: Repairs) -> list[str]:
    notes = [_ASSUMED[repairs], "Expectations of targets, pauses and people's work: as they were."]
    if found.began is not None and found.began - question.since > timedelta(minutes=10):
        notes.insert(0, f"The record begins at {when(found.began)}.")
    if not found.policies:
        notes.insert(0, "No policy is about a target that was recorded.")
    return notes


def _show(found: Replayed, notes: list[str]) -> None:
    begun = [deed for deed in found.deeds if deed.outcome is None]
    ends = {deed.operation: deed for deed in found.deeds if deed.outcome is not None}
    span = f"{when(found.began)} to {when(found.ended)}"
    about = f"{found.rounds} rounds of {_count(len(found.targets), 'target')}, {span}"
    lay_out(f"[dim]{escape(about)}[/]", "")
    if begun:
        table = columns("when", "what would have been done", fold="what would have been done")
        for deed in begun[:_SHOWN]:
            table.add_row(when(deed.at), _told(deed, ends.get(deed.operation)))
        lay_out("[bold]done[/]", table)
    else:
        out.print("nothing would have been done")
    _more(len(begun))
    out.print()
    if found.held:
        table = columns(
            "reason", "for", "what would have been held", fold="what would have been held"
        )
        for held in found.held[:_SHOWN]:
            table.add_row(str(held.reason), _length(held, found), _about(held))
        lay_out("[bold]held[/], the longest first", table)
    else:
        out.print("nothing would have been held")
    _more(len(found.held))
    out.print()
    counts = Counter(deed.policy for deed in begun)
    for name in found.policies:
        out.print(f"{name}: {_count(counts[name], 'operation')}", markup=False)
    for note in notes:
        lay_out(f"[dim]{escape(note)}[/]")


def _told(deed: Deed, end: Deed | None) -> str:
    verb = {Mode.OBSERVE: "rehearse ", Mode.APPROVE: "propose "}.get(deed.mode, "")
    about = ", ".join(deed.items) or deed.target
    lines = [f"{verb}{escape(deed.remedy)} on {escape(redact_text(about))}"]
    if end is not None and end.outcome is not Outcome.VERIFIED:
        lines.append(f"[yellow]{end.outcome}[/] at {when(end.at)}")
    where = "" if about == deed.target else f", target {deed.target}"
    lines.append(f"[dim]policy {escape(deed.policy + where)}[/]")
    return "\n".join(lines)


def _about(held: Held) -> str:
    about = f", {held.item}" if held.item else ""
    until = "the end" if held.until is None else when(held.until)
    first = f"{held.policy} on {held.target}{redact_text(about)}"
    lines = [escape(first), f"[dim]{when(held.since)} to {until}[/]"]
    if held.detail:
        lines.insert(1, escape(redact_text(held.detail)))
    return "\n".join(lines)


def _length(held: Held, found: Replayed) -> str:
    end = held.until or found.ended or held.since
    return format_duration(timedelta(seconds=round((end - held.since).total_seconds())))


def _more(count: int) -> None:
    if count > _SHOWN:
        out.print(f"and {count - _SHOWN} more (--json shows all)")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _json(found: Replayed, notes: list[str]) -> dict[str, Any]:
    return {
        "since": when(found.began),
        "until": when(found.ended),
        "targets": sorted(found.targets),
        "rounds": found.rounds,
        "readings": found.readings,
        "policies": list(found.policies),
        "deeds": [_plain(asdict(deed)) for deed in found.deeds],
        "held": [_plain(asdict(held)) for held in found.held],
        "notes": notes,
    }


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    texts = {name: redact_text(value) for name, value in fields.items() if type(value) is str}
    moments = {name: when(value) for name, value in fields.items() if isinstance(value, datetime)}
    return fields | texts | moments
