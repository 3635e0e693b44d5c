"""Wording that error messages share."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from exporter.model.errors import NotFoundError

_SHOWN = 8
_LISTED = 20


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` when something known is close, else nothing."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def listing(words: Iterable[str], last: str = "or") -> str:
    """``a, b or c``; a long list is cut with an ellipsis."""
    shown = list(words)
    if len(shown) > _SHOWN:
        return f"{', '.join(shown[:_SHOWN])} …"
    if len(shown) <= 1:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def no_such(kind: str, name: str, known: Iterable[str]) -> NotFoundError:
    """The error about a name that is none of those known, with what to write instead."""
    names = sorted(known)
    hint = did_you_mean(name, names) or (f"; write {listing(names)}" if names else "")
    return NotFoundError(f"there is no such {kind}{hint}", kind=kind, known=tuple(names[:_LISTED]))
