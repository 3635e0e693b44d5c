"""Doors for an application under test: open to everybody, or to the keys that a test names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exporter.ledger.gateway import Ledger
from exporter.ledger.keys import digest_of
from exporter.model.errors import LedgerUnavailableError
from exporter.model.keys import ApiKey, Role
from exporter.people import People
from exporter.web.api.clerk import Clerk
from exporter.web.api.desk import Desk
from exporter.web.entry.access import Access
from exporter.web.entry.attempts import Attempts
from exporter.web.entry.keyring import Keyring
from exporter.web.entry.passwords import Passwords
from exporter.web.entry.sessions import Sessions
from tests.benchmarks.synthetic import START

OPERATOR = "rm_operator-operator-operator-operator-opera"
VIEWER = "rm_viewer-viewer-viewer-viewer-viewer-viewer"


def key_of(secret: str, name: str, role: Role) -> ApiKey:
    """A key that the ledger might know."""
    number = 1 if role is Role.OPERATOR else 2
    return ApiKey(number, name, role, digest_of(secret), START, "mira")


KEYS = (key_of(OPERATOR, "ops", Role.OPERATOR), key_of(VIEWER, "wall", Role.VIEWER))


def access(
    *keys: ApiKey,
    reading_needs_key: bool = False,
    users: Mapping[str, str] | None = None,
    attempts: Attempts | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> Access:
    """Who may come in."""

    async def read() -> tuple[ApiKey, ...]:
        return keys

    passwords = Passwords()
    passwords.use(users or {})
    keyring = Keyring(read)
    return Access(
        keyring=keyring,
        sessions=Sessions(keyring),
        reading_needs_key=lambda: reading_needs_key,
        passwords=passwords,
        attempts=Attempts() if attempts is None else attempts,
        on_failure=on_failure,
    )


def no_people() -> People:
    raise AssertionError("nobody was to act here")


def no_ledger() -> Ledger:
    raise LedgerUnavailableError("there is none here")


def open_doors() -> dict[str, Any]:
    """What ``build_web`` needs where nobody acts and everybody may read what is in memory."""
    desk = Desk(people=no_people, targets=lambda: ("local",), now=lambda: START)
    clerk = Clerk(people=no_people, ledger=no_ledger, now=lambda: START, explain=lambda _target: ())
    return {"desk": desk, "clerk": clerk, "access": access(*KEYS)}
