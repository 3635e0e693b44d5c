"""What stands between a remedy and a write: a committed ledger entry under a lease that is ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from exporter.model.errors import MedicError
from exporter.model.operation import ItemOutcome, Phase

if TYPE_CHECKING:
    from exporter.ledger.gateway import Ledger

_RENEWALS = 4
"""How often a lease is renewed within its length."""
_log = structlog.get_logger(__name__)


StillAllowed = Callable[[], Awaitable[None]]
"""Asked before a write; raises a MedicError that stops it and all that follow."""


async def always_allowed() -> None:
    """A person's operation: neither windows nor pauses hold it."""


class LeaseGuard:
    """Commits an entry before each write (rules 1 and 3); counts the writes it let through."""

    def __init__(
        self,
        operation_id: str,
        *,
        ledger: Ledger,
        owner: str,
        lease: timedelta,
        now: Callable[[], datetime],
        still_allowed: StillAllowed = always_allowed,
    ) -> None:
        self.operation_id = operation_id
        self._lease = lease
        self._ledger = ledger
        self._owner = owner
        self._now = now
        self._still_allowed = still_allowed
        self.writes = 0

    async def before_write(self, step: str, *, completes: bool = False) -> None:
        """Let one write through. StoppedError, LeaseLostError, LedgerUnavailableError: do not.

        A write that ``completes`` what an earlier one began is not stopped half-way by a window or
        a pause; the lease is checked all the same.
        """
        if not completes:
            await self._still_allowed()
        await self._ledger.advance(
            self.operation_id,
            Phase.ACTING,
            owner=self._owner,
            lease=self._lease,
            now=self._now(),
            detail=step,
        )
        self.writes += 1

    async def item_done(self, outcome: ItemOutcome) -> None:
        """Record what became of one item."""
        await self._ledger.note_item(self.operation_id, outcome, owner=self._owner, now=self._now())


@asynccontextmanager
async def kept_lease(
    operation_id: str,
    *,
    ledger: Ledger,
    owner: str,
    lease: timedelta,
    now: Callable[[], datetime],
) -> AsyncIterator[None]:
    """Keep an operation's lease alive while it runs."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(lease.total_seconds() / _RENEWALS)
            try:
                await ledger.renew(operation_id, owner=owner, lease=lease, now=now())
            except MedicError as error:
                _log.warning("operation.renew_failed", operation=operation_id, error=str(error))

    renewing = asyncio.ensure_future(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
