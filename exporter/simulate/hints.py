"""Words in a file of tests that nobody knows, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.policy.document import Path as Place
from exporter.policy.words import did_you_mean, listing
from exporter.policy.written import Written


def instead(word: str, known: Iterable[object]) -> str:
    """``; did you mean …?``, or all that is known."""
    words = [str(one) for one in known]
    listed = f"; write {listing(words)}" if words else ""
    return did_you_mean(word, words) or listed


def unknown_key(
    written: Written, path: Place, name: str, known: Iterable[object], what: str
) -> None:
    """Note a key that names nothing."""
    written.add_key(path, f"{name!r} is not {what}{instead(name, known)}")


def one_of(written: Written, word: str, known: Iterable[object], path: Place) -> bool:
    """Whether a word is known; else note it."""
    words = [str(one) for one in known]
    if word not in words:
        written.add(path, f"{word!r} is not known here{instead(word, words)}")
    return word in words
