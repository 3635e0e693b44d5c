"""How the pages say times, ages, latencies and whatever a ledger or a finding holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from exporter.model.duration import format_duration
from exporter.model.visible import visible

__all__ = ["ago", "latency", "length", "moment", "scalar", "visible"]
_SECONDS_MATTER = timedelta(minutes=10)


def ago(age: timedelta) -> str:
    """``15s ago``; a reading from the future (two clocks) is ``just now``."""
    seconds = timedelta(seconds=max(round(age.total_seconds()), 0))
    return f"{length(seconds)} ago" if seconds else "just now"


def length(duration: timedelta) -> str:
    """A duration in its two largest units at most: ``3d4h``, ``12m``, ``45s``."""
    if duration >= timedelta(days=1):
        duration -= duration % timedelta(hours=1)
    elif duration >= _SECONDS_MATTER:
        duration -= duration % timedelta(minutes=1)
    return format_duration(duration)


def latency(seconds: float | None) -> str:
    """Milliseconds, as precise as it matters."""
    if seconds is None:
        return ""
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"  # noqa: PLR2004 - below it tenths matter


def moment(at: datetime | None) -> str:
    """A date and a time of day for people, in UTC; the page says once that it is."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def scalar(value: object) -> str:
    """A single value: ``yes`` and ``no``, ``none`` for what is empty or not there."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    if value is None or value in ("", (), [], {}):
        return "none"
    return str(value)
