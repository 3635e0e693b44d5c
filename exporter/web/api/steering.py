"""What key holders order, the same behind the control routes and behind the forms of the pages.

Checks what is asked for against what is configured, and hands it on. None of it writes to Restate.
How a call is sent and answered is the routes'.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.model.component import Component
from exporter.model.errors import NotFoundError
from exporter.model.orders import BreakerName
from exporter.policy.actions import ACTIONS
from exporter.policy.words import no_such
from exporter.web.api.errors import unusable
from exporter.web.api.listing import one
from exporter.web.api.present import check_policy, check_target

if TYPE_CHECKING:
    from fastapi import Request as HttpRequest

    from exporter.model.operation import Operation, Request
    from exporter.model.orders import Pause
    from exporter.people import Checked
    from exporter.web.api.clerk import Clerk
    from exporter.web.api.filters import LiftFilters
    from exporter.web.status import WebStatus
    from exporter.wire.orders import CheckBody, NewPause, WhyBody

CALLS = {
    "check_now": "check",
    "pause": "pause",
    "unpause": "unpause",
    "unpause_all": "unpause",
    "approve": "approve",
    "reject": "reject",
    "reset_breaker": "reset-breaker",
}
"""What the ledger calls what each route does, by the name of its function."""


class Steering:
    """Raises FailureError and MedicError, which the routes tell of and write down."""

    def __init__(self, status: Callable[[], WebStatus], clerk: Clerk) -> None:
        self._status = status
        self._clerk = clerk

    async def check(self, http: HttpRequest, name: str, body: CheckBody) -> Checked:
        """Read a target now, as its next round would; everything unless components are named."""
        target = one("target", name, self._status().targets, lambda row: row.target.name).target
        components = frozenset(map(Component, body.components)) or frozenset(target.intervals)
        if off := components - target.intervals.keys():
            said = f"{', '.join(sorted(off))} is not read of {name}: it is off"
            raise unusable("body.components", said)
        by = self._clerk.asked(http, "check", target=name, body=body)
        return await self._clerk.people().check(by, components)

    async def pause(self, http: HttpRequest, body: NewPause) -> Pause:
        """Let policies rest; a reason is needed."""
        now = self._status()
        if body.scope == "target":
            check_target(now, body.name)
        if body.scope == "policy":
            check_policy(now, body.name)
        target = body.name if body.scope == "target" else None
        by = self._clerk.asked(http, "pause", target=target, body=body)
        if not by.reason.strip():
            raise unusable("body.reason", "is needed, here or in X-Reason: say why")
        until = _until(body, self._clerk.now())
        return await self._clerk.book().pause(by, body.scope, body.name, until=until)

    async def lift(self, http: HttpRequest, pause_id: int) -> Pause:
        """Lift one pause."""
        return await self._clerk.book().lift(self._clerk.asked(http, "unpause"), pause_id)

    async def lift_all(self, http: HttpRequest, which: LiftFilters) -> tuple[Pause, ...]:
        """Lift every pause of one target, of one policy, or those of everything."""
        if (which.scope == "global") is (which.name is not None):
            raise unusable(
                "query.name", "name a target or a policy, or nothing with the scope global"
            )
        target = which.name if which.scope == "target" else None
        by = self._clerk.asked(http, "unpause", target=target)
        return await self._clerk.book().lift_all(by, which.scope, which.name or "")

    async def approve(self, http: HttpRequest, name: str, body: WhyBody | None) -> Operation:
        """Say yes to a plan, and have the target's next round come at once."""
        found, by = await self._about(http, "approve", name, body)
        approved = await self._clerk.book().approve(by, found.id)
        with suppress(NotFoundError):  # configured no more: whoever acts for it will see
            self._clerk.people().hasten(approved.target)
        return approved

    async def reject(self, http: HttpRequest, name: str, body: WhyBody | None) -> Operation:
        """Say no to a plan."""
        found, by = await self._about(http, "reject", name, body)
        return await self._clerk.book().reject(by, found.id)

    async def reset(self, http: HttpRequest, breaker: str, body: WhyBody | None) -> bool:
        """Close a breaker; False when nothing had failed."""
        name, now = BreakerName.parse(breaker), self._status()
        if name is None:
            raise NotFoundError(
                "there is no such breaker; write target:NAME:REMEDY or policy:NAME", kind="breaker"
            )
        if name.policy:
            check_policy(now, name.policy)
        else:
            check_target(now, name.target)
            if name.remedy not in ACTIONS:
                raise no_such("remedy", name.remedy, ACTIONS)
        by = self._clerk.asked(http, "reset-breaker", target=name.target, body=body)
        return await self._clerk.book().reset(by, name)

    async def _about(
        self, http: HttpRequest, call: str, name: str, body: WhyBody | None
    ) -> tuple[Operation, Request]:
        """The plan that is meant, and a call that names it in full."""
        found = await self._clerk.book().find(name)
        about = {"operation": found.id}
        return found, self._clerk.asked(http, call, target=found.target, body=body, about=about)


def _until(body: NewPause, now: datetime) -> datetime | None:
    try:
        until = body.until(now)
    except OverflowError as error:
        raise unusable("body.for", "is longer than time lasts; write 2h") from error
    if until is not None and until <= now:
        raise unusable("body.expiresAt", "is over; write a moment to come")
    return until
