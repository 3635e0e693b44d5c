"""Moments as people write them: how long ago, or when."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from exporter.app.open import utc_now
from exporter.cli.output import Exit, fail
from exporter.model.duration import parse_duration


def moment_of(text: str, option: str) -> datetime:
    """The moment that ``7d`` (ago) or ``2026-05-09T10:00:00Z`` means; leaves for anything else."""
    found: datetime | None = None
    with suppress(ValueError, OverflowError):
        found = utc_now() - parse_duration(text)
    if found is None:
        with suppress(ValueError):
            found = datetime.fromisoformat(text)
    if found is None or found.tzinfo is None:
        fail(f"{option} {text!r} is no moment; write 24h, 7d or 2026-05-09T10:00:00Z", Exit.USAGE)
    return found
