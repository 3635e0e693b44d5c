"""Key holders in a browser: a signed cookie that stands for a key, and ends with it.

The cookie holds the key's number and never the key. It is signed with a secret of this process, so
a restart logs everybody out; a revoked key's sessions end within seconds, as the key itself does.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie

from itsdangerous import BadSignature, URLSafeTimedSerializer

from exporter.model.keys import ApiKey
from exporter.web.entry.keyring import Keyring

COOKIE = "restate_medic_session"
LONGEST_SECONDS = 12 * 3600
_LONGEST_COOKIE = 512


class Sessions:
    """Makes and reads the cookies of one process."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._serializer = URLSafeTimedSerializer(secrets.token_bytes(32), salt="session")

    def begin(self, key: ApiKey) -> str:
        """The cookie's value for the holder of a key."""
        return self._serializer.dumps(key.id)

    async def find(self, header: str) -> ApiKey | None:
        """The key that a ``Cookie`` header stands for, while both are valid; else None."""
        value = _value_of(header)
        if value is None:
            return None
        try:
            number = self._serializer.loads(value, max_age=LONGEST_SECONDS)
        except BadSignature:
            return None
        return await self._keyring.by_id(number) if isinstance(number, int) else None


def _value_of(header: str) -> str | None:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    if found is None or len(found.value) > _LONGEST_COOKIE:
        return None
    return found.value
