"""Keeps a target's invocation scans apart, and their share of the time small.

A scan reads every invocation on the server; polling too eagerly once overloaded whole clusters
(restate-facts, Invocations).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from exporter.doctor.single_flight import SingleFlight
from exporter.model.views import InvocationsView

MAX_SHARE = 0.05
_T = TypeVar("_T")


class ScanGovernor:
    """Runs the scans of one target: never two at once, and not again before ``pause`` is over."""

    def __init__(
        self,
        *,
        max_share: float = MAX_SHARE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_share = max_share
        self._monotonic = monotonic
        self._flight = SingleFlight[InvocationsView](monotonic=monotonic)

    @property
    def pause(self) -> timedelta:
        """How far apart the beginnings of scans should be, by how long the last one took."""
        return timedelta(seconds=self._flight.busy_seconds / self._max_share)

    def due(self) -> bool:
        """Whether a scheduled scan may begin now. What cannot wait calls ``run`` without asking."""
        if self._flight.running:
            return False
        last = self._flight.last_began
        return last is None or self._monotonic() - last >= self.pause.total_seconds()

    async def run(self, scan: Callable[[], Awaitable[InvocationsView]]) -> InvocationsView:
        """Scan, after the scan that is running if there is one, and share it. Raises as it does."""
        return await self._flight.run(scan)

    async def alone(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask another question that reads every invocation, at no other's time, and count it in."""
        return await self._flight.alone(ask)
