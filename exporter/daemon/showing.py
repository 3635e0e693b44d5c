"""What the web side shows: remembered from round to round, put together when it is asked for."""

from __future__ import annotations

from datetime import datetime

from exporter.app.engine import Engine
from exporter.daemon.reloads import Reloads
from exporter.model.component import Component
from exporter.model.decision import Decision, Subject
from exporter.model.operation import Operation
from exporter.web.recent import Recent
from exporter.web.status import Running, StandingDecision, TargetStatus, WebStatus, follow


class Showing:
    """The present decisions and the last rounds of every target."""

    def __init__(self, reloads: Reloads) -> None:
        self._reloads = reloads
        self._engine: Engine | None = None
        self._started_at: datetime | None = None
        self._decisions: dict[str, dict[Subject, StandingDecision]] = {}
        self._recent = Recent()
        self._ready = False

    @property
    def engine(self) -> Engine:
        """What is shown, once taken."""
        if self._engine is None:
            msg = "there is nothing to show yet"
            raise RuntimeError(msg)
        return self._engine

    def take(self, engine: Engine) -> None:
        """Show this engine, which has just been started."""
        self._engine = engine
        self._started_at = engine.now()

    def decided(self, name: str, decisions: tuple[Decision, ...], at: datetime) -> None:
        """Take what a round decided about a target."""
        self._decisions[name] = follow(self._decisions.get(name, {}), decisions, at)
        backend = self.engine.backends.get(name)
        if backend is not None:
            self._recent.note(backend.target, self.engine.fleet.report(name), at)

    def forget(self, name: str) -> None:
        """Drop a target that is another one now, or is gone."""
        self._decisions.pop(name, None)
        self._recent.forget(name)

    def status(self) -> WebStatus:
        """What the web side shows now."""
        now = self.engine.now()
        targets = self.engine.configuration.targets
        waiting = tuple(t.name for t in targets if not _reported(self.engine, t.name))
        self._ready = self._ready or not waiting
        return WebStatus(
            now=now,
            ready=self._ready,
            targets=tuple(TargetStatus(t, self.engine.fleet.report(t.name)) for t in targets),
            decisions=tuple(
                standing for t in targets for standing in self._decisions.get(t.name, {}).values()
            ),
            waiting_for=() if self._ready else waiting,
            policies=self.engine.policies,
            max_mode=self.engine.configuration.settings.max_mode,
            operations={t: one.id for t, one in self.engine.ledger.standing.open.items()},
            plans=plans_of(self.engine),
            recent={t.name: self._recent.of(t.name) for t in targets},
            pauses=tuple(
                pause for pause in self.engine.ledger.standing.orders.pauses if pause.in_force(now)
            ),
            running=Running(self._started_at, self._reloads.loaded_at, self._reloads.problems),
        )


def _reported(engine: Engine, name: str) -> bool:
    backend = engine.backends[name]
    readings = engine.fleet.report(name).readings
    # A heartbeat takes as long as it takes, and so does knowing anything of it.
    wanted = backend.target.intervals.keys() - {Component.HEARTBEAT}
    return all(component in readings for component in wanted)


def plans_of(engine: Engine) -> tuple[Operation, ...]:
    """The plans that wait for a yes or a no."""
    proposals = engine.ledger.standing.proposals
    return tuple(p for p in proposals if p.approved_by is None)
