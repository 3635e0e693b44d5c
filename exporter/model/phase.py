"""Where in its interval something of a target happens: the same after every restart."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def phase_seconds(name: str, interval_seconds: float) -> float:
    """Where in its interval a target's turn falls: the same after every restart, spread evenly."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * interval_seconds


def began(name: str, interval: timedelta, *, now: datetime) -> datetime:
    """When the target's present interval began, in whole seconds."""
    phase = timedelta(seconds=int(phase_seconds(name, interval.total_seconds())))
    return _EPOCH + phase + (now - _EPOCH - phase) // interval * interval
