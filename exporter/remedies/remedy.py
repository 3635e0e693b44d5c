"""What a remedy is, and what it is given to work with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from exporter.model.component import Component
from exporter.model.findings import Findings
from exporter.model.message import Message, Receipt, Tell
from exporter.model.operation import ActResult, ItemOutcome, Plan, Request
from exporter.model.relapse import BrokenAgain
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.restate_api import RestateApi


class WriteGuard(Protocol):
    """Asked right before every write: the lease is checked, the step is recorded.

    Raises StoppedError (a pause, the end of a window), LeaseLostError (stop at once) or
    LedgerUnavailableError (no ledger, no action): let them through.
    """

    @property
    def operation_id(self) -> str:
        """Which operation it stands before."""

    async def before_write(self, step: str, *, completes: bool = False) -> None:
        """Confirm that this process may write now. ``step`` names the write for the ledger.

        ``completes``: without this write the one before would leave something half done, so a
        pause does not stop it.
        """

    async def item_done(self, outcome: ItemOutcome) -> None:
        """Record what became of one item."""


async def tells_nobody(_names: Collection[str] | None, _message: Message) -> tuple[Receipt, ...]:
    """Where no notifiers are."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetContext:
    """What a remedy knows, whatever its target is. ``findings`` are the newest known, if any."""

    target: Target
    now: Callable[[], datetime]
    findings: Findings | None = None
    allowed_urls: frozenset[str] = frozenset()
    """Normalised URLs policies may register beyond the target's workers."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tell: Tell = tells_nobody
    """How to tell people something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyContext(TargetContext):
    """A Restate, and the means to read and write it."""

    api: RestateApi


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One kind of repair.

    ``preflight`` only reads: it returns a plan or raises RefusedError. ``act`` re-reads what the
    plan rests on, then writes, each write behind the guard. ``check`` is the postcondition on
    readings begun after the writes: None when it holds, else what is still missing.

    The context is the kind that its backend makes: a RemedyContext, or a RemoteContext.
    """

    name: str
    preflight: Callable[[Any, Request], Awaitable[Plan]]
    act: Callable[[Any, Plan, WriteGuard], Awaitable[ActResult]]
    check: Callable[[Mapping[str, Any], Mapping[str, Any], Report, datetime], str | None]
    """Arguments, the ``after`` facts of the act, the report, now."""
    components: frozenset[Component]
    """What ``check`` needs read anew."""
    broken_again: Callable[[Report, datetime], BrokenAgain | None] | None = None
    """What is now as it was before the remedy helped; None while unread. For remedies whose
    success may not last although it was verified."""
