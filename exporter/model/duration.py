"""Durations as people write them: ``15s``, ``2m``, ``1h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST = timedelta(days=3650)


def parse_duration(text: object) -> timedelta:
    """Turn ``1h30m`` into a timedelta. ValueError says what to write instead."""
    if not isinstance(text, str) or not _WHOLE.fullmatch(text.strip()):
        msg = f"{text!r} is not a duration; write a number with a unit, such as 15s, 2m, 24h or 7d"
        raise ValueError(msg)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST.total_seconds():
        msg = f"{text!r} is longer than ten years; write a shorter duration"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


@lru_cache(maxsize=1024)
def format_duration(value: timedelta, units: int = 2) -> str:
    """Write a timedelta in its largest units, as ``parse_duration`` reads them.

    Two of them are what people read; four leave out nothing but parts of a second.
    """
    milliseconds = round(abs(value.total_seconds()) * 1000)
    sign = "-" if value < timedelta(0) else ""
    if milliseconds < 1000:  # noqa: PLR2004 - one second
        return f"{sign}{milliseconds}ms" if milliseconds else "0s"
    parts: list[str] = []
    rest = milliseconds // 1000
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(_UNITS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts[:units])
