"""Plays a test: the daemon's own deciding, gates and limits, round by round through its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from exporter.ledger.echo import scratch_ledger
from exporter.ledger.store import Store
from exporter.model.component import Component, Status
from exporter.model.decision import Decision, Mode
from exporter.model.findings import NEVER, ComponentState, Findings, Item
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.model.variables import ITEM_KINDS, VARIABLES
from exporter.policy.alarms import Alarms, Alert, Heard
from exporter.policy.changes import Changes
from exporter.policy.decide import decide
from exporter.policy.storm import Others
from exporter.policy.world import World
from exporter.replay.player import Acting, Round
from exporter.replay.simulation import Deed, Simulation
from exporter.simulate.scenario import Scenario
from exporter.surroundings import Surroundings

_COMPONENTS = {one.name: one.components for one in VARIABLES}
_OF_ITEMS = {
    kind: {one.name: one.components for one in known.fields} for kind, known in ITEM_KINDS.items()
}
_LATENCY_SECONDS = 0.01
_MAX_AGE = timedelta(minutes=1)
_WHO = "policy test"


@dataclass(frozen=True, slots=True)
class Stand:
    """All decisions of one round, and when it was."""

    at: timedelta
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a test."""

    rounds: int
    deeds: tuple[tuple[timedelta, Deed], ...]
    """With when they were, since the start."""
    stands: tuple[Stand, ...]
    """Those of rounds in which some decision changed, that the test asks about, and the first."""

    def stand(self, at: timedelta) -> Stand:
        """How everything stood at a moment: as after the last round up to it."""
        return next(one for one in reversed(self.stands) if one.at <= at)


def play(scenario: Scenario) -> Played:
    """Play a test from its start to its end."""
    with scratch_ledger() as scratch:
        return _Play(scenario, scratch).run()


