"""The moments that one budget counts, by operation, so that taking one in twice changes nothing."""

from __future__ import annotations

from datetime import datetime

MOST = 2_000
"""Only the newest are kept: no sensible limit is larger, and the reserving transaction counts
all of them anyway."""


class Stamps:
    """A small multiset of moments, each one operation's."""

    __slots__ = ("_by_operation", "_moments")

    def __init__(self) -> None:
        self._by_operation: dict[str, datetime] = {}
        self._moments: tuple[datetime, ...] | None = ()

    def put(self, operation_id: str, at: datetime) -> None:
        """Count an operation at this moment, and no longer at another."""
        self._by_operation[operation_id] = at
        self._moments = None
        if len(self._by_operation) > MOST + MOST // 4:
            newest = sorted(self._by_operation.items(), key=lambda pair: pair[1])[-MOST:]
            self._by_operation = dict(newest)

    def drop(self, operation_id: str) -> None:
        """Count it no longer."""
        if self._by_operation.pop(operation_id, None) is not None:
            self._moments = None

    @property
    def moments(self) -> tuple[datetime, ...]:
        """Oldest first."""
        if self._moments is None:
            self._moments = tuple(sorted(self._by_operation.values()))
        return self._moments

    @property
    def newest(self) -> datetime | None:
        """The last moment, if there is one."""
        return self.moments[-1] if self._by_operation else None
