"""``restate-medic why``: where the chain to a service or a key breaks, and what mends it."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from exporter.app.engine import Engine
from exporter.app.open import open_engine
from exporter.cli.options import AsJson, ConfigFile, TargetName
from exporter.cli.output import Exit, columns, err, fail, friendly, lay_out, out, print_json
from exporter.cli.remote import refuse_remote
from exporter.model.component import Component, Status
from exporter.model.derive import derive
from exporter.model.errors import CallFailedError
from exporter.model.redact import redact_text
from exporter.model.report import Report
from exporter.model.work import Work
from exporter.settings.load import CONFIG_FILE_VARIABLE, Configuration, load
from exporter.why import Facts, Link, LinkState, Verdict, judge

_STYLE = {
    LinkState.OK: "green",
    LinkState.WAITING: "cyan",
    LinkState.NOTHING: "cyan",
    LinkState.NOT_ASKED: "dim",
    LinkState.UNKNOWN: "magenta",
    LinkState.BROKEN: "red",
}
_ANY_KEY = frozenset({"object", "workflow"})


@friendly
def why(
    service: Annotated[
        str, typer.Argument(help="The service, object or workflow.", metavar="SERVICE")
    ],
    key: Annotated[
        str | None,
        typer.Argument(
            help="The key of an object or workflow. Without one: what is stuck, and the newest.",
            metavar="KEY",
            show_default=False,
        ),
    ] = None,
    *,
    target: TargetName = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say why a service or a key does not run, and which command mends it.

    Walks the chain from the ingress over registration, endpoint and worker to the
    invocation, and ends with the first broken link. Changes nothing.

    Exit 0 when nothing is broken, 1 when a link is broken or could not be read,
    3 when ingress or admin cannot be reached.
    """
    configuration = load(config_file)
    name = configuration.choose(target)
    refuse_remote("why", configuration, name)
    with err.status("looking ..."):
        facts = asyncio.run(_read(configuration, name, service, key))
    if key is not None and facts.registered and facts.registered.shape.type == "service":
        fail(f"{service} is a plain service and has no keys: leave {key!r} out", Exit.USAGE)
    verdict = judge(facts)
    typed = _Typed(configuration, name, config_file)
    if as_json:
        print_json(_json(verdict, typed))
    else:
        _print(verdict, facts, typed)
    raise typer.Exit(int(_exit_of(verdict)))


class _Typed:
    """A command as this person would type it: on this target, with this configuration."""

    def __init__(self, configuration: Configuration, target: str, config_file: Path | None) -> None:
        self._target = target if len(configuration.targets) > 1 else None
        by_variable = os.environ.get(CONFIG_FILE_VARIABLE) == str(config_file)
        self._file = None if by_variable else config_file

    def __call__(self, words: tuple[str, ...]) -> str:
        said = [] if self._target is None else [self._target]
        if said and words[0] != "doctor":
            said = ["--target", *said]
        file = [] if self._file is None else ["--config.file", str(self._file)]
        return redact_text(shlex.join(["restate-medic", *words, *said, *file]))


async def _read(configuration: Configuration, name: str, service: str, key: str | None) -> Facts:
    """Take every reading for this question; one that fails is a fact, too."""
    async with open_engine(configuration, with_ledger=False, with_policies=False) as engine:
        asked = engine.now()
        # With a key, narrow look-ups say all; the scan would read every invocation for nothing.
        components = frozenset(Component) - ({Component.INVOCATIONS} if key is not None else set())
        report = await engine.read(name, components)
        backend = engine.backends[name]
        work, error = await _work(engine, name, service, key, report)
        return Facts(
            service=service,
            key=key,
            report=report,
            findings=derive(report, backend.target, now=asked),
            now=engine.now(),
            tokens=backend.tokens(),
            work=work,
            work_error=error,
        )


async def _work(
    engine: Engine, name: str, service: str, key: str | None, report: Report
) -> tuple[Work | None, str]:
    ask, admin = engine.backends[name].work_of, report.readings.get(Component.ADMIN)
    if ask is None:
        return None, f"target {name} cannot be asked about invocations"
    if admin is None or admin.status is not Status.OK:
        return None, "the admin API cannot be asked"
    try:
        return await ask(service, key, report), ""
    except CallFailedError as error:
        return None, f"{error.reason}: {error}"


def _exit_of(verdict: Verdict) -> Exit:
    broken = verdict.broken
    if broken is not None and broken.unreachable:
        return Exit.UNREACHABLE
    return Exit.FINE if verdict.fine else Exit.UNHEALTHY


def _print(verdict: Verdict, facts: Facts, typed: _Typed) -> None:
    what = " ".join(filter(None, (verdict.service, verdict.key)))
    out.print(f"[bold]{escape(what)}[/] on {escape(verdict.target)}")
    table = columns("link", "state", "says", fold="says")
    table.show_header = False
    for link in verdict.links:
        state = f"[{_STYLE[link.state]}]{link.state}[/]"
        table.add_row(link.name, state, escape(redact_text(link.says)))
    lay_out(table, "", escape(redact_text(_conclusion(verdict, facts))))
    if verdict.ending.command:
        # In one piece, however narrow the terminal is: it is there to be copied.
        out.print(typed(verdict.ending.command), style="bold", markup=False, soft_wrap=True)


def _conclusion(verdict: Verdict, facts: Facts) -> str:
    """What a person takes away, before the command."""
    ending, unread = verdict.ending, ", ".join(link.name for link in verdict.unknown)
    gaps = f" Could not be read: {unread}." if unread else ""
    if verdict.broken is not None:
        return f"{ending.advice}{gaps}" if not gaps else f"{gaps.strip()} {ending.advice}"
    kinds = facts.registered.shape.type if facts.registered else ""
    hint = " Name a KEY to look at one." if verdict.key is None and kinds in _ANY_KEY else ""
    if gaps:
        return f"Nothing that was read is broken.{gaps}{hint}"
    return " ".join(filter(None, ("Nothing is broken.", ending.advice, hint.strip())))


def _json(verdict: Verdict, typed: _Typed) -> dict[str, Any]:
    return {
        "target": verdict.target,
        "service": verdict.service,
        "key": verdict.key,
        "fine": verdict.fine,
        "broken": verdict.broken.name if verdict.broken else None,
        "unknown": [link.name for link in verdict.unknown],
        "command": typed(verdict.ending.command) if verdict.ending.command else None,
        "links": [_link(link) for link in verdict.links],
    }


def _link(link: Link) -> dict[str, str]:
    return {
        "name": link.name,
        "state": str(link.state),
        "says": redact_text(link.says),
        "advice": redact_text(link.advice),
    }
