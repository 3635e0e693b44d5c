"""Keeps a target's invocation scans apart, and their share of the time small.

A scan reads every invocation on the server; polling too eagerly once overloaded whole clusters
(restate-facts, Invocations).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from exporter.model.errors import CallFailedError
from exporter.model.views import InvocationsView

MAX_SHARE = 0.05
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Scan:
    began: float
    ended: float
    outcome: InvocationsView | CallFailedError


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
        self._one_at_a_time = asyncio.Lock()
        self._last: _Scan | None = None
        self._busy_seconds = 0.0

    @property
    def pause(self) -> timedelta:
        """How far apart the beginnings of scans should be, by how long the last one took."""
        return timedelta(seconds=self._busy_seconds / self._max_share)

    def due(self) -> bool:
        """Whether a scheduled scan may begin now. What cannot wait calls ``run`` without asking."""
        if self._one_at_a_time.locked():
            return False
        if self._last is None:
            return True
        return self._monotonic() - self._last.began >= self.pause.total_seconds()

    async def run(self, scan: Callable[[], Awaitable[InvocationsView]]) -> InvocationsView:
        """Scan, after the scan that is running if there is one.

        All who ask while one runs share the next, so that what a caller gets was never begun
        before it asked. Raises what the scan raises.
        """
        asked = self._monotonic()
        async with self._one_at_a_time:
            if self._last is None or self._last.began < asked:
                self._last = await self._scan(scan)
            outcome = self._last.outcome
        if isinstance(outcome, CallFailedError):
            raise outcome
        return outcome

    async def alone(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask another question that reads every invocation, at no other's time, and count it in."""
        async with self._one_at_a_time:
            began = self._monotonic()
            try:
                return await ask()
            finally:
                self._busy_seconds += self._monotonic() - began

    async def _scan(self, scan: Callable[[], Awaitable[InvocationsView]]) -> _Scan:
        began = self._monotonic()
        outcome: InvocationsView | CallFailedError
        try:
            outcome = await scan()
        except CallFailedError as error:
            outcome = error
        finally:
            ended = self._monotonic()
            self._busy_seconds = ended - began
        return _Scan(began, ended, outcome)
