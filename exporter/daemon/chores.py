"""What the daemon does every so often, beside its rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from exporter.model.errors import MedicError

_log = structlog.get_logger(__name__)


class Chores:
    """Periodic work; one that fails is told and tried again."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, chore: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it now, and so many seconds after it ended."""
        self._tasks.append(asyncio.ensure_future(_every(seconds, chore)))

    async def stop(self) -> None:
        """Cancel all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _every(seconds: float, chore: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await chore()
        except MedicError as error:
            _log.warning("chore.failed", chore=chore.__name__, error=str(error))
        except Exception:  # noqa: BLE001 - a chore that crashed once is tried again
            _log.exception("chore.crashed", chore=chore.__name__)
        await asyncio.sleep(seconds)
