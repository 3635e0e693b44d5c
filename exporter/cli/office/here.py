"""Commands that this process carries out itself, with the local configuration and ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

from exporter.app.check import check
from exporter.app.engine import Engine
from exporter.app.open import utc_now
from exporter.cli.office.office import Deed
from exporter.cli.orders import actor, known, known_policy, ordered
from exporter.ledger.gateway import Ledger
from exporter.model.operation import Operation, Outcome, Phase, Request
from exporter.model.orders import BreakerName, PauseScope
from exporter.order_book import OrderBook
from exporter.policy.actions import ACTIONS
from exporter.remediate.preflight import preview
from exporter.settings.load import Configuration
from exporter.wire.acts import PlanBody, plan_body
from exporter.wire.operation import OperationBody, OperationDetail, operation_body
from exporter.wire.orders import BreakerBody, PauseBody, breaker_body, pause_body


class DeedsHere:
    """Deeds of this process, on an engine of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def plan(self, deed: Deed) -> PlanBody:
        """What would be done."""
        engine, request = self._engine, self._request(deed)
        backend = engine.backends[request.target]
        return plan_body(await preview(request, backend, fleet=engine.fleet, now=engine.now))

    async def carry_out(self, deed: Deed, plan_id: str | None) -> OperationBody:
        """Do it: the same preflight, lock and ledger as a policy's."""
        request = self._request(deed)
        return operation_body(await self._engine.people.perform(request, confirmed=plan_id))

    async def under_way(self, deed: Deed) -> str:
        """How far it has come."""
        ledger = self._engine.ledger
        rows = await ledger.operations(target=self._request(deed).target, open_only=True, limit=1)
        if not rows:
            return ""
        items = await ledger.items(rows[0].id)
        return progress(rows[0].phase, sum(done is not None for _, done in items), len(items))

    def _request(self, deed: Deed) -> Request:
        return request_here(deed, self._engine.configuration.choose(deed.target))


def request_here(deed: Deed, target: str) -> Request:
    """A deed on a target as the remediator takes it, of whoever is at the terminal."""
    return Request(
        target=target,
        remedy=deed.remedy,
        arguments=deed.arguments,
        source="cli",
        actor=actor(),
        reason=deed.reason,
        allow=deed.allow,
    )


class OrdersHere:
    """Orders written straight into the configuration's ledger."""

    def __init__(self, configuration: Configuration, ledger: Ledger) -> None:
        self._configuration = configuration
        self._ledger = ledger
        self._book = OrderBook(ledger=ledger, now=utc_now)

    async def pauses(self) -> tuple[PauseBody, ...]:
        """Those in force."""
        return tuple(pause_body(one, utc_now()) for one in await self._book.pauses())

    async def pause(
        self, scope: PauseScope, name: str, *, reason: str, lasts: timedelta | None
    ) -> PauseBody:
        """Let policies rest."""
        if scope == "target":
            self._known_target(name)
        if scope == "policy":
            known_policy(self._configuration, name)
        until = None if lasts is None else utc_now() + lasts
        made = await self._book.pause(ordered("pause", reason), scope, name, until=until)
        return pause_body(made, made.created_at)

    async def lift(self, pause_id: int) -> PauseBody:
        """Lift one pause."""
        return pause_body(await self._book.lift(ordered("unpause"), pause_id), utc_now())

    async def lift_all(self, scope: PauseScope, name: str) -> tuple[PauseBody, ...]:
        """Lift every pause of this scope and name."""
        lifted = await self._book.lift_all(ordered("unpause"), scope, name)
        return tuple(pause_body(one, utc_now()) for one in lifted)

    async def waiting(self) -> tuple[OperationBody, ...]:
        """The plans that wait and have not expired."""
        now = utc_now()
        return tuple(
            operation_body(one) for one in self._ledger.standing.proposals if _stands(one, now)
        )

    async def operation(self, name: str) -> OperationDetail:
        """One operation with everything that happened to it."""
        return await self._book.detail(name)

    async def operations(
        self,
        *,
        target: str | None,
        policy: str | None,
        remedy: str | None,
        outcome: Outcome | None,
        phase: Phase | None = None,
        limit: int,
    ) -> tuple[OperationBody, ...]:
        """Newest first."""
        found = await self._ledger.operations(
            target=target, policy=policy, remedy=remedy, outcome=outcome, phase=phase, limit=limit
        )
        return tuple(operation_body(one) for one in found)

    async def approve(self, name: str, *, reason: str) -> OperationBody:
        """Say yes."""
        return operation_body(await self._book.approve(ordered("approve", reason), name))

    async def reject(self, name: str, *, reason: str) -> OperationBody:
        """Say no."""
        return operation_body(await self._book.reject(ordered("reject", reason), name))

    async def breakers(self) -> tuple[BreakerBody, ...]:
        """Those that are open."""
        policies = check(self._configuration)
        found = await self._book.breakers(policies, self._configuration.targets)
        return tuple(breaker_body(one) for one in found)

    async def reset(self, breaker: BreakerName, *, reason: str) -> bool:
        """Close a breaker."""
        if breaker.policy:
            known_policy(self._configuration, breaker.policy)
        else:
            self._known_target(breaker.target)
            known("remedy", breaker.remedy, ACTIONS)
        return await self._book.reset(ordered("reset-breaker", reason), breaker)

    def _known_target(self, name: str) -> None:
        known("target", name, (target.name for target in self._configuration.targets))


def progress(phase: str, done: int, items: int) -> str:
    """The phase, and of several items how many are behind it."""
    return f"{phase}, {done} of {items}" if items > 1 else str(phase)


def _stands(found: Operation, now: datetime) -> bool:
    return found.lease_until is not None and now < found.lease_until
