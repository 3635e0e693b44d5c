"""Who may come in: the password of the web configuration, keys and roles, no other site's writes.

An ASGI middleware before the routes, so that nothing of a request is read before it is known whose
it is. A valid key always gets in; after too many failures from an address, a wrong one is answered
without being looked at further.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.model.errors import LedgerUnavailableError
from exporter.model.keys import ApiKey, Role
from exporter.web.attempts import Attempts
from exporter.web.body import WEBHOOK, bounded
from exporter.web.errors import error_response
from exporter.web.keyring import Keyring
from exporter.web.passwords import Passwords
from exporter.wire.operator import PREFIX, STATUS, Code

KEY_HEADER = "x-api-key"
_READS = frozenset({"GET", "HEAD"})
_ALWAYS_OPEN = frozenset({"/-/healthy", "/-/ready"})
"""Whoever asks whether the process lives has no key."""
_OWN_CHECK = frozenset({"/-/reload"})
"""Allowed without a key from this machine, which its route finds out."""
_BEARER = "bearer "
_BY_BEARER = frozenset({WEBHOOK})
"""What takes a bearer token although it is no reading. For reading, Prometheus sends its key so;
many an Alertmanager can send no header of one's own."""
_log = structlog.get_logger(__name__)

_KEY_CHALLENGE = 'ApiKey realm="restate-medic"'
_BASIC_CHALLENGE = 'Basic realm="restate-medic"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is asked of whoever comes, as it stands when they come."""

    keyring: Keyring
    reading_needs_key: Callable[[], bool]
    passwords: Passwords
    on_failure: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class _No:
    """Why a request does not come in."""

    code: Code
    message: str
    retry_after: float = 0.0
    challenge: str = _KEY_CHALLENGE


class Gate:
    """Lets requests through with ``scope["state"]["key"]``: the ApiKey they came with, or None."""

    def __init__(self, app: ASGIApp, *, access: Access, attempts: Attempts | None = None) -> None:
        self._app = app
        self._access = access
        self._attempts = Attempts() if attempts is None else attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = await self._let_in(scope)
        if isinstance(found, _No):
            await self._refuse(found, scope)(scope, receive, send)
            return
        scope["state"]["key"] = found
        await self._app(scope, bounded(scope, receive), send)

    async def _let_in(self, scope: Scope) -> ApiKey | _No | None:
        headers = Headers(scope=scope)
        no = await self._without_password(scope, headers)
        if no is not None:
            return no
        if scope["method"] not in _READS and _from_another_site(headers):
            return _No(Code.FORBIDDEN, "another site's page may not do this")
        needed = self._needed(scope["method"], scope["path"])
        bearer = scope["method"] in _READS or scope["path"] in _BY_BEARER
        given = _given(headers, bearer=bearer)
        if given is None:
            if needed is None:
                return None
            self._access.on_failure()
            return _No(Code.UNAUTHORIZED, "a key is needed: send it in the header X-Api-Key")
        try:
            limited = self._attempts.wait_seconds(_client(scope)) > 0
            key = await self._access.keyring.find(given, look_again=not limited)
        except LedgerUnavailableError as error:
            return _No(Code.LEDGER_UNAVAILABLE, str(error))
        if key is None:
            return self._wrong(scope, "the key")
        if needed is Role.OPERATOR and key.role is not Role.OPERATOR:
            self._access.on_failure()
            _log.warning("auth.role_too_low", key=key.name, path=scope["path"])
            message = f"the key {key.name} is a {key.role}'s; this needs an operator's"
            return _No(Code.PERMISSION_REQUIRED, message)
        return key

    async def _without_password(self, scope: Scope, headers: Headers) -> _No | None:
        """Check only for whoever may still fail: checking a password is slow on purpose."""
        passwords, given = self._access.passwords, headers.get("authorization")
        if not passwords.needed or passwords.remembers(given):
            return None
        if given is None:
            self._access.on_failure()
            message = "a user name and password are needed"
            return _No(Code.UNAUTHORIZED, message, challenge=_BASIC_CHALLENGE)
        limited = self._attempts.wait_seconds(_client(scope)) > 0
        if not limited and await passwords.check(given):
            return None
        return self._wrong(scope, "the user name or password", _BASIC_CHALLENGE)

    def _needed(self, method: str, path: str) -> Role | None:
        if path.startswith(f"{PREFIX}/"):
            return Role.OPERATOR
        if path in _OWN_CHECK:
            return None
        if method in _READS:
            closed = self._access.reading_needs_key() and path not in _ALWAYS_OPEN
            return Role.VIEWER if closed else None
        return Role.OPERATOR if path.startswith("/api/") else None

    def _wrong(self, scope: Scope, what: str, challenge: str = _KEY_CHALLENGE) -> _No:
        self._access.on_failure()
        client = _client(scope)
        wait = self._attempts.wait_seconds(client)
        if wait:
            message = "too many failed attempts from this address"
            return _No(Code.TOO_MANY_REQUESTS, message, retry_after=wait)
        self._attempts.failed(client)
        _log.warning("auth.failed", client=client, path=scope["path"], wrong=what)
        return _No(Code.UNAUTHORIZED, f"{what} is wrong or revoked", challenge=challenge)

    @staticmethod
    def _refuse(no: _No, scope: Scope) -> ASGIApp:
        headers: dict[str, str] = {}
        if no.code is Code.UNAUTHORIZED:
            headers["WWW-Authenticate"] = no.challenge
        if no.code is Code.TOO_MANY_REQUESTS:
            headers["Retry-After"] = str(math.ceil(no.retry_after))
        request_id = scope["state"]["request_id"]
        return error_response(
            STATUS[no.code], no.message, request_id=request_id, code=no.code, headers=headers
        )


def _given(headers: Headers, *, bearer: bool) -> str | None:
    """The key that was sent, in its own header, or as a ``bearer`` token where that does."""
    if (key := headers.get(KEY_HEADER)) is not None:
        return key
    given = headers.get("authorization", "")
    return given[len(_BEARER) :].strip() if bearer and given.lower().startswith(_BEARER) else None


def _from_another_site(headers: Headers) -> bool:
    """Whether a page of another site in a browser sent this. No key would excuse it."""
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _client(scope: Scope) -> str:
    return str((scope.get("client") or ("unknown",))[0])
