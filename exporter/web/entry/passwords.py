"""User names and passwords of the web configuration file: bcrypt, slow on purpose.

What was right is remembered for a while by a hash under a key of this process, so that a scrape
every few seconds does not cost a tenth of a second of CPU each time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

_REMEMBERED = 100
_LONGEST_BCRYPT_PASSWORD = 72
_NOBODY = "$2b$10$teAHMj.Ip4NfGMS6n/Bg7OoGPIbHqPnKHNw4flBHWpV89KnL12yYO"
"""Compared with when there is no such user, so that nobody learns names by the clock."""


class Passwords:
    """Who may come in by user name and password; everybody while no users are named."""

    def __init__(self) -> None:
        self._users: Mapping[str, str] = {}
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._secret = secrets.token_bytes(32)
        self._one_at_a_time = asyncio.Lock()

    def use(self, users: Mapping[str, str]) -> None:
        """Take these users (name to bcrypt hash) from now on."""
        if users != self._users:
            self._users = dict(users)
            self._known.clear()

    @property
    def needed(self) -> bool:
        """Whether anybody is asked at all."""
        return bool(self._users)

    def remembers(self, authorization: str | None) -> bool:
        """Whether this header was found right lately; cheap."""
        return authorization is not None and self._mark(authorization) in self._known

    async def check(self, authorization: str) -> bool:
        """Whether this ``Authorization`` header has a right name and password."""
        pair = _pair(authorization)
        if pair is None:
            return False
        name, password = pair
        users = self._users
        hashed = users.get(name, _NOBODY)
        async with self._one_at_a_time:  # many at once would leave no CPU for watching
            fits = await asyncio.to_thread(_fits, password, hashed)
        right = fits and name in users
        if right and users is self._users:
            self._known[self._mark(authorization)] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return right

    def _mark(self, authorization: str) -> bytes:
        return hmac.digest(self._secret, authorization.encode("utf-8", "replace"), hashlib.sha256)


def _fits(password: bytes, hashed: str) -> bool:
    if len(password) > _LONGEST_BCRYPT_PASSWORD or b"\0" in password:
        return False
    return bcrypt.checkpw(password, hashed.encode())


def _pair(authorization: str) -> tuple[str, bytes] | None:
    """Name and password of ``Basic …``; None when it is something else."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
        name, colon, password = decoded.partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
