"""What is asked of whoever comes, and what is said to who does not get in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from starlette.types import Scope

from exporter.model.errors import LedgerUnavailableError
from exporter.model.keys import ApiKey
from exporter.web.entry.attempts import Attempts
from exporter.web.entry.keyring import Keyring
from exporter.web.entry.passwords import Passwords
from exporter.web.entry.sessions import Sessions
from exporter.wire.operator import Code

KEY_CHALLENGE = 'ApiKey realm="restate-medic"'
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class No:
    """Why a request does not come in."""

    code: Code
    message: str
    retry_after: float = 0.0
    challenge: str = KEY_CHALLENGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is asked of whoever comes, as it stands when they come."""

    keyring: Keyring
    reading_needs_key: Callable[[], bool]
    passwords: Passwords
    sessions: Sessions
    attempts: Attempts = field(default_factory=Attempts)
    on_failure: Callable[[], None] = lambda: None

    async def holder(self, given: str, client: str) -> ApiKey | No:
        """Whose key this is; a failed attempt counts. LedgerUnavailableError is a no as well."""
        try:
            limited = self.attempts.wait_seconds(client) > 0
            key = await self.keyring.find(given, look_again=not limited)
        except LedgerUnavailableError as error:
            return No(Code.LEDGER_UNAVAILABLE, str(error))
        return self.wrong("the key", client) if key is None else key

    def wrong(self, what: str, client: str, challenge: str = KEY_CHALLENGE) -> No:
        """Count a failed attempt of a client; after too many it has to wait."""
        self.on_failure()
        wait = self.attempts.wait_seconds(client)
        if wait:
            message = "too many failed attempts from this address"
            return No(Code.TOO_MANY_REQUESTS, message, retry_after=wait)
        self.attempts.failed(client)
        _log.warning("auth.failed", client=client, wrong=what)
        return No(Code.UNAUTHORIZED, f"{what} is wrong or revoked", challenge=challenge)


def client_of(scope: Scope) -> str:
    """The address that a request comes from."""
    return str((scope.get("client") or ("unknown",))[0])
