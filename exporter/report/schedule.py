"""When a day's report is due: once the clock on the wall shows its time, or a later one.

So a time that the clock skips in spring is due right after the gap, and one that it shows twice is
due the first time; the second time that day was told already (docs/decisions/0029). Pure.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

LATEST = timedelta(hours=6)
"""Nobody needs to hear later than this of a night: the day's report is left out then."""


def due_day(at: time, zone: ZoneInfo, now: datetime) -> str | None:
    """The day (``2026-05-09``) whose report is to be sent by now, if it was not yet."""
    shown = now.astimezone(zone)
    day = shown.date()
    if shown.time() < at:
        day -= timedelta(days=1)
    late = now - datetime.combine(day, at, zone)
    return day.isoformat() if late <= LATEST else None
