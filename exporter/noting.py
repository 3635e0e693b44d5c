"""The ledger's side of rounds: what others wrote is taken in, what was decided is written down.

With patience, and not more of it: a ledger that is slow or locked must not delay watching.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from exporter.model.decision import Decision
from exporter.model.errors import LedgerUnavailableError
from exporter.policy.approval import Ruling

if TYPE_CHECKING:
    from exporter.history.frames import Noting
    from exporter.ledger.gateway import Ledger
    from exporter.metrics.instruments import Instruments
    from exporter.remediate.remediator import Remediator
    from exporter.surroundings import Surroundings

_PATIENCE_SECONDS = 0.5
_log = structlog.get_logger(__name__)


class Notes:
    """Reads and writes the ledger for rounds, one writing at a time for a target."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        remediator: Remediator,
        surroundings: Surroundings,
        instruments: Instruments,
    ) -> None:
        self._ledger = ledger
        self._remediator = remediator
        self._surroundings = surroundings
        self._instruments = instruments
        self._refreshing: asyncio.Task[bool] | None = None
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._unnoted: set[str] = set()

    async def available(self) -> bool:
        """Take in what other processes wrote. False: nothing may be done now.

        A ledger that is slow to answer (locked, say) must not delay watching: the round goes on
        without it, and the next one looks again.
        """
        task = self._refreshing
        if task is None or task.done():
            task = self._refreshing = asyncio.ensure_future(self._refresh())
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
        return task.done() and task.result()

    async def _refresh(self) -> bool:
        try:
            await self._ledger.refresh()
        except LedgerUnavailableError as error:
            _log.warning("ledger.unavailable", error=str(error))
            return False
        self._instruments.ledger_head(self._ledger.standing.seq)
        return True

    async def write(
        self,
        target: str,
        decisions: tuple[Decision, ...],
        ended: tuple[Ruling, ...],
        *,
        now: datetime,
    ) -> None:
        """Note what changed, with the same patience; what was not noted now is in the next round.

        One at a time for a target: the ledger compares with what it noted last.
        """
        if target in self._writing:
            return
        task = asyncio.ensure_future(self._note(target, decisions, ended, now))
        self._writing[target] = task
        task.add_done_callback(lambda _done: self._writing.pop(target, None))
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)

    async def _note(
        self,
        target: str,
        decisions: tuple[Decision, ...],
        ended: tuple[Ruling, ...],
        now: datetime,
    ) -> None:
        self._unnoted.add(target)
        try:
            for ruling in ended:
                await self._remediator.end_proposal(ruling.operation_id, ruling.outcome, ruling.why)
            await self._ledger.note_changes(decisions, now=now, of=target)
            self._unnoted.discard(target)
            identity = self._surroundings.news(target)
            if identity is not None:
                await self._ledger.note_identity(target, identity, now=now)
            for relapse in self._surroundings.relapses(target):
                if await self._ledger.note_relapse(relapse, now=now):
                    _log.warning(
                        "operation.relapsed", operation=relapse.operation_id, items=relapse.items
                    )
        except LedgerUnavailableError as error:
            _log.warning("ledger.unavailable", error=str(error))

    def earlier(self, target: str) -> Noting:
        """Whether the target's last round was noted, as history tells it."""
        if target in self._writing:
            return "busy"
        failed = target in self._unnoted
        self._unnoted.discard(target)
        return "failed" if failed else ""

    def forget(self, target: str) -> None:
        """Drop what is remembered of a target that is no longer configured, or was changed."""
        self._unnoted.discard(target)
