"""Shorthand for many: ``inv_{1..25}`` stands for ``inv_1`` to ``inv_25``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

MOST = 2_000
"""That one shorthand may stand for."""
_LEAST = 3
"""In a row, to be worth a shorthand."""
_NUMBER = re.compile(r"(.*?)([0-9]{1,6})([^0-9]*)", re.DOTALL)
_RANGE = re.compile(r"\{([0-9]{1,6})\.\.([0-9]{1,6})\}")


def spread(text: str) -> tuple[str, ...]:
    """All that a text stands for; itself when it has no range.

    A first number with leading zeros gives all as many digits. ValueError, with what to write
    instead, when there are two ranges, too many numbers, or they run backwards.
    """
    found = _RANGE.findall(text)
    if not found:
        return (text,)
    if len(found) > 1:
        raise ValueError(f"{text!r} has two ranges; write one, such as inv_{{1..25}}")
    first, last = found[0]
    numbers = range(int(first), int(last) + 1)
    if not numbers:
        raise ValueError(f"{text!r} runs backwards; write the smaller number first")
    if len(numbers) > MOST:
        raise ValueError(f"{text!r} stands for more than {MOST}; write a smaller range")
    width = len(first) if first.startswith("0") else 0
    return tuple(_RANGE.sub(f"{number:0{width}}", text) for number in numbers)


def gather(keys: Iterable[str]) -> tuple[str, ...]:
    """The same in the same order, those that count up in shorthand: ``spread`` gives them back."""
    told: list[str] = []
    for _, run in groupby(enumerate(keys), key=lambda one: _place(*one)):
        row = [key for _, key in run]
        first, last = _NUMBER.fullmatch(row[0]), _NUMBER.fullmatch(row[-1])
        if len(row) < _LEAST or first is None or last is None:
            told += row
        else:
            told.append(f"{first[1]}{{{first[2]}..{last[2]}}}{first[3]}")
    return tuple(told)


def _place(at: int, key: str) -> tuple[object, ...]:
    """The same for neighbours of one run: what is around the number, and where it would begin."""
    found = _NUMBER.fullmatch(key)
    if found is None or "{" in key:
        return (at, key)
    number = found[2]
    width = len(number) if number.startswith("0") else 0
    return found[1], found[3], int(number) - at, width
