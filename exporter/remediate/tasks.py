"""The operations that run in this process, each in a task that nobody cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from exporter.model.errors import MedicError

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class Tasks:
    """What runs now, by what it locks."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self.busy: dict[str, str] = {}
        """By what it locks, the remedy that runs in this process now, preflight included."""

    def start(self, work: Coroutine[Any, Any, None], *, lock: str, remedy: str) -> None:
        """Run it in a task of its own; nobody waits for it."""
        self.busy[lock] = remedy
        task = asyncio.ensure_future(self._guarded(work, lock))
        self._tasks[task] = lock
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def shielded(self, work: Coroutine[Any, Any, _Result], *, target: str) -> _Result:
        """Wait for it; it goes on if the one who waits is cancelled."""
        task = asyncio.ensure_future(work)
        self._tasks[task] = target
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def drain(self, timeout_seconds: float) -> bool:
        """Wait for what runs to finish. False when some was still running."""
        if not self._tasks:
            return True
        _, running = await asyncio.wait(tuple(self._tasks), timeout=timeout_seconds)
        for task in running:
            _log.warning("operation.abandoned", target=self._tasks.get(task))
        return not running

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            task.exception()  # it is known now, even if nobody waits for it any more

    async def _guarded(self, work: Coroutine[Any, Any, None], lock: str) -> None:
        try:
            await work
        except MedicError as error:
            _log.warning("operation.stopped", target=lock, error=str(error))
        except Exception:  # noqa: BLE001 - the task ends here; the row's lease tells the rest
            _log.exception("operation.crashed", target=lock)
        finally:
            self.busy.pop(lock, None)
