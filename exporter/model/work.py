"""What became of the work of one service or key: single invocations, as ``why`` looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exporter.model.views import COMPLETED, InvocationItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One invocation as it is right now. ``item`` has the last error of what fails or is paused."""

    item: InvocationItem
    status: str
    """In the words of ``sys_invocation_status``; one we do not know counts as active."""
    result: str | None = None
    """``success`` or ``failure``, once completed."""
    failure: str = ""
    starts_at: datetime | None = None
    """When it begins, of what is scheduled."""
    failing: bool = False
    """Its last attempt failed."""
    in_flight: bool = False
    """An attempt is running now."""
    next_retry_at: datetime | None = None
    sleeps_until: datetime | None = None
    """The latest timer of it that is still to fire, as far as its journal was read."""
    journal_kept: bool | None = None
    """Whether its journal is still there; None where nobody looked."""

    @property
    def active(self) -> bool:
        """Whether it is not completed."""
        return self.status != COMPLETED


@dataclass(frozen=True, slots=True)
class Work:
    """The invocations that say most: what is stuck, then what is active, then the newest."""

    calls: tuple[Call, ...] = ()
    complete: bool = True
    """False when there are more than were looked at."""
