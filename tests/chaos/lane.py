"""One server, one ledger, and a daemon that is killed and started again, until it was enough."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select

from exporter.ledger.engine import connect, ledger_url
from exporter.ledger.reads import Reads
from exporter.ledger.tables import operations
from exporter.model.hold import HoldReason
from tests.chaos import scene
from tests.chaos.door import Door, Place
from tests.chaos.record import Kill, Phase, Record
from tests.chaos.scene import Scene
from tests.medic import Medic

_SETTINGS: dict[str, Any] = {"lease": "5s", "drift_interval": "10s"}
"""The shortest lease; and no discovery of every deployment in every second."""
_PATIENCE_SECONDS = 60.0
_SETTLE_SECONDS = 150.0
_POLL_SECONDS = 0.03
_LOOK_SECONDS = 0.3
_RESTING = frozenset({HoldReason.LIMIT_ITEM, HoldReason.LIMIT_TARGET, HoldReason.PREFLIGHT_REFUSED})
"""What a policy may still hold for at the end: its limits for ever, a refusal for a minute."""
_BEGUN = frozenset(
    {"operation.reserved", "operation.not_reserved", "operation.stopped", "preflight.refused"}
)
_TRIGGERS = (
    *("anytime", "preflight", "preflight", "running", "running", "running", "running"),
    *("arrival", "arrival", "answer", "answer"),
)


@dataclass(frozen=True)
class _Open:
    id: str
    owner: str
    phase: Phase


class Lane:
    """Kills one daemon again and again, and remembers everything about it."""

    def __init__(self, scene_: Scene, *, folder: Path, kills: int, random: Random) -> None:
        self._scene = scene_
        self._folder = folder
        self._kills = kills
        self._random = random
        self._ledger = folder / "data" / "medic.db"
        self._log = folder / "medic.log"
        self._log_begins = 0
        self._left_behind: set[_Open] = set()
        self.record = Record(
            faults=scene_.faults,
            cooldown=scene.COOLDOWN,
            limits=scene.limits(kills),
            once=scene.ONCE,
        )

    async def run(self) -> Record:
        """Do everything, and return what was seen."""
        restate = self._scene.restate
        await self._scene.set_up()
        async with Door(restate.admin_url, ledger=self._ledger, random=self._random) as door:
            self.record.writes = door.written
            target: dict[str, object] = {
                "name": "prod",
                "ingress_url": restate.ingress_url,
                "admin_url": door.url,
                "workers": self._scene.workers,
            }
            rules = scene.policies(self._kills, self._scene.rolled)
            medic = Medic(self._folder, targets=[target], policies=rules, **_SETTINGS)
            try:
                for _ in range(self._kills):
                    self._random.shuffle(rules)  # who comes first; what they say is the same
                    medic.write(targets=[target], policies=rules, **_SETTINGS)
                    self._log_begins = self._log.stat().st_size if self._log.exists() else 0
                    medic.start(ready=False)
                    await self._scene.break_everything(self._had())
                    await self._catch(medic, door)
                medic.start(ready=False)
                await self._settle(medic)
            finally:
                medic.kill()
        self.record.state = await asyncio.to_thread(self._scene.state)
        self._read_ledger()
        return self.record

    async def _catch(self, medic: Medic, door: Door) -> None:
        """Kill it at a moment of one kind; if that does not come, some time later."""
        trigger = self._random.choice(_TRIGGERS)
        match trigger:
            case "arrival" | "answer":
                await self._spring(medic, door, trigger)
                return
            case "preflight":
                await self._until(medic, self._decided)
                await asyncio.sleep(self._random.uniform(0, 0.5))
            case "running":
                await self._until(medic, self._running)
                await asyncio.sleep(self._random.uniform(0, 1.5))
            case _:
                await asyncio.sleep(self._random.uniform(0, 1.5))
        self._kill(medic, trigger)

    async def _spring(self, medic: Medic, door: Door, place: Place) -> None:
        sprung = asyncio.Event()

        def spring() -> None:
            self._kill(medic, place)
            sprung.set()

        door.set_trap(place, spring)
        await self._until(medic, sprung.is_set)
        if door.disarm():
            self._kill(medic, "anytime")

    def _kill(self, medic: Medic, trigger: str) -> None:
        at = datetime.now(UTC)
        medic.kill()
        found = self._running()
        phase: Phase = found.phase if found else "preflight" if self._preparing() else "idle"
        self.record.kills.append(Kill(at, trigger, phase, found.id if found else None))
        if found is not None:
            self._left_behind.add(found)

    async def _until(self, medic: Medic, condition: Callable[[], object]) -> None:
        """Wait for the condition, but not for ever: all may be mended by now."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while not condition() and asyncio.get_running_loop().time() < deadline:
            ended = medic.child.exit_code
            assert ended in {None, -signal.SIGKILL}, f"it ended with {ended}\n{_tail(medic)}"
            await asyncio.sleep(_POLL_SECONDS)

    async def _settle(self, medic: Medic) -> None:
        """Until nothing is open and nothing is left to do that limits allow."""
        deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
        while medic.status("/-/ready") != 200 or not self._rests(medic.decisions()):
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"it never came to rest\n{_tail(medic)}"
            await asyncio.sleep(_LOOK_SECONDS)

    def _rests(self, decisions: list[dict[str, Any]]) -> bool:
        resting = all(d["result"] == "clear" or d["reason"] in _RESTING for d in decisions)
        return resting and bool(decisions) and self._open() is None

    def _open(self) -> _Open | None:
        """The operation that locks the target, by the ledger."""
        if not self._ledger.exists():
            return None
        with closing(sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True)) as database:
            try:
                found = database.execute(
                    "SELECT id, owner, phase FROM operations WHERE locks IS NOT NULL"
                ).fetchone()
            except sqlite3.OperationalError:  # it is just being made
                return None
        return found and _Open(*found)

    def _had(self) -> frozenset[str]:
        """The keys of everything that an operation was about so far."""
        if not self._ledger.exists():
            return frozenset()
        with closing(sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True)) as database:
            try:
                rows = database.execute("SELECT key FROM operation_items").fetchall()
            except sqlite3.OperationalError:  # it is just being made
                return frozenset()
        return frozenset(str(key) for (key,) in rows)

    def _running(self) -> _Open | None:
        """The same, unless it is only what a daemon that was killed before has left."""
        found = self._open()
        left = {(one.id, one.owner) for one in self._left_behind}
        return found if found and (found.id, found.owner) not in left else None

    def _decided(self) -> bool:
        """Whether this daemon has decided to act."""
        return any(_acts(event) for event in self._events())

    def _preparing(self) -> bool:
        """Whether it decided to, and has neither reserved nor refused it yet."""
        preparing = False
        for event in self._events():
            preparing = _acts(event) or (preparing and event["event"] not in _BEGUN)
        return preparing

    def _events(self) -> Iterator[dict[str, Any]]:
        """What this daemon has logged so far."""
        if self._log.exists():
            with self._log.open() as file:
                file.seek(self._log_begins)
                lines = [line for line in file if line.startswith("{") and line.endswith("\n")]
            yield from map(json.loads, lines)

    def _read_ledger(self) -> None:
        engine = connect(ledger_url(f"sqlite:///{self._ledger}"))
        reads, record = Reads(engine), self.record
        record.operations = reads.operations(limit=10_000)[::-1]
        record.items = {o.id: dict(reads.items(o.id)) for o in record.operations}
        record.entries = reads.chain(limit=100_000)
        record.head = reads.head()
        with engine.connect() as connection:
            counted = select(operations.c.id).where(operations.c.counted_at.is_not(None))
            record.counted = frozenset(connection.scalars(counted))
        engine.dispose()


def _acts(event: dict[str, Any]) -> bool:
    return bool(event["event"] == "decision.changed" and event["result"] == "act")


def _tail(medic: Medic) -> str:
    return medic.child.log_tail()
