"""Templates to answers: one style sheet, one script, and a policy that allows nothing else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter.model.keys import ApiKey, Role
from exporter.model.redact import redact_text
from exporter.web.page import words
from exporter.web.page.notices import DONE, notice_of
from exporter.web.status import WebStatus
from exporter.wire.explain_words import when_text

REFRESH_SECONDS = 15
_REFERRER = {"Referrer-Policy": "same-origin"}
"""With ``no-referrer`` browsers send ``Origin: null`` with a form, as another site's would."""
PAGES = (("Overview", ""), ("Policies", "policies"), ("Audit", "audit"))
"""Name and path of what the navigation leads to."""


class Renderer:
    """Renders the templates with what all pages share."""

    def __init__(self, *, version: str, telemetry_path: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("exporter.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=words.visible,
        )
        self._environment.filters["safe_text"] = redact_text
        self._environment.filters["scalar"] = words.scalar
        self._environment.globals.update(
            ago=words.ago, length=words.length, moment=words.moment, when=when_text
        )
        style, script = self._own("style.css"), self._own("refresh.js")
        self._csp = _content_security_policy(style, script)
        self._shared: Mapping[str, Any] = {
            "style": style,
            "script": script,
            "pages": PAGES,
            "version": version,
            "telemetry_path": telemetry_path.removeprefix("/"),
        }

    async def page(
        self,
        template: str,
        request: Request,
        status: WebStatus,
        *,
        here: str = "",
        refresh: bool = True,
        code: HTTPStatus = HTTPStatus.OK,
        facts: Callable[[], Mapping[str, Any]] = dict,
    ) -> HTMLResponse:
        """One page. ``here`` is the name of the page that the navigation marks.

        ``facts`` and the template run in a thread: a large fleet takes a while, and rounds are not
        to wait for it.
        """
        key = getattr(request.state, "key", None)
        shared = {
            **self._shared,
            "here": here,
            "now": status.now,
            "root": root_of(request),
            "itself": _itself(request),
            "login": f"login?next={quote(request.url.path.removeprefix('/'))}",
            "person": key if isinstance(key, ApiKey) else None,
            "may_act": may_act(key),
            "refresh_seconds": REFRESH_SECONDS if refresh else 0,
            "running": status.running,
            "notice": notice_of(request),
        }
        chosen = self._environment.get_template(template)
        html = await asyncio.to_thread(lambda: chosen.render({**shared, **facts()}))
        return HTMLResponse(html, code, {"Content-Security-Policy": self._csp, **_REFERRER})

    async def missing(
        self,
        request: Request,
        status: WebStatus,
        text: str,
        code: HTTPStatus = HTTPStatus.NOT_FOUND,
        title: str = "Nothing here",
    ) -> HTMLResponse:
        """A page that says why there is no other."""
        return await self.page(
            "missing.html",
            request,
            status,
            refresh=False,
            code=code,
            facts=lambda: {"text": text, "title": title},
        )

    def _own(self, name: str) -> Markup:
        return Markup(self._environment.get_template(name).render())  # noqa: S704 - our own file


def may_act(key: object) -> bool:
    """Whether who looks may also act."""
    return isinstance(key, ApiKey) and key.role is Role.OPERATOR


def root_of(request: Request) -> str:
    """The way from this page to ``/``, so that links hold under a proxy's prefix."""
    depth = request.url.path.removeprefix("/").count("/")
    return "../" * depth or "./"


def _itself(request: Request) -> str:
    """The page's own address, without what it says only once."""
    asked = [(k, v) for k, v in request.query_params.multi_items() if k != DONE]
    return f"?{urlencode(asked)}"


def _content_security_policy(style: str, script: str) -> str:
    """Nothing but the one style sheet and the one script, named by their hashes."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
