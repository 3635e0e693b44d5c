"""The chain of entries: each one's hash covers its own fields and the hash before it. Pure.

It shows that a row was altered, inserted, reordered or removed. Who may write to the database may
write the whole chain anew, though, unless its hashes have a key (``sealing``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from exporter.ledger.texts import canonical

GENESIS = "0" * 64
"""The hash before the first entry."""


class EntryKind(StrEnum):
    """What an entry tells."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    RESERVED = "reserved"
    OBSERVED = "observed"
    REFUSED = "refused"
    ANSWERED = "answered"
    ACTING = "acting"
    ITEM = "item"
    ACTED = "acted"
    VERIFYING = "verifying"
    TAKEN_OVER = "taken_over"
    CLOSED = "closed"
    INTERRUPTED = "interrupted"
    LATE = "late"
    """An owner's word on an operation that was closed for its silence before it could say it."""
    RELAPSED = "relapsed"
    """What an operation had helped is broken again: it counts as failed from now on."""
    DECISION = "decision"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    BREAKER_RESET = "breaker_reset"
    IDENTITY = "identity"
    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    OWNER = "owner"
    """A process acts for a shard of the targets from now on, which somebody else did, or nobody."""
    KEYED = "keyed"
    """From this entry on, hashes are made with a key, or with another one."""
    REPORTED = "reported"
    """The report of a day is being sent."""
    REPORT_TOLD = "report_told"
    """What became of sending it."""
    PRUNED = "pruned"
    """Retention removed what was old: up to which entry, and what of it is still needed."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry's number and hash. An empty ledger stands at 0."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the append-only log. ``body`` is canonical JSON text, hashed as it is stored."""

    seq: int
    operation_id: str | None
    kind: str
    at: datetime
    body: str
    prev_hash: str
    hash: str = ""

    @property
    def data(self) -> dict[str, Any]:
        """The body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first place where the chain does not hold: which entry, and what is wrong with it."""

    seq: int
    sentence: str
    certain: bool = True
    """False: it may as well be that a key is missing here, or was not used yet, or that what it
    would be compared with was removed by retention."""

    def __str__(self) -> str:
        """A whole sentence, which claims no more than is known."""
        if self.certain:
            return f"the ledger was changed: {self.sentence}"
        return f"nobody can tell whether the ledger was changed: {self.sentence}"


def canonical_bytes(entry: Entry) -> bytes:
    """What an entry's hash covers: every field but the hash, unambiguously."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [entry.prev_hash, entry.seq, entry.operation_id, entry.kind, at, entry.body]
    return canonical(fields).encode("ascii")


def digest(entry: Entry) -> str:
    """The SHA-256 of an entry, in hex."""
    return hashlib.sha256(canonical_bytes(entry)).hexdigest()


def link(
    head: Head,
    *,
    operation_id: str | None,
    kind: EntryKind,
    at: datetime,
    body: object,
    hashed: Callable[[Entry], str] = digest,
) -> Entry:
    """The entry that follows ``head``. ``body`` is plain JSON data without secrets."""
    entry = Entry(head.seq + 1, operation_id, str(kind), at, canonical(body), head.hash)
    return replace(entry, hash=hashed(entry))


def wrong_hash(entry: Entry) -> Flaw | None:
    """Whether an entry without a key has another hash than its own."""
    if entry.hash == digest(entry):
        return None
    return Flaw(entry.seq, f"entry {entry.seq} was altered: its hash does not fit it")


def verify(
    entries: Iterable[Entry],
    head: Head,
    *,
    start: Head | None = None,
    hash_flaw: Callable[[Entry], Flaw | None] = wrong_hash,
) -> Flaw | None:
    """Return the first flaw of the entries after ``start`` (the beginning) up to ``head``.

    ``hash_flaw`` judges an entry's hash; where keys are used, ``sealing.Seals`` does.
    """
    before = start or Head()
    for entry in entries:
        if entry.seq != before.seq + 1:
            return Flaw(before.seq + 1, f"entry {before.seq + 1} is missing or out of order")
        if entry.prev_hash != before.hash:
            return Flaw(entry.seq, f"entry {entry.seq} does not follow the entry before it")
        if (flaw := hash_flaw(entry)) is not None:
            return flaw
        before = Head(entry.seq, entry.hash)
    if before.seq < head.seq:
        return Flaw(before.seq + 1, f"entries after {before.seq} are missing; {head.seq} is known")
    if before != head:
        return Flaw(before.seq, f"entry {before.seq} is not the one that the head names")
    return None
