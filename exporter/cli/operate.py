"""What every command that writes has in common: show the plan, ask, carry out, tell the outcome."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import typer
from rich.markup import escape
from rich.status import Status

from exporter.cli.office.office import Deed, Deeds, Where
from exporter.cli.office.open import open_deeds
from exporter.cli.output import (
    OUTCOME_STYLE,
    Exit,
    bullets,
    err,
    exit_code_of,
    fail,
    lay_out,
    out,
    print_json,
)
from exporter.model.errors import MedicError, RefusedError
from exporter.model.operation import Outcome
from exporter.wire.acts import PlanBody
from exporter.wire.operation import OperationBody

_PROGRESS_SECONDS = 1.0
GOOD = frozenset({Outcome.VERIFIED, Outcome.NOTHING_TO_DO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asked for, and how."""

    where: Where
    target: str | None
    remedy: str
    arguments: Mapping[str, Any]
    reason: str
    allow: frozenset[str]
    dry_run: bool
    yes: bool
    as_json: bool

    @property
    def deed(self) -> Deed:
        """The same as whoever carries it out takes it."""
        return Deed(
            target=self.target,
            remedy=self.remedy,
            arguments=self.arguments,
            reason=self.reason,
            allow=self.allow,
        )


def operate(ask: Ask) -> None:
    """Carry out a remedy for a person: the same preflight, lock and ledger as a policy's."""
    asyncio.run(_operate(ask))


async def _operate(ask: Ask) -> None:
    async with open_deeds(ask.where, only_plan=ask.dry_run) as deeds:
        plan: PlanBody | None = None
        if ask.dry_run or not ask.yes:
            try:
                with _spinner("looking ...", ask):
                    plan = await deeds.plan(ask.deed)
            except RefusedError as error:
                _refused(error, ask)
            _show_plan(plan, ask)
            if ask.dry_run:
                return
            _confirm(ask)
        await _carry_out(deeds, ask, plan)


async def _carry_out(deeds: Deeds, ask: Ask, confirmed: PlanBody | None) -> None:
    try:
        with _spinner(f"{ask.remedy} ...", ask) as spinner, _waiting(ask):
            async with _progress(deeds, ask, spinner):
                plan_id = None if confirmed is None else confirmed.id
                closed = await deeds.carry_out(ask.deed, plan_id)
    except RefusedError as error:
        _refused(error, ask)
    show_outcome(closed, as_json=ask.as_json)
    if closed.outcome not in GOOD:
        raise typer.Exit(int(Exit.UNHEALTHY))


@asynccontextmanager
async def _progress(deeds: Deeds, ask: Ask, spinner: Status | None) -> AsyncIterator[None]:
    """Say beside the spinner how far it has come; what cannot be read is not said."""

    async def follow(shown: Status) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            with suppress(MedicError):
                if told := await deeds.under_way(ask.deed):
                    shown.update(f"{ask.remedy}: {told} ...")

    if spinner is None:
        yield
        return
    following = asyncio.ensure_future(follow(spinner))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _show_plan(plan: PlanBody, ask: Ask) -> None:
    if ask.as_json:
        if ask.dry_run:
            print_json(plan.as_json())
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
        raise typer.Exit(int(exit_code_of(error)))
    hint = f"\nIf you are sure: --allow {error.override}" if error.override else ""
    fail(f"refused ({error.reason}): {error}{hint}", exit_code_of(error))


def show_outcome(closed: OperationBody, *, as_json: bool) -> None:
    """Say how it ended, and why if it did not end well."""
    if as_json:
        print_json(closed.as_json())
        return
    outcome = closed.outcome or Outcome.INDETERMINATE
    style = OUTCOME_STYLE.get(outcome, "red")
    out.print(f"[{style}]{outcome}[/]  {closed.id}")
    out.print(escape(closed.summary))
    if closed.error:
        out.print(escape(closed.error))


def _waiting(ask: Ask) -> AbstractContextManager[None]:
    """What this process began it finishes; for another one nobody has to wait."""
    return finishing() if ask.where.url is None else _leaving()


@contextmanager
def _leaving() -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        err.print("the daemon goes on with what it began: audit list tells how it ended")
        raise


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


@contextmanager
def _spinner(text: str, ask: Ask) -> Iterator[Status | None]:
    """Progress for a person at a terminal; nothing when programs read the output."""
    if ask.as_json:
        yield None
        return
    with err.status(text) as status:
        yield status
