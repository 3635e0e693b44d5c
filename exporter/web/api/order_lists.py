"""Routes that list what people ordered, and what stopped by itself: pauses and breakers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query

from exporter.order_book import OrderBook
from exporter.web.api.filters import BreakerFilters, PauseFilters, PauseId
from exporter.web.api.listing import known, one, paged
from exporter.web.api.reading import reading
from exporter.web.status import WebStatus
from exporter.wire.operator import Code
from exporter.wire.orders import (
    BreakersAnswer,
    PauseBody,
    PausesAnswer,
    breaker_body,
    pause_body,
)


def order_routes(status: Callable[[], WebStatus], book: Callable[[], OrderBook]) -> APIRouter:
    """All of them, from the ledger itself: what was just ordered is in them."""
    router = APIRouter(prefix="/api/v1", tags=["read"])

    @reading(router, "/pauses", Code.BAD_REQUEST)
    async def pauses(asked: Annotated[PauseFilters, Query()]) -> PausesAnswer:
        """What is paused, by whom, why, and until when; oldest first."""
        now, found = status(), await book().pauses(run_out=asked.status == "any")
        names = {row.target.name for row in now.targets} | {p.name for p in now.policies}
        known("name", asked.name, names | {pause.name for pause in found})
        rows = [
            pause_body(pause, now.now)
            for pause in found
            if asked.scope in {None, pause.scope} and asked.name in {None, pause.name}
        ]
        shown, cursor = paged("pauses", rows, asked, lambda body: (f"{body.id:020}",))
        return PausesAnswer(pauses=shown, next_cursor=cursor)

    @reading(router, "/pauses/{id}", Code.NOT_FOUND, Code.BAD_REQUEST)
    async def pause_by_id(pause_id: PauseId) -> PauseBody:
        """One pause that was not lifted."""
        rows = [pause_body(p, status().now) for p in await book().pauses(run_out=True)]
        return one("pause", str(pause_id), rows, lambda body: str(body.id))

    @reading(router, "/breakers", Code.BAD_REQUEST)
    async def breakers(asked: Annotated[BreakerFilters, Query()]) -> BreakersAnswer:
        """Every policy that is stopped because it did not help, and which breaker stops it."""
        now = status()
        targets = [row.target for row in now.targets]
        known("target", asked.target, (target.name for target in targets))
        known("policy", asked.policy, (policy.name for policy in now.policies))
        rows = [
            breaker_body(found)
            for found in await book().breakers(now.policies, targets)
            if asked.target in {None, found.target}
            and asked.policy in {None, found.policy}
            and asked.remedy in {None, found.remedy}
        ]
        shown, cursor = paged("breakers", rows, asked, lambda body: (body.policy, body.target))
        return BreakersAnswer(breakers=shown, next_cursor=cursor)

    return router
