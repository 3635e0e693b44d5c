"""Small fakes for what surrounds the rules: a clock, a target that answers as told, a remedy.

The ledger is never faked: a real one on a temporary file is as quick.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from exporter.backends.backend import Backend
from exporter.fleet import Fleet
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import inspect
from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Mode
from exporter.model.errors import LedgerUnavailableError
from exporter.model.findings import Findings
from exporter.model.message import Tell
from exporter.model.operation import (
    ActResult,
    Budget,
    ItemOutcome,
    Operation,
    Plan,
    PolicyRef,
    Request,
    Window,
)
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.model.views import View
from exporter.remediate.remediator import Remediator
from exporter.remediate.verification import Verifier
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard, tells_nobody
from exporter.restate_api import RestateApi
from tests.unit.policy_scenes import NOW, ONE, URL, views

PATIENCE_SECONDS = 5
REMEDY = "force-redeploy"
ROOMY = Budget(timedelta(0), (Window("target", 1_000, timedelta(hours=1)),))


class Clock:
    """Time that moves only when it is told to, or when somebody sleeps."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at
        self.slept: list[float] = []
        self.set_by = 0.0
        """By how many seconds somebody has set the wall clock."""

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - NOW).total_seconds() - self.set_by

    def set(self, seconds: float) -> datetime:
        """Set the wall clock forward or back; the boot clock does not move."""
        self.set_by += seconds
        return self.advance(seconds)

    def advance(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class FakeTarget:
    """A target in memory: ``shown`` is what its probes see, ``failing`` why they see nothing."""

    def __init__(
        self,
        clock: Clock,
        target: Target = ONE,
        *,
        remedies: Iterable[Remedy] = (),
        shown: Mapping[Component, View] | None = None,
    ) -> None:
        self.clock = clock
        self.target = target
        self.shown: dict[Component, View] = dict(shown or views(target))
        self.failing: dict[Component, Reason] = {}
        self.retry_after: timedelta | None = None
        self.probed: list[frozenset[Component]] = []
        self.refreshed = 0
        self.tell: Tell = tells_nobody
        self.backend = Backend(
            target=target,
            probe=self.probe,
            due_now=lambda components: components,
            remedies={remedy.name: remedy for remedy in remedies},
            context=self._context,
            refresh_secrets=self._refresh,
        )

    async def probe(self, due: Iterable[Component]) -> tuple[Reading, ...]:
        components = frozenset(due)
        self.probed.append(components)
        return tuple(self.reading(component) for component in sorted(components))

    def reading(self, component: Component) -> Reading:
        """What a probe of the component sees right now."""
        reason = self.failing.get(component)
        now = self.clock.now()
        return Reading(
            component,
            reason.status if reason else Status.OK,
            now,
            now,
            self.target.intervals[component],
            latency_seconds=None if reason else 0.01,
            reason=reason,
            error=f"it failed: {reason}" if reason else None,
            view=None if reason else self.shown[component],
            retry_after=self.retry_after if reason else None,
        )

    def readings(self, *components: Component) -> tuple[Reading, ...]:
        return tuple(self.reading(c) for c in components or self.target.intervals)

    def _context(self, findings: Findings, now: Callable[[], datetime]) -> RemedyContext:
        api = cast("RestateApi", None)
        return RemedyContext(
            api=api, target=self.target, now=now, findings=findings, tell=self.tell
        )

    def _refresh(self) -> None:
        self.refreshed += 1


@dataclass
class FakeRemedy:
    """A remedy that does as its fields say, and remembers what reached the other side."""

    name: str = REMEDY
    refusal: Exception | None = None
    """What the preflight raises."""
    steps: tuple[str, ...] = ("register it",)
    """Its writes, in order."""
    failure: Exception | None = None
    """What the act raises after ``fails_after`` writes."""
    fails_after: int = 0
    result: ActResult = field(default_factory=ActResult)
    missing: str | None = None
    """What the check finds missing."""
    components: frozenset[Component] = frozenset({Component.SERVICES})
    pause: Callable[[], Any] | None = None
    """Awaited between the steps of an act."""
    preflights: int = 0
    acts: int = 0
    written: list[str] = field(default_factory=list)
    checked: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)

    def built(self) -> Remedy:
        return Remedy(
            name=self.name,
            preflight=self._preflight,
            act=self._act,
            check=self._check,
            components=self.components,
        )

    async def _preflight(self, context: RemedyContext, request: Request) -> Plan:
        self.preflights += 1
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        return plan_for(request, target=context.target.name)

    async def _act(self, _context: RemedyContext, _plan: Plan, guard: WriteGuard) -> ActResult:
        self.acts += 1
        for number, step in enumerate(self.steps):
            if self.failure is not None and number == self.fails_after:
                raise self.failure
            if self.pause is not None:
                await self.pause()
            await guard.before_write(step)
            self.written.append(step)
            await guard.item_done(ItemOutcome(step, "done"))
        if self.failure is not None:
            raise self.failure
        return self.result

    def _check(
        self,
        arguments: Mapping[str, Any],
        after: Mapping[str, Any],
        _report: Report,
        _now: datetime,
    ) -> str | None:
        self.checked.append((arguments, after))
        return self.missing


