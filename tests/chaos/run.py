"""Several servers at once, each with its own daemon to kill; and what came of it, in numbers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lab import RestateServer, Worker
from tests.chaos.audit import audit
from tests.chaos.lane import Lane
from tests.chaos.record import PHASES, Record
from tests.chaos.scene import FLOW, GREETER, PLAIN, Scene

LANES = 7
"""Servers at once: a lane mostly waits for a lease of five seconds to run out."""


@dataclass(frozen=True)
class Result:
    """What all lanes together have seen."""

    seed: int
    kills: int
    seconds: float
    counts: Counter[str]
    flaws: tuple[str, ...]

    def __str__(self) -> str:
        outcomes = sorted(k for k in self.counts if k.startswith("ended "))
        remedies = sorted(k for k in self.counts if "-" in k)
        number = self.counts.__getitem__
        return "\n".join(
            [
                f"chaos: {self.kills} SIGKILLs in {self.seconds:.0f} s, seed {self.seed}",
                "  killed while: "
                + ", ".join(f"{p} {number(f'killed while {p}')}" for p in PHASES),
                "  operations: "
                + ", ".join(f"{o.removeprefix('ended ')} {number(o)}" for o in outcomes),
                "  of: " + ", ".join(f"{r} {number(r)}" for r in remedies),
                f"  writes: {number('writes')}",
                f"    announced by a committed entry: {number('writes announced')}",
                f"    never seen by the server: {number('writes the server never saw')}",
                f"  entries that the chain verifies: {number('entries')}",
                f"  flaws: {len(self.flaws)}",
                *(f"    {flaw}" for flaw in self.flaws),
            ]
        )


async def chaos(folder: Path, *, kills: int, lanes: int, seed: int) -> Result:
    """Kill daemons ``kills`` times, on ``lanes`` servers at once."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        stable = await stack.enter_async_context(Worker([GREETER]))
        rolled = await stack.enter_async_context(Worker([PLAIN, FLOW]))
        servers = [RestateServer() for _ in range(lanes)]
        await asyncio.gather(*(stack.enter_async_context(server) for server in servers))
        running = []
        for number, server in enumerate(servers):
            random = Random(f"{seed}/{number}")  # noqa: S311 - it must be repeatable
            scene = Scene(server, stable, rolled, random)
            share = kills // lanes + (number < kills % lanes)
            lane = Lane(scene, folder=folder / f"lane{number}", kills=share, random=random)
            running.append(lane.run())
        done = await asyncio.gather(*running, return_exceptions=True)
    records = []
    for one in done:
        if isinstance(one, BaseException):
            raise one
        records.append(one)
    return _result(records, seed=seed, seconds=time.monotonic() - began)


def _result(records: list[Record], *, seed: int, seconds: float) -> Result:
    counts: Counter[str] = Counter()
    flaws: list[str] = []
    for number, record in enumerate(records):
        found = audit(record)
        counts += found.counts
        flaws += [f"server {number}: {flaw}" for flaw in found.flaws]
    kills = sum(len(record.kills) for record in records)
    return Result(seed, kills, seconds, counts, tuple(flaws))
