"""The pages over the ledger: every operation, and one of them."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from exporter.model.errors import AmbiguousError, LedgerUnavailableError, NotFoundError
from exporter.model.operation import Outcome, Phase
from exporter.web.clerk import Clerk
from exporter.web.page.notices import notice_of
from exporter.web.page.operations import operation_row
from exporter.web.page.render import Renderer, may_act
from exporter.web.reading import reading
from exporter.web.status import WebStatus

NO_LEDGER = "The ledger cannot be read now, so operations are not shown: {}"
_FILTERS = ("target", "policy", "remedy", "outcome", "phase")
_ROWS = 50
_HTML = ("text/html",)


def audit_routes(status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> APIRouter:
    """``/audit`` and ``/audit/{id}``."""
    router = APIRouter()

    @reading(router, "/audit", media=_HTML)
    async def audit_page(request: Request) -> HTMLResponse:
        now, asked = status(), request.query_params
        outcome, phase = asked.get("outcome", ""), asked.get("phase", "")
        chosen = {k: asked[k] for k in _FILTERS if asked.get(k)}
        before = asked.get("before") or None
        try:
            rows = await clerk.ledger().operations(
                target=chosen.get("target"),
                policy=chosen.get("policy"),
                remedy=chosen.get("remedy"),
                outcome=Outcome(outcome) if outcome in set(Outcome) else None,
                phase=Phase(phase) if phase in set(Phase) else None,
                limit=_ROWS + 1,
                before=before,
            )
            trouble = ""
        except LedgerUnavailableError as error:
            rows, trouble = (), NO_LEDGER.format(error)
        except NotFoundError:
            return renderer.missing(request, now, "That part of the list is not there any more.")
        return renderer.page(
            "audit.html",
            request,
            now,
            here="Audit",
            refresh=before is None,
            operations=[operation_row(one, now.now) for one in rows[:_ROWS]],
            next_id=rows[_ROWS - 1].id if len(rows) > _ROWS else None,
            chosen=chosen,
            outcomes=[str(outcome) for outcome in Outcome],
            targets=[row.target.name for row in now.targets],
            policies=[policy.name for policy in now.policies],
            first=before is None,
            trouble=trouble,
            notice=notice_of(request),
        )

    @reading(router, "/audit/{operation_id}", media=_HTML)
    async def operation_page(request: Request, operation_id: str) -> HTMLResponse:
        now = status()
        try:
            found = await clerk.book().find(operation_id)
            detail = await clerk.book().detail(found.id)
        except (NotFoundError, AmbiguousError) as error:
            return renderer.missing(request, now, f"{str(error)[:200]}.")
        except LedgerUnavailableError as error:
            return renderer.missing(
                request, now, NO_LEDGER.format(error), HTTPStatus.SERVICE_UNAVAILABLE
            )
        waits = found.open and found.phase is Phase.PROPOSED and found.approved_by is None
        return renderer.page(
            "operation.html",
            request,
            now,
            here="Audit",
            refresh=found.open,
            row=operation_row(found, now.now),
            operation=found,
            detail=detail,
            waits=waits,
            may_act=may_act(request),
            notice=notice_of(request),
        )

    return router
