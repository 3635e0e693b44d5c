"""When nobody acted for the targets, so that nothing was watched on their behalf. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.ledger.period import Period

_SHORTEST = timedelta(minutes=1)
"""What is shorter is a restart."""


@dataclass(frozen=True, slots=True)
class Gap:
    """From when on (None: nobody knows) until when (None: still so)."""

    since: datetime | None
    until: datetime | None


def gaps(period: Period, now: datetime) -> Iterator[Gap]:
    """Every gap that is longer than a restart, oldest first."""
    for hands in period.hands:
        if not hands.told:
            yield Gap(None, hands.at)
        elif hands.idle_since is not None and hands.at - hands.idle_since >= _SHORTEST:
            yield Gap(max(hands.idle_since, period.since), hands.at)
    if not period.leases:
        yield Gap(None, None)
    for lease in period.leases:
        silent = period.database_now - lease.until
        if silent > timedelta(0):
            # By our own clock, which may differ from the database's.
            yield Gap(max(now - silent, period.since), None)
