"""The pages that only show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from exporter.model.component import Status
from exporter.model.errors import LedgerUnavailableError
from exporter.web.clerk import Clerk
from exporter.web.page.notices import notice_of
from exporter.web.page.operations import operation_row
from exporter.web.page.overview import (
    MOST_DECISIONS,
    MOST_TARGETS,
    UNHEALTHY,
    TargetFilter,
    columns,
    decision_rows,
    target_rows,
    tiles,
)
from exporter.web.page.policies import policy_rows
from exporter.web.page.render import Renderer, may_act
from exporter.web.page.target import component_rows, fact_groups
from exporter.web.present import in_full
from exporter.web.reading import reading
from exporter.web.status import WebStatus

if TYPE_CHECKING:
    from exporter.model.operation import Operation
    from exporter.model.orders import OpenBreaker

_STATUSES = ("", UNHEALTHY, *(str(s) for s in Status if s is not Status.OFF))
_ROWS = 50
_LAST_OPERATIONS = 15
_HTML = ("text/html",)
NO_LEDGER = "The ledger cannot be read now, so operations are not shown: {}"


def page_routes(status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> APIRouter:
    """``/``, ``/targets/{name}`` and ``/policies``."""
    router = APIRouter()

    @reading(router, "/", media=_HTML)
    async def overview(request: Request) -> HTMLResponse:
        now, asked = status(), request.query_params
        wanted, q = asked.get("status", ""), asked.get("q", "")
        chosen = TargetFilter(wanted if wanted in _STATUSES else "", q[:100])
        rows, decisions = target_rows(now), decision_rows(now.decisions, now.now)
        fitting = [row for row in rows if chosen.takes(row)]
        unhealthy = sum(not row.healthy for row in rows)
        return renderer.page(
            "overview.html",
            request,
            now,
            here="Overview",
            headline=_headline(len(rows), unhealthy),
            lead=_lead(now),
            rows=rows,
            shown=fitting[:MOST_TARGETS],
            left_out=max(len(fitting) - MOST_TARGETS, 0),
            columns=columns(now),
            chosen=chosen,
            statuses=_STATUSES,
            tiles=tiles(rows, decisions),
            decisions=decisions,
            most_decisions=MOST_DECISIONS,
            clear=len(now.decisions) - len(decisions),
            notice=notice_of(request),
        )

    @reading(router, "/targets/{name}", media=_HTML)
    async def target_page(request: Request, name: str) -> HTMLResponse:
        now = status()
        row = next((row for row in now.targets if row.target.name == name), None)
        if row is None:
            return renderer.missing(request, now, f"There is no target “{name}”.")
        mine = [s for s in now.decisions if s.decision.subject.target == name]
        decisions = decision_rows(mine, now.now)
        operations, trouble = await _operations(clerk, limit=_LAST_OPERATIONS, target=name)
        detail = in_full(row, now)
        return renderer.page(
            "target.html",
            request,
            now,
            target=row.target,
            detail=detail,
            components=component_rows(row, now),
            facts=fact_groups(detail.values),
            decisions=decisions,
            clear=sorted({s.decision.subject.policy for s in mine if not s.decision.reason})
            if mine
            else [],
            operations=[operation_row(one, now.now) for one in operations],
            trouble=trouble,
            pauses=[p for p in now.pauses if p.scope != "policy" and p.name in {"", name}],
            may_act=may_act(request),
            notice=notice_of(request),
        )

    @reading(router, "/policies", media=_HTML)
    async def policies_page(request: Request) -> HTMLResponse:
        now = status()
        breakers: tuple[OpenBreaker, ...] = ()
        trouble = ""
        try:
            targets = [row.target for row in now.targets]
            breakers = await clerk.book().breakers(now.policies, targets)
        except LedgerUnavailableError as error:
            trouble = f"The ledger cannot be read now, so open breakers are not shown: {error}"
        return renderer.page(
            "policies.html",
            request,
            now,
            here="Policies",
            rows=policy_rows(now, breakers),
            max_mode=now.max_mode,
            pauses=now.pauses,
            trouble=trouble,
            may_act=may_act(request),
            notice=notice_of(request),
        )

    return router


async def _operations(
    clerk: Clerk, *, limit: int, target: str
) -> tuple[tuple[Operation, ...], str]:
    """The last ones, or why they cannot be read: none at all would look like nothing was done."""
    try:
        return await clerk.ledger().operations(target=target, limit=limit), ""
    except LedgerUnavailableError as error:
        return (), NO_LEDGER.format(error)


def _headline(count: int, unhealthy: int) -> str:
    if not count:
        return "No targets"
    if not unhealthy:
        return "The target is ok" if count == 1 else f"All {count} targets are ok"
    one = "target needs" if count == 1 else "targets need"
    return f"{unhealthy} of {count} {one} a look"


def _lead(now: WebStatus) -> str:
    parts = []
    if not now.ready:
        parts.append(f"Waiting for the first round of {len(now.waiting_for)}.")
    if now.pauses:
        what = "; ".join(f"{p.what} by {p.owner}" for p in now.pauses[:3])
        parts.append(f"Paused: {what}.")
    policies = len(now.policies)
    parts.append(
        f"{policies} {'policy' if policies == 1 else 'policies'} in force,"
        f" up to mode {now.max_mode}."
    )
    return " ".join(parts)
