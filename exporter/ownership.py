"""Whether this process acts for the targets, or stands by while another one does.

The lease is a row in the ledger, by the database's clock. What is left of it is counted here by a
clock of our own, from before the row was written: we stop earlier than another one may begin.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from exporter.model.errors import LedgerUnavailableError
from exporter.model.operation import Fence

if TYPE_CHECKING:
    from exporter.ledger.gateway import Ledger

SHARD = "1/1"
"""All targets: one instance acts, the others stand by."""
_log = structlog.get_logger(__name__)


def boot_seconds() -> float:
    """A clock that nobody sets and that goes on while the machine sleeps, where there is one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class Ownership:
    """The lease on one shard, kept by calling ``keep`` several times within its length."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        owner: str,
        lease: timedelta,
        shard: str = SHARD,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self._ledger = ledger
        self._owner = owner
        self._lease = lease
        self._shard = shard
        self._clock = clock
        self._epoch = 0
        self._ends = 0.0
        self.holder = ""
        """Who held the lease when it was last looked at."""

    @property
    def owned(self) -> bool:
        """Whether this process may act now."""
        return self.holder == self._owner and self._clock() < self._ends

    @property
    def fence(self) -> Fence:
        """What the ledger compares before it lets a policy's operation begin."""
        return Fence(self._shard, self._owner, self._epoch)

    async def keep(self) -> bool:
        """Take the lease, or keep it; True when it is ours."""
        began = self._clock()
        found = await self._ledger.acquire(self._shard, holder=self._owner, length=self._lease)
        if found.holder != self.holder or found.epoch != self._epoch:
            ours = found.holder == self._owner
            _log.info("ownership.changed", holder=found.holder, epoch=found.epoch, ours=ours)
        self.holder, self._epoch = found.holder, found.epoch
        if found.holder == self._owner:
            self._ends = began + self._lease.total_seconds()
        return self.owned

    async def release(self) -> None:
        """Let another one take over at once. Without a ledger the lease ends by itself."""
        if self.holder != self._owner:
            return
        self.holder = ""
        try:
            await self._ledger.release(self._shard, holder=self._owner)
        except LedgerUnavailableError as error:
            _log.warning("ownership.not_released", error=str(error))
