"""Keys of the HTTP interface: who holds one, and what it may do. Never the key itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What the holder of a key may do; an operator may do all that a viewer may."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as the ledger knows it. ``digest`` is the hash of what its holder sends."""

    id: int
    name: str
    role: Role
    digest: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    @property
    def valid(self) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None
