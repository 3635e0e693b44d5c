"""What every command that writes has in common: show the plan, ask, carry out, tell the outcome."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.markup import escape

from exporter.app.engine import Engine
from exporter.app.open import open_engine
from exporter.cli.orders import actor
from exporter.cli.output import OUTCOME_STYLE, Exit, bullets, err, fail, lay_out, out, print_json
from exporter.model.errors import RefusedError
from exporter.model.operation import Operation, Outcome, Plan, Request
from exporter.remediate.preflight import preview
from exporter.settings.load import load
from exporter.wire.operation import operation_json, plan_json

GOOD = frozenset({Outcome.VERIFIED, Outcome.NOTHING_TO_DO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asked for, and how."""

    config_file: Path | None
    target: str | None
    remedy: str
    arguments: Mapping[str, Any]
    reason: str
    allow: frozenset[str]
    dry_run: bool
    yes: bool
    as_json: bool

    def request(self, target: str) -> Request:
        """The same as the remediator takes it."""
        return Request(
            target=target,
            remedy=self.remedy,
            arguments=self.arguments,
            source="cli",
            actor=actor(),
            reason=self.reason,
            allow=self.allow,
        )


def operate(ask: Ask) -> None:
    """Carry out a remedy for a person: the same preflight, lock and ledger as a policy's."""
    asyncio.run(_operate(ask))


async def _operate(ask: Ask) -> None:
    configuration = load(ask.config_file)
    name = configuration.choose(ask.target)
    async with open_engine(
        configuration, with_ledger=not ask.dry_run, with_policies=False
    ) as engine:
        request = ask.request(name)
        backend = engine.backends[name]
        plan: Plan | None = None
        if ask.dry_run or not ask.yes:
            try:
                with _spinner("looking ...", ask):
                    plan = await preview(request, backend, fleet=engine.fleet, now=engine.now)
            except RefusedError as error:
                _refused(error, ask)
            _show_plan(plan, ask)
            if ask.dry_run:
                return
            _confirm(ask)
        await _carry_out(engine, request, ask, plan)


async def _carry_out(engine: Engine, request: Request, ask: Ask, confirmed: Plan | None) -> None:
    try:
        with _spinner(f"{request.remedy} ...", ask), finishing():
            operation = await engine.people.perform(request, confirmed=confirmed)
    except RefusedError as error:
        _refused(error, ask)
    show_outcome(operation, ask)
    if operation.outcome not in GOOD:
        raise typer.Exit(int(Exit.UNHEALTHY))


def _show_plan(plan: Plan, ask: Ask) -> None:
    if ask.as_json:
        if ask.dry_run:
            print_json(plan_json(plan))
        return
    out.print(f"[bold]{escape(plan.summary)}[/]")
    lay_out(bullets(plan.steps))
    for name in plan.allowed:
        out.print(f"  [yellow]allowed by you:[/] {escape(name)}")


def _confirm(ask: Ask) -> None:
    if ask.as_json:
        fail("--json does not ask: add --yes to act, or --dry-run to see the plan", Exit.USAGE)
    if not typer.confirm("Do this now?", default=False, err=True):
        fail("nothing was done", Exit.UNHEALTHY)


def _refused(error: RefusedError, ask: Ask) -> NoReturn:
    if ask.as_json:
        print_json({"refused": error.reason, "message": str(error), "data": error.data})
        raise typer.Exit(int(Exit.UNHEALTHY))
    hint = f"\nIf you are sure: --allow {error.override}" if error.override else ""
    fail(f"refused ({error.reason}): {error}{hint}", Exit.UNHEALTHY)


def show_outcome(operation: Operation, ask: Ask) -> None:
    """Say how it ended, and why if it did not end well."""
    if ask.as_json:
        print_json(operation_json(operation))
        return
    outcome = operation.outcome or Outcome.INDETERMINATE
    style = OUTCOME_STYLE.get(outcome, "red")
    out.print(f"[{style}]{outcome}[/]  {operation.id}")
    out.print(escape(operation.summary))
    if operation.error:
        out.print(escape(operation.error))


@contextmanager
def finishing() -> Iterator[None]:
    """Ctrl-C and SIGTERM do not cut an operation in two: it is bounded, and it finishes."""
    loop = asyncio.get_running_loop()

    def told() -> None:
        err.print("finishing what was begun; it ends by itself")

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _spinner(text: str, ask: Ask) -> AbstractContextManager[object]:
    """Progress for a person at a terminal; nothing when programs read the output."""
    return nullcontext() if ask.as_json else err.status(text)
