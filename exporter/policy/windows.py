"""The hours in which a policy may act, read off the wall clock of a time zone.

A window is open exactly while a clock on the wall there shows a time between its bounds, and the
day the bounds begin on is one of its days. So a time that the clock skips in spring is never shown
and opens nothing, and one that it shows twice in autumn is in the window both times
(docs/decisions). Pure: the zones are Python's, ``tzdata`` where the system has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of ``date.weekday``."""
_DAY = timedelta(days=1)
_LOOK_AHEAD_DAYS = 15
"""A week, and another one for a window that the clock's change in spring swallows."""


@dataclass(frozen=True, slots=True)
class DayWindow:
    """From ``start`` to ``end`` (not included) of the time zone, on the days it begins on.

    An ``end`` that is not after ``start`` is the next day's. ``end`` None is midnight at the end
    of the day (``24:00``).
    """

    days: frozenset[int]
    """Monday is 0."""
    start: time
    end: time | None
    zone: ZoneInfo

    def contains(self, now: datetime) -> bool:
        """Whether it is open."""
        shown = now.astimezone(self.zone)
        at, day = shown.time(), shown.weekday()
        if self.end is None:
            return day in self.days and self.start <= at
        if self.start < self.end:
            return day in self.days and self.start <= at < self.end
        begun_today = day in self.days and at >= self.start
        return begun_today or (at < self.end and (day - 1) % len(DAYS) in self.days)

    def opens_at(self, now: datetime) -> datetime | None:
        """The first moment from now on (to the second) at which it is open; None: within weeks."""
        if self.contains(now):
            return now
        moments = sorted(self._beginnings(now))
        return next((m for m in moments if m > now and self.contains(m)), None)

    def __str__(self) -> str:
        """``mon, tue 22:00 to 05:00 Europe/Berlin``."""
        names = ", ".join(DAYS[day] for day in sorted(self.days))
        end = "24:00" if self.end is None else f"{self.end:%H:%M}"
        return f"{names} {self.start:%H:%M} to {end} {self.zone.key}"

    def _beginnings(self, now: datetime) -> Iterator[datetime]:
        """Every moment at which it may turn from closed to open: its start, or a clock's change."""
        today = now.astimezone(self.zone).date()
        for offset in range(-1, _LOOK_AHEAD_DAYS):
            day = today + offset * _DAY
            for fold in (0, 1):
                wall = datetime.combine(day, self.start, self.zone).replace(fold=fold)
                yield wall.astimezone(UTC)
            begin = datetime.combine(day, time(), UTC)
            yield from self._changes(begin, begin + _DAY)

    def _changes(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The first second of another offset from UTC within a day, if there is one."""
        if self._offset(begin) == self._offset(end):
            return
        while end - begin > timedelta(seconds=1):
            middle = begin + timedelta(seconds=(end - begin) // timedelta(seconds=2))
            if self._offset(middle) == self._offset(begin):
                begin = middle
            else:
                end = middle
        yield end

    def _offset(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self.zone).utcoffset()


def is_open(windows: Iterable[DayWindow], now: datetime) -> bool:
    """Whether one of them is open; without any, it always is."""
    rows = tuple(windows)
    return not rows or any(window.contains(now) for window in rows)


def opens_at(windows: Iterable[DayWindow], now: datetime) -> datetime | None:
    """When the first of them opens; None when none does within the next weeks."""
    moments = [m for window in windows if (m := window.opens_at(now)) is not None]
    return min(moments, default=None)
