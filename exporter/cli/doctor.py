"""``restate-medic doctor``: read every component once and say how it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

import typer
from rich.markup import escape

from exporter.app.engine import Engine
from exporter.app.open import open_engine
from exporter.cli import doctor_there
from exporter.cli.office.office import Where
from exporter.cli.options import AsJson, ConfigFile, KeyFile, Url
from exporter.cli.output import (
    STYLE,
    Exit,
    columns,
    err,
    fail,
    friendly,
    lay_out,
    out,
    print_json,
    when,
)
from exporter.model.component import Component, Reason, Status
from exporter.model.derive import derive
from exporter.model.findings import Findings
from exporter.model.redact import redact_text
from exporter.model.report import Reading, Report
from exporter.model.token import Tokens, admin_refusal, ingress_refusal
from exporter.settings.load import Configuration, load
from exporter.wire.doctor import doctor_answer

_WATCH_SECONDS = 5.0


@friendly
def doctor(
    target: Annotated[
        str | None,
        typer.Argument(
            help="Which target; all of them by default.", metavar="TARGET", show_default=False
        ),
    ] = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every few seconds, until Ctrl-C.")
    ] = False,
    config_file: ConfigFile = None,
    daemon: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Read every component of a target once, change nothing, and say how each is.

    With --url it shows what the daemon read last. Exit 0 when all are ok, 1 when one is not, 3
    when neither ingress nor admin could be reached.
    """
    if watch and as_json:
        fail("--watch is for people: leave out --json", Exit.USAGE)
    where = Where(config_file, daemon, key_file)
    while True:
        code = _look(where, target, as_json=as_json, again=watch)
        if not watch:
            raise typer.Exit(int(code))
        try:
            time.sleep(_WATCH_SECONDS)
        except KeyboardInterrupt:
            raise typer.Exit(int(code)) from None


def _look(where: Where, target: str | None, *, as_json: bool, again: bool) -> Exit:
    look = _look_here if where.url is None else _look_there
    return look(where, target, as_json=as_json, again=again)


def _look_there(where: Where, target: str | None, *, as_json: bool, again: bool) -> Exit:
    told = asyncio.run(doctor_there.look(where, target))
    if as_json and len(told) > 1:
        names = ", ".join(one.name for one in told)
        fail(f"--json shows one target: name one of {names}", Exit.USAGE)
    if again:
        out.clear()
    for one in told:
        if as_json:
            print_json(one.doctor.as_json())
        else:
            doctor_there.show(one)
    return doctor_there.code_of(told)


