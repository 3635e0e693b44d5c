"""What retention leaves of the beginning of the chain, and how that is proved. Pure.

The entry ``pruned`` names the last entry that was looked at, its hash, and a digest over the
numbers and hashes of the earlier ones that are still needed. It is an entry like any other: the
chain covers it, with the key if there is one. The newest one counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exporter.ledger.chain import Entry, Flaw, Head


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the whole chain begins, after ``through``, and what is kept of the time before."""

    seq: int
    """The entry that tells it."""
    at: datetime
    through: Head
    kept: int
    """How many of the entries up to ``through`` are still there."""
    digest: str
    """Of those."""


def digest_of(kept: Iterable[tuple[int, str]]) -> str:
    """The digest over entries' numbers and hashes, in their order. An entry's hash covers it."""
    return hashlib.sha256("".join(map(_line, kept)).encode("ascii", "replace")).hexdigest()


def _line(one: tuple[int, str]) -> str:
    return f"{one[0]}:{one[1]}\n"


def body_of(
    through: Head, *, before: datetime, kept: int, digest: str, removed: Mapping[str, int]
) -> dict[str, Any]:
    """What the entry says. ``before``: everything that went was older; how many rows by table."""
    return {
        "through": through.seq,
        "hash": through.hash,
        "before": before.isoformat(),
        "removed": dict(removed),
        "kept": {"entries": kept, "digest": digest},
    }


def read(entry: Entry) -> Checkpoint:
    """What an entry ``pruned`` says. ValueError, TypeError or KeyError when it was altered."""
    body = entry.data
    through = Head(int(body["through"]), str(body["hash"]))
    kept = int(body["kept"]["entries"]), str(body["kept"]["digest"])
    return Checkpoint(entry.seq, entry.at, through, *kept)


class Beginning:
    """Checks the entries up to a checkpoint as they are read: exactly those that were kept."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._running = hashlib.sha256()
        self._count = 0

    def add(self, entry: Entry) -> None:
        """Take the next one in. Its own hash is checked by whoever reads it."""
        self._running.update(_line((entry.seq, entry.hash)).encode("ascii", "replace"))
        self._count += 1

    def end(self) -> Flaw | None:
        """What is wrong with all of them."""
        wanted = self._checkpoint
        last = wanted.through.seq
        if self._count != wanted.kept:
            return Flaw(
                last,
                f"{self._count} entries up to {last} are there, and retention left"
                f" {wanted.kept}, as entry {wanted.seq} tells",
            )
        if self._running.hexdigest() != wanted.digest:
            told = f"the entries up to {last} are not those that retention left"
            return Flaw(last, f"{told}, as entry {wanted.seq} tells")
        return None
