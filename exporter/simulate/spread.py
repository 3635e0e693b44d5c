"""Shorthand for many: ``inv_{1..25}`` stands for ``inv_1`` to ``inv_25``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
    runs: list[list[str]] = []
    for key in keys:
        if runs and _following(runs[-1]) == key:
            runs[-1].append(key)
        else:
            runs.append([key])
    return tuple(text for run in runs for text in _told(run))


def _following(run: list[str]) -> str | None:
    """What would go on with a run."""
    first, last = _NUMBER.fullmatch(run[0]), _NUMBER.fullmatch(run[-1])
    if first is None or last is None or "{" in run[0]:
        return None
    width = len(first[2]) if first[2].startswith("0") else 0
    return f"{first[1]}{int(last[2]) + 1:0{width}}{first[3]}"


def _told(run: list[str]) -> list[str]:
    first, last = _NUMBER.fullmatch(run[0]), _NUMBER.fullmatch(run[-1])
    if len(run) < _LEAST or first is None or last is None:
        return run
    return [f"{first[1]}{{{first[2]}..{last[2]}}}{first[3]}"]
