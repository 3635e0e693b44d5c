"""The pages over the ledger: every operation, and one of them."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from exporter.model.errors import AmbiguousError, LedgerUnavailableError, NotFoundError
from exporter.model.operation import Operation, Outcome, Phase
from exporter.web.api.clerk import Clerk
from exporter.web.api.reading import reading
from exporter.web.page.operations import operation_facts, operation_row
from exporter.web.page.render import Renderer
from exporter.web.page.routes import NO_LEDGER
from exporter.web.status import WebStatus

_FILTERS = ("target", "policy", "remedy", "outcome", "phase")
_WORDS: dict[str, type[Outcome | Phase]] = {"outcome": Outcome, "phase": Phase}
_LONGEST = 100
_ROWS = 50


def audit_routes(status: Callable[[], WebStatus], clerk: Clerk, renderer: Renderer) -> APIRouter:
    """``/audit`` and ``/audit/{id}``."""
    router = APIRouter(include_in_schema=False)

    @reading(router, "/audit")
    async def audit_page(request: Request) -> HTMLResponse:
        now, chosen = status(), _chosen(request)
        before = request.query_params.get("before") or None
        rows: tuple[Operation, ...] = ()
        trouble = ""
        try:
            rows = await clerk.ledger().operations(**chosen, limit=_ROWS + 1, before=before)
        except LedgerUnavailableError as error:
            trouble = NO_LEDGER.format("operations", error)
        except NotFoundError:
            return await renderer.missing(
                request, now, "That part of the list is not there any more."
            )
        return await renderer.page(
            "audit.html",
            request,
            now,
            here="Audit",
            refresh=before is None,
            facts=lambda: {
                "operations": [operation_row(one, now.now) for one in rows[:_ROWS]],
                "next_id": rows[_ROWS - 1].id if len(rows) > _ROWS else None,
                "chosen": chosen,
                "filters": _filters(now, chosen),
                "first": before is None,
                "trouble": trouble,
            },
        )

    @reading(router, "/audit/{operation_id}")
    async def operation_page(request: Request, operation_id: str) -> HTMLResponse:
        now = status()
        try:
            found = await clerk.book().find(operation_id)
            detail = await clerk.book().detail(found.id)
        except (NotFoundError, AmbiguousError) as error:
            return await renderer.missing(request, now, f"{str(error)[:200]}.")
        except LedgerUnavailableError as error:
            text = NO_LEDGER.format("operations", error)
            return await renderer.missing(request, now, text, HTTPStatus.SERVICE_UNAVAILABLE)
        return await renderer.page(
            "operation.html",
            request,
            now,
            here="Audit",
            refresh=found.open,
            facts=lambda: operation_facts(found, detail, now.now),
        )

    return router


def _chosen(request: Request) -> dict[str, Any]:
    """What the address narrows the list to. What no operation can be is not asked for."""
    asked = request.query_params
    chosen: dict[str, Any] = {k: asked[k][:_LONGEST] for k in _FILTERS if asked.get(k)}
    for name, words in _WORDS.items():
        if name in chosen and chosen[name] not in set(words):
            del chosen[name]
    return {name: _WORDS[name](v) if name in _WORDS else v for name, v in chosen.items()}


def _filters(now: WebStatus, chosen: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Each filter and what it offers, also what is configured no more and asked for."""
    known = {
        "target": [row.target.name for row in now.targets],
        "policy": [policy.name for policy in now.policies],
        "outcome": list(map(str, Outcome)),
        "phase": [str(Phase.PROPOSED), *(str(p) for p in Phase if p is not Phase.PROPOSED)],
    }
    offered = []
    for name, values in known.items():
        asked = str(chosen.get(name, ""))
        offered.append((name, values if asked in {"", *values} else [asked, *values]))
    return offered
