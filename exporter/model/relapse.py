"""What was helped and is broken again: an operation's success that did not last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Helped:
    """The newest operation that was seen to help an item."""

    operation_id: str
    policy: str | None
    """None when a person asked for it."""
    finished_at: datetime
    relapsed: bool = False
    """Whether the ledger already knows that it did not last."""


@dataclass(frozen=True, slots=True)
class BrokenAgain:
    """What one reading shows to be as it was before a remedy helped."""

    read_at: datetime
    """When the reading began."""
    since: Mapping[str, datetime]
    """By item key, by the clock of the server."""


@dataclass(frozen=True, slots=True)
class Relapse:
    """An operation of a policy that helped, and whose items are seen broken again later."""

    operation_id: str
    target: str
    remedy: str
    policy: str
    items: tuple[str, ...]
    seen_at: datetime
