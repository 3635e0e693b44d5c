"""One call at a time, shared by all who ask while one runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from exporter.model.errors import CallFailedError

T = TypeVar("T")
_A = TypeVar("_A")


@dataclass(frozen=True)
class _Flight(Generic[T]):
    began: float
    outcome: T | CallFailedError


class SingleFlight(Generic[T]):
    """Runs calls one after the other. All who ask while one runs share the next.

    So what a caller gets was never begun before it asked.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._one_at_a_time = asyncio.Lock()
        self._last: _Flight[T] | None = None
        self.busy_seconds = 0.0
        """How long the last call took, also one that was cancelled."""

    @property
    def running(self) -> bool:
        """Whether a call is under way."""
        return self._one_at_a_time.locked()

    @property
    def last_began(self) -> float | None:
        """When the last call began, on the monotonic clock."""
        return None if self._last is None else self._last.began

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call, after the one that is running if there is one. Raises what it raises."""
        asked = self._monotonic()
        async with self._one_at_a_time:
            if self._last is None or self._last.began < asked:
                self._last = await self._fly(call)
            outcome = self._last.outcome
        if isinstance(outcome, CallFailedError):
            raise outcome
        return outcome

    async def alone(self, ask: Callable[[], Awaitable[_A]]) -> _A:
        """Ask something else while no call runs; its time is added to the last call's."""
        async with self._one_at_a_time:
            began = self._monotonic()
            try:
                return await ask()
            finally:
                self.busy_seconds += self._monotonic() - began

    async def _fly(self, call: Callable[[], Awaitable[T]]) -> _Flight[T]:
        began = self._monotonic()
        outcome: T | CallFailedError
        try:
            outcome = await call()
        except CallFailedError as error:
            outcome = error
        finally:
            self.busy_seconds = self._monotonic() - began
        return _Flight(began, outcome)
