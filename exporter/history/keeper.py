"""Keeps history in the ledger: what was recorded is written, what is too old or too much goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Protocol

from exporter.history.recorder import Recorder, Shelf
from exporter.model.errors import LedgerUnavailableError

LOOK_SECONDS = 1.0
"""Between two looks whether it is time to write."""
PRUNE_SECONDS = 300.0


class Bounds(Protocol):
    """Whether, how long and how much history is kept, such as ``HistorySettings``."""

    @property
    def enabled(self) -> bool:
        """Whether anything is."""

    @property
    def keep(self) -> timedelta:
        """For how long."""

    @property
    def max_bytes(self) -> int:
        """How large it may grow."""

    @property
    def write_every(self) -> timedelta:
        """How much a crash may lose."""


class Keeper:
    """The recorder of one run of the daemon, and its chores."""

    def __init__(
        self,
        boot: str,
        *,
        shelf: Shelf,
        bounds: Callable[[], Bounds],
        now: Callable[[], datetime],
    ) -> None:
        self.recorder = Recorder(boot)
        self._shelf = shelf
        self._bounds = bounds
        self._now = now
        self._written = monotonic()

    async def keep_history(self) -> None:
        """Write what is new once it is time. LedgerUnavailableError: it is written then again."""
        bounds = self._bounds()
        self.recorder.enabled = bounds.enabled
        if monotonic() - self._written < bounds.write_every.total_seconds():
            return
        self._written = monotonic()
        await self.recorder.flush(self._shelf)

    async def prune_history(self) -> None:
        """Remove what is beyond the bounds, a little at a time: whoever waits goes in between."""
        bounds = self._bounds()
        while await self._shelf.prune_history(
            keep=bounds.keep, max_bytes=bounds.max_bytes, now=self._now()
        ):
            pass

    async def stop(self) -> None:
        """Write what is left, if that is possible now."""
        with suppress(LedgerUnavailableError):
            await self.recorder.flush(self._shelf)
