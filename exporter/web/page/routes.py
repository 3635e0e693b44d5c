"""The pages that only show what is so now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from exporter.model.errors import LedgerUnavailableError
from exporter.web.api.clerk import Clerk
from exporter.web.api.reading import reading
from exporter.web.page.explained import explained_rows
from exporter.web.page.operations import operation_row
from exporter.web.page.overview import TargetFilter, overview_facts
from exporter.web.page.policies import policy_rows
from exporter.web.page.render import Renderer
from exporter.web.page.target import target_facts
from exporter.web.status import WebStatus

if TYPE_CHECKING:
    from exporter.model.operation import Operation
    from exporter.model.orders import OpenBreaker

_LAST_OPERATIONS = 15
NO_LEDGER = "The ledger cannot be read now, so {} are not shown: {}"


def page_routes(status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> APIRouter:
    """``/``, ``/targets/{name}`` and ``/policies``."""
    router = APIRouter(include_in_schema=False)

    @reading(router, "/")
    async def overview(request: Request) -> HTMLResponse:
        now, chosen = status(), TargetFilter.of(request.query_params)
        return await renderer.page(
            "overview.html",
            request,
            now,
            here="Overview",
            facts=lambda: overview_facts(now, chosen),
        )

    @reading(router, "/targets/{name}")
    async def target_page(request: Request, name: str) -> HTMLResponse:
        now = status()
        row = next((row for row in now.targets if row.target.name == name), None)
        if row is None:
            return await renderer.missing(request, now, f"There is no target “{name[:100]}”.")
        # Here and not in the thread: it reads what rounds change.
        explanations = clerk.explain(name)
        operations: tuple[Operation, ...] = ()
        trouble = ""
        try:
            operations = await clerk.ledger().operations(target=name, limit=_LAST_OPERATIONS)
        except LedgerUnavailableError as error:
            trouble = NO_LEDGER.format("operations", error)
        return await renderer.page(
            "target.html",
            request,
            now,
            facts=lambda: {
                **target_facts(row, now),
                "explained": explained_rows(explanations, now),
                "operations": [operation_row(one, now.now) for one in operations],
                "trouble_with_ledger": trouble,
            },
        )

    @reading(router, "/policies")
    async def policies_page(request: Request) -> HTMLResponse:
        now = status()
        breakers: tuple[OpenBreaker, ...] = ()
        trouble = ""
        try:
            targets = [row.target for row in now.targets]
            breakers = await clerk.book().breakers(now.policies, targets)
        except LedgerUnavailableError as error:
            trouble = NO_LEDGER.format("open breakers", error)
        return await renderer.page(
            "policies.html",
            request,
            now,
            here="Policies",
            facts=lambda: {
                "rows": policy_rows(now, breakers),
                "max_mode": now.max_mode,
                "pauses": now.pauses,
                "trouble": trouble,
            },
        )

    return router