def by_policy(
    policy: str = "heal",
    *,
    target: str = ONE.name,
    remedy: str = REMEDY,
    mode: Mode = Mode.ENFORCE,
    budget: Budget = ROOMY,
    true_since: datetime | None = None,
) -> Request:
    return Request(
        target=target,
        remedy=remedy,
        arguments={"url": URL},
        source="policy",
        actor=f"policy:{policy}",
        mode=mode,
        policy=PolicyRef(policy, "abc123"),
        values={"services.missing": ["Greeter"]},
        budget=budget,
        true_since=true_since,
    )


def by_person(*, target: str = ONE.name, remedy: str = REMEDY) -> Request:
    return Request(
        target=target,
        remedy=remedy,
        arguments={"url": URL},
        source="cli",
        actor="mira",
        reason="rollout",
    )


def plan_for(request: Request, *, target: str | None = None) -> Plan:
    return Plan(
        remedy=request.remedy,
        target=target or request.target,
        summary=f"{request.remedy} on {request.target}",
        arguments=request.arguments,
        items=request.items,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so; TimeoutError when it never is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - conditions over what fakes only note
            await asyncio.sleep(0.005)


@asynccontextmanager
async def ledger_at(folder: Path, *, whole: bool = True) -> AsyncIterator[Ledger]:
    """A real ledger that gives up on a lock soon.

    In the end it must hold what its own entries tell, unless the test is about one that does not
    (``whole`` false): the check of the ledger must never cry wolf.
    """
    wait = timedelta(seconds=0.05)
    ledger = await Ledger.open(f"sqlite:///{folder}/medic.db", lock_wait=wait, required=False)
    try:
        yield ledger
        if whole:
            with suppress(LedgerUnavailableError):
                assert (await inspect(ledger)).flaw is None
    finally:
        await ledger.close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process holds the write lock of ``ledger_at``'s file."""
    connection = sqlite3.connect(folder / "medic.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@dataclass
class Ward:
    """A remediator over a real ledger, one fake target and time that stands still.

    What is woken is read at once, so that verification sees it without a schedule.
    """

    ledger: Ledger
    lease: timedelta = timedelta(seconds=60)
    owner: str = "here:1:abc"
    clock: Clock = field(default_factory=Clock)
    fleet: Fleet = field(default_factory=Fleet)
    remedy: FakeRemedy = field(default_factory=FakeRemedy)
    closed: list[tuple[Operation, Request | None]] = field(default_factory=list)
    seen_while_waiting: Callable[[], None] = lambda: None
    """Called before each reading that verification asks for."""

    def __post_init__(self) -> None:
        self.target = FakeTarget(self.clock, remedies=[self.remedy.built()])
        self.verifier = Verifier(
            fleet=self.fleet, now=self.clock.now, wake=self.wake, sleep=self.clock.sleep
        )
        self.remediator = self.another()

    def another(self, owner: str | None = None) -> Remediator:
        """A remediator as a second process has one."""
        return Remediator(
            ledger=self.ledger,
            fleet=self.fleet,
            verifier=self.verifier,
            owner=owner or self.owner,
            lease=self.lease,
            now=self.clock.now,
            on_closed=lambda operation, request: self.closed.append((operation, request)),
        )

    def wake(self, _name: str, components: frozenset[Component]) -> None:
        self.clock.advance(0.001)  # a reading begins after what asked for it
        self.seen_while_waiting()
        readings = self.target.readings(*components)
        self.fleet.merge(self.target.target, readings, now=self.clock.now())

    async def settle(self) -> None:
        """Let what was submitted come to its end."""
        assert await self.remediator.drain(PATIENCE_SECONDS)

    async def row(self) -> Operation:
        """The only operation of the ledger."""
        (operation,) = await self.ledger.operations()
        return operation

    async def kinds(self, operation: Operation) -> list[str]:
        """What the chain says happened to an operation."""
        return [str(entry.kind) for entry in await self.ledger.entries(operation.id)]
