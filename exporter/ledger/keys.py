"""Keys of the HTTP interface: making one, and what the ledger keeps of it. In one transaction.

Only a hash is kept. A key is 256 random bits, which nobody guesses however fast the hash is, so a
plain SHA-256 does; the slow, salted hashes are for passwords, which people choose.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal
from exporter.ledger.rows import Row
from exporter.ledger.tables import api_keys
from exporter.ledger.texts import clean_text
from exporter.model.errors import NameTakenError
from exporter.model.keys import ApiKey, Role

_PREFIX = "rm_"
_BYTES = 32


def new_key() -> str:
    """A fresh key. Show it once: nothing can bring it back."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def digest_of(key: str) -> str:
    """What is kept of a key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def known(connection: Connection) -> tuple[ApiKey, ...]:
    """Every key, those that were revoked (and retention left) included, oldest first."""
    query = select(api_keys).order_by(api_keys.c.seq)
    return tuple(_key_of(row) for row in connection.execute(query).mappings())


def add(
    journal: Journal, name: str, role: Role, *, digest: str, actor: str, now: datetime
) -> ApiKey:
    """Insert one. NameTakenError while a valid key has the name: it tells who acted."""
    if any(one.name == name and one.valid for one in known(journal.connection)):
        raise NameTakenError(f"there is a valid key named {name!r}; revoke it, or choose another")
    row = {"name": name, "role": str(role), "digest": digest, "created_by": clean_text(actor)}
    seq = journal.append(EntryKind.KEY_CREATED, None, at=now, body=row)
    journal.flush()
    row_of = {**row, "seq": seq, "created_at": now}
    journal.connection.execute(insert(api_keys), row_of)
    return _key_of({**row_of, "revoked_at": None, "revoked_by": None})


def revoke(journal: Journal, name: str, *, actor: str, now: datetime) -> ApiKey | None:
    """End the valid key of that name, and return it; None when there is none."""
    found = next((one for one in known(journal.connection) if one.name == name and one.valid), None)
    if found is None:
        return None
    by = clean_text(actor)
    body = {"key": found.id, "name": name, "role": str(found.role), "revoked_by": by}
    journal.append(EntryKind.KEY_REVOKED, None, at=now, body=body)
    values = {"revoked_at": now, "revoked_by": by}
    journal.connection.execute(update(api_keys).where(api_keys.c.seq == found.id).values(values))
    return replace(found, revoked_at=now, revoked_by=by)


def _key_of(row: Row) -> ApiKey:
    return ApiKey(
        id=row["seq"],
        name=row["name"],
        role=Role(row["role"]),
        digest=row["digest"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        revoked_at=row["revoked_at"],
        revoked_by=row["revoked_by"],
    )
