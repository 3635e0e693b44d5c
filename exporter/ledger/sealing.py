"""Keys of the chain: with one, each entry's hash is an HMAC, which only who has the key can make.

From the entry ``keyed`` on, every entry is hashed with the key that it names; the next ``keyed``
entry rotates it. Nobody goes back to entries without a key. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.ledger.chain import Entry, EntryKind, Flaw, Head, canonical_bytes, digest
from exporter.model.errors import LedgerUnavailableError

_NAMING = b"restate-medic ledger key"


@dataclass(frozen=True, slots=True)
class ChainKey:
    """One key. ``id`` tells which it is, and nothing of what it is."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits."""
        return hmac.new(self.secret, _NAMING, hashlib.sha256).hexdigest()[:16]

    def digest(self, entry: Entry) -> str:
        """The HMAC-SHA256 of an entry, in hex."""
        return hmac.new(self.secret, canonical_bytes(entry), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class ChainKeys:
    """What is configured: the key that entries are written with, and those before it."""

    current: ChainKey | None = None
    old: tuple[ChainKey, ...] = ()

    def find(self, key_id: str) -> ChainKey | None:
        """The key of this id."""
        return next((key for key in self._all() if key.id == key_id), None)

    def _all(self) -> Iterable[ChainKey]:
        return self.old if self.current is None else (self.current, *self.old)


NO_KEYS = ChainKeys()


def must_switch(keys: ChainKeys, written_with: str | None, seq: int) -> bool:
    """Whether the next entry is to be a ``keyed`` one.

    LedgerUnavailableError when this process must not write to a ledger that is written with this
    key (None: with none) up to entry ``seq``: it would begin entries that prove less than before.
    """
    current = keys.current
    if current is None and written_with is not None:
        raise LedgerUnavailableError(
            f"the ledger is written with key {written_with}, and this process has none; give it in"
            " storage.hmac_key, and restart what runs"
        )
    if current is None or written_with == current.id:
        return False
    if written_with is None and seq:
        raise LedgerUnavailableError(
            f"storage.hmac_key is configured, but the ledger's {seq} entries are without a key:"
            " they were written before it, or were written anew by somebody who has it not;"
            " if all is well with them, run restate-medic audit seal once"
        )
    if written_with is not None and keys.find(written_with) is None:
        raise LedgerUnavailableError(
            f"the ledger is written with key {written_with}, but storage.hmac_key is {current.id};"
            " to rotate, keep the one before in storage.old_hmac_keys"
        )
    return True


class Seals:
    """Checks the hashes of a chain from its beginning on, page by page."""

    def __init__(self, keys: ChainKeys = NO_KEYS) -> None:
        self._keys = keys
        self.key_id: str | None = None
        """The key of the newest entry that was checked."""
        self.since: int | None = None
        """The first entry that has one."""

    def flaw(self, entry: Entry) -> Flaw | None:
        """What is wrong with an entry's hash. Entries come in their order."""
        if entry.kind == EntryKind.KEYED:
            self.key_id = str(entry.data["key"])
            self.since = self.since or entry.seq
        if self.key_id is None:
            right = digest(entry)
        elif (key := self._keys.find(self.key_id)) is not None:
            right = key.digest(entry)
        else:
            return Flaw(entry.seq, self._unknown(entry.seq), certain=False)
        if hmac.compare_digest(entry.hash, right):
            return None
        return Flaw(entry.seq, self._altered(entry))

    def end(self, head: Head) -> Flaw | None:
        """What is wrong with the whole chain: somebody wrote it without the key."""
        current = self._keys.current
        if current is None or self.key_id == current.id or not head.seq:
            return None
        if self.key_id is not None:
            return Flaw(
                head.seq,
                f"the newest entries have key {self.key_id}, which is an old one: nothing was"
                f" written with {current.id} yet, or what was is cut off",
                certain=False,
            )
        return Flaw(
            head.seq,
            f"none of the {head.seq} entries has a key, though storage.hmac_key is configured: it"
            " was written anew without it, or restate-medic audit seal was never run",
            certain=False,
        )

    def _unknown(self, seq: int) -> str:
        current = self._keys.current
        if current is None:
            mend = "no key is configured: give it in storage.hmac_key"
        else:
            mend = f"storage.hmac_key is {current.id}: give the other in storage.old_hmac_keys"
        return f"entries from {seq} on have key {self.key_id}, and {mend}; they cannot be checked"

    def _altered(self, entry: Entry) -> str:
        if self.key_id is not None and entry.hash == digest(entry):
            return f"entry {entry.seq} was written without the key that entries before it have"
        return f"entry {entry.seq} was altered: its hash does not fit it"
