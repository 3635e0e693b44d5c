"""The keys that are valid now, in memory, and who comes with one.

Read from the ledger every few seconds, so that a revoked key is refused soon, and once more when
somebody comes with one that is not known, so that a new key works at once.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable

from exporter.ledger.keys import digest_of
from exporter.model.errors import LedgerUnavailableError
from exporter.model.keys import ApiKey

REFRESH_SECONDS = 2.0
_APART_SECONDS = 0.2
"""However many strangers knock, the ledger is asked this seldom on their account."""
_LONGEST_KEY = 256


class Keyring:
    """Knows the valid keys by their hash."""

    def __init__(
        self,
        read: Callable[[], Awaitable[tuple[ApiKey, ...]]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._valid: tuple[ApiKey, ...] | None = None
        self._read_at = -_APART_SECONDS
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the keys again. LedgerUnavailableError: what was known stays."""
        async with self._reading:
            await self._refresh()

    async def find(self, key: str, *, look_again: bool = True) -> ApiKey | None:
        """The valid key that this is; None when it is none.

        LedgerUnavailableError while no keys were ever read: unknown is not none.
        """
        if len(key) > _LONGEST_KEY:
            return None
        found = self._known(key)
        if found is None and (look_again or self._valid is None):
            try:
                await self._refresh_since(self._monotonic())
            except LedgerUnavailableError:
                if self._valid is None:
                    raise
            found = self._known(key)
        return found

    async def by_id(self, number: int) -> ApiKey | None:
        """The key of this number while it is valid. LedgerUnavailableError as ``find``."""
        if self._valid is None:
            await self._refresh_since(self._monotonic())
        return next((key for key in self._valid or () if key.id == number), None)

    async def _refresh(self) -> None:
        self._read_at = self._monotonic()
        self._valid = tuple(key for key in await self._read() if key.valid)

    async def _refresh_since(self, asked: float) -> None:
        """Have the keys read once more; all who ask meanwhile share the next reading."""
        async with self._reading:
            if self._read_at >= asked and self._valid is not None:
                return
            await asyncio.sleep(max(self._read_at + _APART_SECONDS - self._monotonic(), 0))
            await self._refresh()

    def _known(self, key: str) -> ApiKey | None:
        """Compare with every key in constant time; where the right one stands does not show."""
        digest, found = digest_of(key), None
        for one in self._valid or ():
            if hmac.compare_digest(one.digest, digest):
                found = one
        return found
