"""Operation ids: short, readable, and sorted by when they were made."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

PREFIX = "op_"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's: without i, l, o and u, which are misread."""
_TIME_DIGITS = 9
_RANDOM_DIGITS = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(now: datetime) -> str:
    """``op_``, the millisecond in nine digits (until the year 3084), and six random ones."""
    milliseconds = int((now - _EPOCH).total_seconds() * 1000)
    return PREFIX + _base32(milliseconds, _TIME_DIGITS) + _random()


def normalise(text: str) -> str:
    """What a person typed, as an id or the beginning of one; ``op_`` may be left out."""
    text = text.strip().lower()
    return text if text.startswith(PREFIX) else PREFIX + text


def _random() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_DIGITS))


def _base32(number: int, digits: int) -> str:
    number %= 32**digits
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(digits)))
