"""How the pages say times, ages and latencies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from exporter.model.duration import format_duration

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
    """A time of day for people, in UTC."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
