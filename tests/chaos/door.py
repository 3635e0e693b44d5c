"""The door of one server: lets everything through, notes each write, and springs a trap at one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Literal

from tests.chaos.record import Write
from tests.integration.proxy import Fault, Forward, Proxy, Reply, Seen

Place = Literal["arrival", "answer"]
_SLOW_SECONDS = 0.15
"""At most so long is a write under way to the server, and its answer back: time to be killed in."""


class Door(Proxy):
    """A proxy that remembers every write together with what the ledger held when it arrived."""

    def __init__(self, upstream: str, *, ledger: Path, random: Random) -> None:
        super().__init__(upstream)
        self._ledger = ledger
        self._random = random
        self._trap: tuple[Place, Callable[[], None]] | None = None
        self.written: list[Write] = []

    async def __aexit__(self, *exception: object) -> None:
        if self.serving:  # nobody waits for these answers any more, but the server is asked
            await asyncio.wait(self.serving)
        await super().__aexit__(*exception)

    def set_trap(self, place: Place, spring: Callable[[], None]) -> None:
        """Call ``spring`` at the next write: before the server sees it, or before its answer."""
        self._trap = (place, spring)

    def disarm(self) -> bool:
        """Take the trap away; true when it had not sprung."""
        waiting, self._trap = self._trap is not None, None
        return waiting

    def fault_for(self, seen: Seen) -> Fault:
        """Watch the writes; reads go through."""
        if not seen.writes:
            return super().fault_for(seen)
        write = Write(datetime.now(UTC), seen.method, seen.path, seen.json, self._committed())
        self.written.append(write)

        async def watch(forward: Forward) -> Reply | None:
            await self._dawdle()
            if self._springs("arrival"):
                return None
            write.forwarded = datetime.now(UTC)
            reply = await forward()
            write.status = reply.status
            await self._dawdle()
            return None if self._springs("answer") else reply

        return watch

    def _springs(self, place: Place) -> bool:
        if self._trap is None or self._trap[0] != place:
            return False
        _, spring = self._trap
        self._trap = None
        spring()
        return True

    async def _dawdle(self) -> None:
        await asyncio.sleep(self._random.uniform(0, _SLOW_SECONDS))

    def _committed(self) -> int:
        """The newest entry that another process can read by now, so one that is committed."""
        with closing(sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True)) as database:
            (seq,) = database.execute("SELECT seq FROM head").fetchone()
            return int(seq)
