"""Who may come in: the password of the web configuration, keys and roles, no other site's writes.

An ASGI middleware before the routes, so that nothing of a request is read before it is known whose
it is. A valid key always gets in; after too many failures from an address, a wrong one is answered
without being looked at further.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.model.errors import LedgerUnavailableError
from exporter.model.keys import ApiKey, Role
from exporter.web.api.body import WEBHOOK, bounded
from exporter.web.api.errors import error_response
from exporter.web.entry.access import KEY_CHALLENGE, Access, No, client_of
from exporter.wire.operator import PREFIX, STATUS, Code

KEY_HEADER = "x-api-key"
_READS = frozenset({"GET", "HEAD"})
LOGIN, LOGOUT = "/login", "/logout"
_ALWAYS_OPEN = frozenset({"/-/healthy", "/-/ready", LOGIN})
"""Whoever asks whether the process lives has no key, nor has who is about to log in."""
_OWN_CHECK = frozenset({"/-/reload", LOGIN, LOGOUT})
"""Allowed without a key: their routes find out for themselves who comes."""
_FOR_PROGRAMS = ("/api/", "/-/", f"{PREFIX}/")
"""What a browser's session opens for reading only, and where nobody is led to log in."""
FORMS = "/act"
"""What the forms of the pages are sent to."""
_PAGES_WITH_FORMS = ("targets/", "audit/")
"""Where a form's own path says which page it stood on."""
_WRITES = ("/api/", f"{FORMS}/")
_BEARER = "bearer "
_BY_BEARER = frozenset({WEBHOOK})
"""What takes a bearer token although it is no reading. For reading, Prometheus sends its key so;
many an Alertmanager can send no header of one's own."""
_log = structlog.get_logger(__name__)

_BASIC_CHALLENGE = 'Basic realm="restate-medic"'


class Gate:
    """Lets requests through with ``scope["state"]["key"]``: the ApiKey they came with, or None."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = await self._let_in(scope)
        if isinstance(found, No):
            await self._refuse(found, scope)(scope, receive, send)
            return
        scope["state"]["key"] = found
        await self._app(scope, bounded(scope, receive), send)

    async def _let_in(self, scope: Scope) -> ApiKey | No | None:
        headers = Headers(scope=scope)
        no = await self._without_password(scope, headers)
        if no is not None:
            return no
        if scope["method"] not in _READS and _from_another_site(headers):
            return No(Code.FORBIDDEN, "another site's page may not do this")
        needed = self._needed(scope["method"], scope["path"])
        bearer = scope["method"] in _READS or scope["path"] in _BY_BEARER
        given = _given(headers, bearer=bearer)
        found = await self._holder(scope, headers, given)
        if isinstance(found, No):
            return found
        if found is None:
            if needed is None:
                return None
            self._access.on_failure()
            return No(Code.UNAUTHORIZED, "a key is needed: send it in the header X-Api-Key")
        key = found
        if needed is Role.OPERATOR and key.role is not Role.OPERATOR:
            self._access.on_failure()
            _log.warning("auth.role_too_low", key=key.name, path=scope["path"])
            message = f"the key {key.name} is a {key.role}'s; this needs an operator's"
            return No(Code.PERMISSION_REQUIRED, message)
        return key

    async def _holder(
        self, scope: Scope, headers: Headers, given: str | None
    ) -> ApiKey | No | None:
        """Whose request it is: by the key that was sent, else by a browser's session."""
        if given is not None:
            return await self._access.holder(given, client_of(scope))
        if scope["method"] not in _READS and scope["path"].startswith(_FOR_PROGRAMS):
            return None
        try:
            return await self._access.sessions.find(headers.get("cookie", ""))
        except LedgerUnavailableError:
            return None  # a stranger then, until it is known better

    async def _without_password(self, scope: Scope, headers: Headers) -> No | None:
        """Check only for whoever may still fail: checking a password is slow on purpose."""
        passwords, given = self._access.passwords, headers.get("authorization")
        if not passwords.needed or passwords.remembers(given):
            return None
        if given is None:
            self._access.on_failure()
            message = "a user name and password are needed"
            return No(Code.UNAUTHORIZED, message, challenge=_BASIC_CHALLENGE)
        limited = self._access.attempts.wait_seconds(client_of(scope)) > 0
        if not limited and await passwords.check(given):
            return None
        return self._access.wrong("the user name or password", client_of(scope), _BASIC_CHALLENGE)

    def _needed(self, method: str, path: str) -> Role | None:
        if path.startswith(f"{PREFIX}/"):
            return Role.OPERATOR
        if path in _OWN_CHECK:
            return None
        if method in _READS:
            closed = self._access.reading_needs_key() and path not in _ALWAYS_OPEN
            return Role.VIEWER if closed else None
        return Role.OPERATOR if path.startswith(_WRITES) else None

    @staticmethod
    def _refuse(no: No, scope: Scope) -> ASGIApp:
        headers: dict[str, str] = {}
        if no.code is Code.UNAUTHORIZED:
            headers["WWW-Authenticate"] = no.challenge
        if no.code is Code.TOO_MANY_REQUESTS:
            headers["Retry-After"] = str(math.ceil(no.retry_after))
        request_id = scope["state"]["request_id"]
        if no.code is Code.UNAUTHORIZED and no.challenge == KEY_CHALLENGE and _by_person(scope):
            return RedirectResponse(_way_to_log_in(scope), HTTPStatus.SEE_OTHER)
        return error_response(
            STATUS[no.code], no.message, request_id=request_id, code=no.code, headers=headers
        )


def _given(headers: Headers, *, bearer: bool) -> str | None:
    """The key that was sent, in its own header, or as a ``bearer`` token where that does."""
    if (key := headers.get(KEY_HEADER)) is not None:
        return key
    given = headers.get("authorization", "")
    return given[len(_BEARER) :].strip() if bearer and given.lower().startswith(_BEARER) else None


def _by_person(scope: Scope) -> bool:
    """Whether a browser asks for a page, and a form to log in serves better than JSON."""
    accepts, path = Headers(scope=scope).get("accept", ""), scope["path"]
    asks = scope["method"] == "GET" and not path.startswith(_FOR_PROGRAMS)
    return "text/html" in accepts and (asks or _is_form(scope))


def _is_form(scope: Scope) -> bool:
    return scope["method"] == "POST" and str(scope["path"]).startswith(f"{FORMS}/")


def _way_to_log_in(scope: Scope) -> str:
    """Relative. What a form ordered is not kept: its page is shown again, to send it once more."""
    path = str(scope["path"]).removeprefix("/")
    root, here = "../" * path.count("/") or "./", path
    if _is_form(scope):
        page = path.removeprefix(f"{FORMS}/".removeprefix("/")).rpartition("/")[0]
        here = page if page.startswith(_PAGES_WITH_FORMS) else "policies"
    return f"{root}login?next={quote(here)}{'&done=nothing' if _is_form(scope) else ''}"


def _from_another_site(headers: Headers) -> bool:
    """Whether a page of another site in a browser sent this. No key would excuse it."""
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