def _look_here(where: Where, target: str | None, *, as_json: bool, again: bool) -> Exit:
    configuration = load(where.config_file)
    names = configuration.choose_all(target)
    if as_json:
        names = [configuration.choose(target)]
    with err.status("looking ..."):
        seen = asyncio.run(_read(configuration, names))
    if again:
        out.clear()
    for one in seen:
        if as_json:
            print_json(doctor_answer(one.report, now=one.findings.at).as_json())
        else:
            _print(one)
    return _worst([one.findings for one in seen])


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one target showed. ``findings`` are as of when it was asked, so nothing is stale."""

    report: Report
    findings: Findings
    tokens: Tokens


async def _read(configuration: Configuration, names: list[str]) -> list[_Seen]:
    async with open_engine(configuration, with_ledger=False, with_policies=False) as engine:
        return await asyncio.gather(*(_one(engine, name) for name in names))


async def _one(engine: Engine, name: str) -> _Seen:
    asked, backend = engine.now(), engine.backends[name]
    # Discoveries may take minutes; what answered at once is not too old because of them.
    report = await engine.read(name, frozenset(Component))
    return _Seen(report, derive(report, backend.target, now=asked), backend.tokens())


def _worst(findings: list[Findings]) -> Exit:
    def down(f: Findings) -> bool:
        both = (Component.INGRESS, Component.ADMIN)
        return all(f.components[c].status is Status.UNREACHABLE for c in both)

    if any(down(f) for f in findings):
        return Exit.UNREACHABLE
    fine = all(
        state.status in {Status.OK, Status.OFF} for f in findings for state in f.components.values()
    )
    return Exit.FINE if fine else Exit.UNHEALTHY


def _print(seen: _Seen) -> None:
    report, findings = seen.report, seen.findings
    table = columns("component", "status", "latency", "what it saw", fold="what it saw")
    table.title, table.title_justify = f"target {escape(report.target)}", "left"
    for component in findings.target.intervals:
        reading = report.readings.get(component)
        state = findings.components[component]
        style = STYLE[state.status]
        latency = "" if state.latency_seconds is None else f"{state.latency_seconds * 1000:.0f} ms"
        table.add_row(
            str(component),
            f"[{style}]{state.status}[/]",
            latency,
            escape(redact_text(_saw(component, reading, seen))),
        )
    lay_out(table, "")


def _saw(component: Component, reading: Reading | None, seen: _Seen) -> str:
    if reading is None:
        return "not read"
    if reading.status is not Status.OK:
        return f"{reading.reason}: {reading.error}{_refusal(component, reading, seen)}"
    return _SAW[component](seen)


def _ingress(seen: _Seen) -> str:
    unexposed = seen.findings.values.get("services.unexposed") or []
    return f"does not list {_names(unexposed)}" if unexposed else "answers"


def _admin(seen: _Seen) -> str:
    version = seen.findings.values.get("admin.version", "of unknown version")
    return f"Restate {version}{_expiry(seen)}"


def _services(seen: _Seen) -> str:
    values = seen.findings.values
    missing = values["services.missing"]
    text = f"{len(values['services.registered'])} registered"
    return f"{text}; missing {_names(missing)}" if missing else text


def _expiry(seen: _Seen) -> str:
    expires = seen.tokens.admin_expires_at
    return "" if expires is None else f"; admin token expires {when(expires)}"


def _refusal(component: Component, reading: Reading, seen: _Seen) -> str:
    """What is wrong with the token of a door that refused it."""
    if reading.reason is not Reason.UNAUTHORIZED:
        return ""
    match component:
        case Component.INGRESS:
            return f"; {ingress_refusal(seen.tokens.ingress)}"
        case Component.ADMIN:
            return f"; {admin_refusal(seen.tokens, seen.findings.at)}"
        case _:
            return ""


def _deployments(findings: Findings) -> str:
    facts = findings.deployments or ()
    counts: dict[str, int] = {}
    for fact in facts:
        state = "registered" if fact.state == "unknown" else fact.state
        counts[state] = counts.get(state, 0) + 1
    parts = [f"{count} {state}" for state, count in sorted(counts.items())]
    unregistered = findings.values.get("workers.unregistered") or []
    if unregistered:
        parts.append(f"not registered: {_names(unregistered)}")
    return ", ".join(parts) or "none registered"


def _invocations(findings: Findings) -> str:
    scan = findings.invocations
    if scan is None:
        return ""
    parts = [f"{count} {status}" for status, count in sorted(scan.by_status.items()) if count]
    troubles = ("retrying", "zombies", "journal_mismatch")
    parts += [
        f"{findings.values[f'invocations.{name}']} {name.replace('_', ' ')}"
        for name in troubles
        if findings.values.get(f"invocations.{name}")
    ]
    if scan.recent_failures:
        count = len(scan.recent_failures)
        parts.append(f"{count} recent failure{'' if count == 1 else 's'}")
    return ", ".join(parts) or "nothing in progress"


def _drift(findings: Findings) -> str:
    drift = findings.drift
    parts = [
        f"{w.url} {'is dead' if w.reachable == 'no' else 'is unknown'}: {w.error}"
        for w in findings.workers
        if w.reachable != "yes"
    ]
    if drift is not None:
        changes = (
            ("not registered", drift.added),
            ("registered, not offered", drift.dropped),
            ("changed", drift.changed),
            ("type changed", drift.type_changed),
        )
        parts += [f"{what}: {_names(list(names))}" for what, names in changes if names]
    return "; ".join(parts) or "workers offer what is registered"


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 - fits a line


_SAW: Mapping[Component, Callable[[_Seen], str]] = MappingProxyType(
    {
        Component.INGRESS: _ingress,
        Component.ADMIN: _admin,
        Component.DEPLOYMENTS: lambda seen: _deployments(seen.findings),
        Component.SERVICES: _services,
        Component.INVOCATIONS: lambda seen: _invocations(seen.findings),
        Component.DRIFT: lambda seen: _drift(seen.findings),
        Component.HEARTBEAT: lambda _seen: "answers in time",
        Component.NODE: lambda _seen: "runs all of its partitions",
    }
)
"""What an ok reading is worth in a few words."""
