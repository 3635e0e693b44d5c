"""``redeploy --gate`` and ``--warn``: the step of a deploy pipeline after a worker was rolled.

Waits, within a limit, until the new worker answers and answers the same for a while; then registers
it as any redeploy does, and has it verified. What a pipeline does when that fails is ``--gate``'s
or ``--warn``'s to say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import typer

from exporter.app.open import open_engine
from exporter.cli.office.here import request_here
from exporter.cli.operate import GOOD, Ask, finishing, show_outcome
from exporter.cli.output import Exit, err, exit_code_of, fail, print_json
from exporter.cli.remote import refuse_remote
from exporter.model.component import Reason
from exporter.model.drift import names_in
from exporter.model.duration import format_duration
from exporter.model.errors import (
    CallFailedError,
    ConfigurationError,
    InFlightError,
    LedgerUnavailableError,
    MedicError,
    RefusedError,
)
from exporter.model.operation import Operation, Plan
from exporter.model.redact import redact_text
from exporter.model.target import Target, normalise_url
from exporter.remediate.preflight import preview
from exporter.settings.load import load
from exporter.wire.operation import operation_body

_POLL: Final = timedelta(seconds=1)
_WILL_NOT_CHANGE: Final = frozenset(
    {"placeholder-url", "url-missing", "url-ambiguous", "bad-argument", "remedy-unsupported"}
)
"""Refusals that no rollout ends."""


_WARNING: Final = "WARNING (the pipeline goes on)"


class NotReadyError(MedicError):
    """The worker did not become what was waited for in time."""


_REASONS: Final[Mapping[type[MedicError], str]] = {
    NotReadyError: "not-ready",
    InFlightError: "in-flight",
    ConfigurationError: "configuration",
    LedgerUnavailableError: "ledger-unavailable",
}
"""The words for errors that carry none."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for the worker, and for how long it has to answer the same."""

    within: timedelta
    stable_for: timedelta


class Gate:
    """One registration in a pipeline. ``tell`` hears what is waited for, whenever that changes."""

    def __init__(
        self,
        look: Callable[[], Awaitable[Plan]],
        target: Target,
        patience: Patience,
        *,
        tell: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._preview = look
        self._target = target
        self._within = patience.within
        self._stable_for = patience.stable_for.total_seconds()
        self._tell = tell
        self._monotonic = monotonic
        self._sleep = sleep
        self._deadline = monotonic() + patience.within.total_seconds()

    async def settled(self) -> Plan:
        """The plan, once it has been the same for long enough. MedicError: why there is none."""
        seen: object = None
        since = self._monotonic()
        while True:
            plan, error = await self._look()
            found = (plan.arguments, plan.rests_on) if plan else (type(error), str(error))
            now = self._monotonic()
            if found != seen:
                seen, since = found, now
                self._tell(_waiting_for(error, self._stable_for))
            elif now - since >= self._stable_for:
                if plan is not None:
                    return plan
                if isinstance(error, RefusedError):
                    raise error
            if now >= self._deadline:
                raise error or self._unsettled()
            await self._sleep(min(_POLL.total_seconds(), self._stable_for / 2 or 1.0))

    async def registered(self, carry_out: Callable[[Plan], Awaitable[Operation]]) -> Operation:
        """Settle and carry out; again, when somebody else was faster or the world changed."""
        while True:
            plan = await self.settled()
            try:
                return await carry_out(plan)
            except (InFlightError, RefusedError) as error:
                changed = isinstance(error, InFlightError) or error.reason == "changed"
                if not changed or self._monotonic() + self._stable_for >= self._deadline:
                    raise
                self._tell(f"waiting: {error}")
                await self._sleep(_POLL.total_seconds())

    def _unsettled(self) -> NotReadyError:
        wanted = format_duration(timedelta(seconds=self._stable_for))
        within = format_duration(self._within)
        return NotReadyError(f"the worker did not answer the same for {wanted} within {within}")

    async def _look(self) -> tuple[Plan | None, MedicError | None]:
        try:
            plan = await self._preview()
        except (RefusedError, CallFailedError) as error:
            if error.reason in _WILL_NOT_CHANGE or error.reason is Reason.UNAUTHORIZED:
                raise
            return None, error
        missing = expected_at(str(plan.arguments.get("url", "")), self._target)
        missing -= names_in(str(plan.rests_on.get("offered", "[]")))
        if missing and "offered" in plan.rests_on:
            return None, NotReadyError(f"the worker does not offer {', '.join(sorted(missing))}")
        return plan, None


def expected_at(url: str, target: Target) -> frozenset[str]:
    """What a worker at this URL should bring; nothing is known of one that is not configured."""
    for worker in target.workers:
        if worker.url == normalise_url(url):
            return target.expected_of(worker)
    return frozenset(target.expected_services) if len(target.workers) <= 1 else frozenset()


def _waiting_for(error: MedicError | None, stable_for: float) -> str:
    how_long = format_duration(timedelta(seconds=stable_for))
    if error is None:
        return f"the worker answers; waiting {how_long} for it to stay so"
    return f"waiting: {error}"


def run_in_pipeline(ask: Ask, patience: Patience, *, warn: bool) -> None:
    """Register the worker without asking. What fails is exit 1 or 3, or with ``warn`` a warning."""
    try:
        operation = asyncio.run(_registered(ask, patience))
    except MedicError as error:
        not_registered(error, as_json=ask.as_json, warn=warn)
        return
    show_outcome(operation_body(operation), as_json=ask.as_json)
    if operation.outcome in GOOD:
        return
    err.print(_WARNING if warn else "not registered and verified", style="yellow")
    if not warn:
        raise typer.Exit(int(Exit.UNHEALTHY))


async def _registered(ask: Ask, patience: Patience) -> Operation:
    configuration = load(ask.where.config_file)
    name = configuration.choose(ask.target)
    refuse_remote("redeploy --gate (or --warn)", configuration, name)
    async with open_engine(configuration, with_policies=False) as engine:
        request, backend = request_here(ask.deed, name), engine.backends[name]

        async def carry_out(plan: Plan) -> Operation:
            with finishing():
                return await engine.people.perform(request, confirmed=plan.digest)

        async def look() -> Plan:
            return await preview(request, backend, fleet=engine.fleet, now=engine.now)

        gate = Gate(look, backend.target, patience, tell=_tell)
        return await gate.registered(carry_out)


def _tell(text: str) -> None:
    """Progress as lines: the log of a pipeline is no terminal."""
    err.print(redact_text(text), markup=False)


def not_registered(error: MedicError, *, as_json: bool, warn: bool) -> None:
    """Say why nothing was registered, and leave with the error's code unless it is a warning."""
    if isinstance(error, ConfigurationError) and not warn:
        raise error
    reason = str(getattr(error, "reason", "") or _REASONS.get(type(error), "failed"))
    if as_json:
        print_json({"refused": reason, "message": str(error), "data": getattr(error, "data", {})})
    override = getattr(error, "override", None)
    hint = f"\nIf you are sure: --allow {override}" if override else ""
    said = f"not registered ({reason}): {error}{hint}"
    if not warn:
        fail(said, exit_code_of(error))
    err.print(f"{_WARNING}: {redact_text(said)}", style="yellow", markup=False)
