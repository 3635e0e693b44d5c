"""Logging in with a key, and out again."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from exporter.web.api.fields import fields_of
from exporter.web.api.reading import reading
from exporter.web.entry.access import Access, No, client_of
from exporter.web.entry.sessions import COOKIE, LONGEST_SECONDS
from exporter.web.page.forms import back
from exporter.web.page.notices import DONE
from exporter.web.page.render import Renderer
from exporter.web.status import WebStatus
from exporter.wire.operator import STATUS

_PATH = re.compile(r"(?!/)[A-Za-z0-9_.~/%-]{0,200}")
"""A path of ours, relative; never another site's address."""


def login_routes(status: Callable[[], WebStatus], access: Access, renderer: Renderer) -> APIRouter:
    """``/login`` and ``/logout``."""
    router = APIRouter(include_in_schema=False)

    @reading(router, "/login")
    async def login_page(request: Request) -> Response:
        """Where a key is typed in."""
        return await _form(request, _way(request.query_params.get("next", "")))

    @router.post("/login")
    async def login(request: Request) -> Response:
        form = await fields_of(request)
        way = _way(form.get("next", ""))
        found = await access.holder(form.get("key", "").strip(), client_of(request.scope))
        if isinstance(found, No):
            code = HTTPStatus(STATUS[found.code])
            return await _form(request, way, problem=found.message, code=code)
        answer = RedirectResponse(f"./{way}?{DONE}=in", HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            access.sessions.begin(found),
            max_age=LONGEST_SECONDS,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        answer = back(request, "", "out")
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    async def _form(
        request: Request, way: str, *, problem: str = "", code: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        return await renderer.page(
            "login.html",
            request,
            status(),
            refresh=False,
            code=code,
            facts=lambda: {"way": way, "problem": problem},
        )

    return router


def _way(text: str) -> str:
    """Where to go on afterwards: a page of ours, else the overview."""
    return text if _PATH.fullmatch(text) and ".." not in text else ""