class _Play:
    def __init__(self, scenario: Scenario, scratch: Engine) -> None:
        self._scenario = scenario
        self._store = Store(scratch)
        self._simulation = Simulation(scratch, helps=False)
        intervals = dict.fromkeys(Component, scenario.interval)
        self._target = Target(scenario.target, labels=scenario.labels, intervals=intervals)
        self._report = Report(scenario.target)
        self._blocked = any(policy.block_on_alerts for policy in scenario.policies)
        self._paused: int | None = None
        self._state = scenario.states[0]
        self._now = scenario.start
        self._surroundings = Surroundings(
            ledger=self._simulation,
            remediator=self._simulation,
            ownership=Acting(),
            alarms=self._alarms,
        )
        self._surroundings.configure(scenario.policies, (self._target,))

    def run(self) -> Played:
        rounds = 0
        deeds: list[tuple[timedelta, Deed]] = []
        stands: list[Stand] = []
        changes = Changes()
        interval = self._scenario.interval
        asked = {one.at // interval * interval for one in self._scenario.decisions}
        at = timedelta(0)
        while at <= self._scenario.length:
            played = self._round(at)
            name = self._target.name
            gone = changes.gone(name, played.decisions)
            changed = changes.take(name, (*played.decisions, *gone))
            if changed or not stands or at in asked:
                stands.append(Stand(at, played.decisions))
            deeds += [(at, deed) for deed in self._simulation.follow(played)]
            rounds += 1
            at += interval
        return Played(rounds, tuple(deeds), tuple(stands))

    def _round(self, at: timedelta) -> Round:
        scenario, now = self._scenario, self._scenario.start + at
        self._state, self._now = scenario.state(min(at, scenario.length)), now
        self._pause()
        self._report = self._read(now)
        findings = self._find(at)
        world = self._world()
        decisions = decide(scenario.policies, self._target, self._report, findings, world, now=now)
        self._surroundings.decided(self._target, decisions, now=now)
        return Round(
            now,
            "",
            at == timedelta(0),
            self._target,
            scenario.policies,
            self._report,
            findings,
            world,
            decisions,
        )

    def _pause(self) -> None:
        if self._state.paused == (self._paused is not None):
            return
        if self._paused is None:
            pause = self._store.pause("global", "", owner=_WHO, reason=_WHO, now=self._now)
            self._paused = pause.id
        else:
            self._store.unpause((self._paused,), actor=_WHO, now=self._now)
            self._paused = None
        self._simulation.learn()

    def _read(self, now: datetime) -> Report:
        """Everything is read in every round, but what is unknown."""
        failing = self._state.failing
        readings = {
            component: Reading(
                component=component,
                status=Status.OK if reason is None else reason.status,
                started_at=now,
                finished_at=now,
                interval=self._scenario.interval,
                latency_seconds=_LATENCY_SECONDS,
                reason=reason,
            )
            for component in Component
            if (reason := failing.get(component)) is not None or component not in failing
        }
        return Report(self._target.name, readings)

    def _find(self, at: timedelta) -> Findings:
        state, by = self._state, at - self._state.began
        target = self._target
        values: dict[str, Any] = {
            "target.name": target.name,
            "target.kind": target.kind,
            "target.labels": dict(target.labels),
        }
        components = {one: self._component(one) for one in Component}
        for one, found in components.items():
            values[f"{one}.status"] = str(found.status)
            values[f"{one}.reason"] = str(found.reason or "")
            values[f"{one}.age"] = found.age
        for name, value in state.values.items():
            if self._ok(_COMPONENTS[name]):
                values[name] = _grown(value, by)
        return Findings(
            target=target,
            at=self._now,
            components=components,
            values=values,
            items={kind: self._items(kind, by) for kind in ITEM_KINDS},
        )

    def _component(self, component: Component) -> ComponentState:
        reading = self._report.readings.get(component)
        if reading is None:
            return ComponentState(Status.UNKNOWN, None, NEVER, None)
        return ComponentState(reading.status, reading.reason, timedelta(0), reading.latency_seconds)

    def _items(self, kind: str, by: timedelta) -> tuple[Item, ...] | None:
        """The list; a test that says nothing of a kind has none of it."""
        rows = self._state.items.get(kind, {})
        if rows is None or not self._ok(ITEM_KINDS[kind].components):
            return None
        done = {name: counts for name, counts in self._done().items() if name in _OF_ITEMS[kind]}
        return tuple(
            Item(
                kind,
                key,
                {
                    name: _grown(value, by)
                    for name, value in row.items()
                    if self._ok(_OF_ITEMS[kind][name])
                }
                | {name: row.get(name, 0) + counts.get(key, 0) for name, counts in done.items()},
            )
            for key, row in rows.items()
        )

    def _done(self) -> dict[str, Mapping[str, int]]:
        """What the test's own operations did before, added to what it says was done."""
        tally = self._surroundings.tally(self._target.name)
        return {
            "item.recoveries": tally.recoveries,
            "item.resumes": tally.resumes,
            "item.restarts": tally.restarts,
        }

    def _ok(self, components: frozenset[Component]) -> bool:
        return not components & self._state.failing.keys()

    def _world(self) -> World:
        count, affected = self._state.others
        world = self._surroundings.world(
            self._target.name, max_mode=Mode.ENFORCE, ledger_ok=True, now=self._now
        )
        return replace(world, others=lambda _policy: Others(count + 1, affected))

    def _alarms(self) -> Alarms | None:
        """What an Alertmanager tells; there is one where a policy asks for alerts."""
        if not self._blocked:
            return None
        if self._state.alerts is None:
            return Alarms(_MAX_AGE, trouble="the test says that nobody knows")
        alerts = tuple(
            Alert(labels, self._now, name=labels.get("alertname", "an alert"))
            for labels in self._state.alerts
        )
        return Alarms(_MAX_AGE, Heard(self._now, alerts))


def _grown(value: Any, by: timedelta) -> Any:  # noqa: ANN401 - any value
    return value + by if isinstance(value, timedelta) else value
