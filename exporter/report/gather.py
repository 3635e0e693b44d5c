"""Gathers what a report needs: the ledger's period, and which breakers are open now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.model.decision import Mode
from exporter.model.orders import OpenBreaker
from exporter.model.target import Target
from exporter.policy.breakers import open_breakers
from exporter.policy.policy import Policy
from exporter.report.tell import Known, tell
from exporter.wire.report import ReportBody

if TYPE_CHECKING:
    from exporter.ledger.gateway import Ledger


async def report(
    ledger: Ledger,
    *,
    targets: Iterable[Target],
    policies: Iterable[Policy] | None,
    since: datetime,
    now: datetime,
) -> ReportBody:
    """The report about the time since then. ``policies`` None: they cannot be loaded.

    LedgerUnavailableError.
    """
    targets = tuple(targets)
    breakers: tuple[OpenBreaker, ...] | None = None
    unjudged: tuple[str, ...] = ()
    if policies is not None:
        policies = tuple(policies)
        looking = [policy for policy in policies if policy.mode is not Mode.OFF]
        unjudged = tuple(t.name for t in targets if not any(p.matches(t) for p in looking))
        await ledger.refresh()
        standing = ledger.standing
        breakers = tuple(
            open_breakers(
                policies,
                targets,
                failures=standing.failures,
                failures_of=standing.failures_of,
                now=now,
            )
        )
    period = await ledger.period(since)
    known = Known(tuple(target.name for target in targets), breakers, unjudged)
    # Of a bad night it takes a while, and rounds go on meanwhile.
    return await asyncio.to_thread(tell, period, known, now=now)
