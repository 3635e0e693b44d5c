"""Made-up history: rounds every fifteen seconds, told to a real recorder, in a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine

from exporter.fleet import Fleet
from exporter.history.recorder import Recorder
from exporter.ledger.archive import Archive
from exporter.ledger.store import Store
from exporter.model.component import Component
from exporter.model.operation import Usage
from exporter.model.target import Target
from exporter.model.views import View
from exporter.policy.policy import Policy
from exporter.policy.world import World
from tests.unit.policy_scenes import NOW, ONE, report, views

EVERY = timedelta(seconds=15)
Seen = Callable[[Target, timedelta], dict[Component, View] | None]
"""What a target shows so long after the beginning; None: it is not read then."""


def missing_during(*spans: tuple[float, float], target: str = "prod") -> Seen:
    """A target that lacks a service in these minutes, and is well otherwise."""

    def seen(about: Target, since: timedelta) -> dict[Component, View]:
        minutes = since / timedelta(minutes=1)
        bad = about.name == target and any(a <= minutes < b for a, b in spans)
        return views(about, missing=["Greeter"] if bad else [])

    return seen


def no_usage(*_: object) -> Usage:
    return Usage()


class _Shelf:
    def __init__(self, engine: Engine) -> None:
        self._archive = Archive(engine)

    async def keep_history(self, blocks, /) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - as Shelf
        self._archive.keep_history(blocks)

    async def prune_history(self, **_: object) -> int:
        return 0


@dataclass
class Night:
    """Rounds of some targets since ``NOW``, in a ledger in which other things happen, too."""

    engine: Engine
    policies: tuple[Policy, ...] = ()
    targets: tuple[Target, ...] = (ONE,)
    began: datetime = NOW
    happens: dict[timedelta, Callable[[Store, datetime], object]] = field(default_factory=dict)
    """So long after the beginning, before that round."""

    @property
    def store(self) -> Store:
        return Store(self.engine)

    async def record(self, seen: Seen, minutes: float, *, boot: str = "boot") -> None:
        """Let it happen, all in one run."""
        recorder, fleet, store = Recorder(boot), Fleet(), self.store
        world = World(ledger_ok=True, usage=no_usage)
        waits = dict(self.happens)
        for number in range(int(timedelta(minutes=minutes) / EVERY) + 1):
            since = number * EVERY
            now = self.began + since
            for due in sorted(one for one in waits if one <= since):
                waits.pop(due)(store, now)
            for target, shown in self._shown(seen, since):
                before = fleet.report(target.name)
                new = report(shown, at=now, target=target).readings.values()
                recorder.round(
                    before,
                    fleet.merge(target, new, now=now),
                    {},
                    world,
                    policies=self.policies,
                    targets=self.targets,
                    boot_offset=timedelta(days=20_000),
                    seq=store.head().seq,
                    now=now,
                )
        await recorder.flush(_Shelf(self.engine))

    def _shown(
        self, seen: Seen, since: timedelta
    ) -> Iterable[tuple[Target, dict[Component, View]]]:
        for target in self.targets:
            if (shown := seen(target, since)) is not None:
                yield target, shown
