"""What people order that outlives the call: pauses, a yes or a no to a plan, breakers reset.

The one implementation behind commands and HTTP interface. Everything is in the ledger, which the
daemon that acts reads again before each write; whether a name is configured, the callers ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.model.errors import NotFoundError
from exporter.model.operation import Operation, Request
from exporter.model.orders import BreakerName, OpenBreaker, Pause, PauseScope
from exporter.model.target import Target
from exporter.policy.breakers import open_breakers
from exporter.policy.policy import Policy
from exporter.wire.operation import OperationDetail, entry_body, operation_detail

if TYPE_CHECKING:
    from exporter.ledger.gateway import Ledger


class OrderBook:
    """Gives and lists orders. ``by`` says who, why, and by which call.

    A call that came through a route is a row of the ledger beside what it ordered.
    """

    def __init__(self, *, ledger: Ledger, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now

    async def pauses(self, *, run_out: bool = False) -> tuple[Pause, ...]:
        """Those in force, oldest first; with ``run_out`` also those that nobody lifted."""
        now = self._now()
        return tuple(p for p in await self._ledger.pauses() if run_out or p.in_force(now))

    async def pause(
        self, by: Request, scope: PauseScope, name: str, *, until: datetime | None
    ) -> Pause:
        """Hold policies everywhere, on a target, or one of them, until then or until lifted."""
        return await self._ledger.pause(
            scope,
            name,
            owner=by.actor,
            reason=by.reason,
            expires_at=until,
            now=self._now(),
            attempt=_attempt(by),
        )

    async def lift(self, by: Request, pause_id: int) -> Pause:
        """Lift one pause. NotFoundError when it is not there any more."""
        lifted = await self._lift(by, (pause_id,))
        if not lifted:
            raise NotFoundError(
                f"there is no pause {pause_id}: it was lifted, or never made", kind="pause"
            )
        return lifted[0]

    async def lift_all(self, by: Request, scope: PauseScope, name: str) -> tuple[Pause, ...]:
        """Lift every pause of this scope and name. NotFoundError when there is none."""
        there = await self._ledger.pauses()
        lifted = await self._lift(by, [p.id for p in there if (p.scope, p.name) == (scope, name)])
        if not lifted:
            raise NotFoundError("nothing of this is paused", kind="pause")
        return lifted

    async def find(self, name: str) -> Operation:
        """One operation by its id or the beginning of it. NotFoundError, AmbiguousError."""
        found = await self._ledger.operation(name)
        if found is None:
            msg = f"there is no operation {name!r}: see audit list"
            raise NotFoundError(msg, kind="operation")
        return found

    async def detail(self, name: str) -> OperationDetail:
        """The same with everything that happened to it, as it is told to people and programs."""
        found = await self.find(name)
        entries = await self._ledger.entries(found.id)
        return operation_detail(
            found,
            tuple(
                entry_body(seq=e.seq, at=e.at, kind=e.kind, body=e.body, digest=e.hash)
                for e in entries
            ),
        )

    async def approve(self, by: Request, name: str) -> Operation:
        """Say yes to a plan that waits. NotFoundError; RefusedError when it waits no more."""
        found = await self.find(name)
        return await self._ledger.approve(
            found.id, actor=by.actor, reason=by.reason, now=self._now(), attempt=_attempt(by)
        )

    async def reject(self, by: Request, name: str) -> Operation:
        """Say no to a plan that waits. NotFoundError; RefusedError when it waits no more."""
        found = await self.find(name)
        return await self._ledger.reject(
            found.id, actor=by.actor, reason=by.reason, now=self._now(), attempt=_attempt(by)
        )

    async def breakers(
        self, policies: Iterable[Policy], targets: Iterable[Target]
    ) -> tuple[OpenBreaker, ...]:
        """Every policy that a breaker stops on a target."""
        await self._ledger.refresh()
        standing = self._ledger.standing
        return tuple(
            open_breakers(
                policies,
                targets,
                failures=standing.failures,
                failures_of=standing.failures_of,
                now=self._now(),
            )
        )

    async def reset(self, by: Request, breaker: BreakerName) -> bool:
        """Close a breaker: what failed so far counts no more. False when nothing had failed."""
        await self._ledger.refresh()
        standing, now = self._ledger.standing, self._now()
        failed = (
            standing.failures_of(breaker.policy)
            if breaker.policy
            else standing.failures(breaker.target, breaker.remedy)
        )
        attempt = _attempt(by)
        if failed:
            await self._ledger.reset_breaker(
                breaker, actor=by.actor, reason=by.reason, now=now, attempt=attempt
            )
        elif attempt is not None:
            await self._ledger.record_answered(attempt, now=now)
        return bool(failed)

    async def _lift(self, by: Request, ids: Iterable[int]) -> tuple[Pause, ...]:
        return await self._ledger.unpause(
            tuple(ids), actor=by.actor, now=self._now(), attempt=_attempt(by)
        )


def _attempt(by: Request) -> Request | None:
    """What is to be a row of its own: a call of a route (commands leave only what they order)."""
    return by if by.route is not None else None
