"""Plays recorded rounds again: the same findings, world and ``decide`` as when they were run.

What the ledger knew, what was busy and who acts are given from outside; the rest a process keeps
in memory, and so it begins anew with each run of the daemon that was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from exporter.fleet import Fleet
from exporter.history.frames import Backdrop, Change, Circumstances, Opening, Setting
from exporter.model.decision import Decision, Mode, Subject
from exporter.model.findings import Findings
from exporter.model.report import Report
from exporter.model.target import Target, TargetKind
from exporter.policy.decide import decide
from exporter.policy.policy import Policy
from exporter.policy.world import World
from exporter.remedies.catalogue import REMEDIES
from exporter.remedies.remedy import Remedy
from exporter.remedies.remote import REMOTE_REMEDIES
from exporter.replay.recorded import Moment
from exporter.surroundings import Busy, Known, Surroundings

_REMEDIES: Mapping[TargetKind, Mapping[str, Remedy]] = {
    "restate": REMEDIES,
    "dalp": REMOTE_REMEDIES,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Round:
    """One round, played again."""

    at: datetime
    boot: str
    first: bool
    """Whether nothing was remembered of the target before it."""
    target: Target
    policies: tuple[Policy, ...]
    report: Report
    findings: Findings
    world: World
    decisions: tuple[Decision, ...]
    gap: bool = False
    """Whether rounds right before it are not recorded, or it is the first."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Only rounds of who acts for the targets are recorded."""

    owned: bool = True
    holder: str = ""


class Player:
    """Plays moments in their order. ``policies_of`` says which policies decide in a setting."""

    def __init__(
        self,
        *,
        ledger: Known,
        busy: Busy,
        policies_of: Callable[[Setting], tuple[Policy, ...]],
        about: Callable[[Target], bool] = lambda _target: True,
        as_then: bool = True,
        most: Mode | None = None,
        presumed: Callable[[str], frozenset[Subject]] = lambda _target: frozenset(),
    ) -> None:
        """``about`` says which targets count at all.

        ``as_then``: with what was remembered then, for how long conditions had been true and
        whether repairs lasted. Otherwise other policies decide, and other repairs are made.
        ``most`` stands for the ``max_mode`` of then.
        """
        self._ledger = ledger
        self._busy = busy
        self._policies_of = policies_of
        self._about = about
        self._as_then = as_then
        self._most = most
        self._presumed = presumed
        self._backdrops: dict[str, Backdrop] = {}
        self._boot = ""
        self._setting: Setting | None = None
        self._policies: tuple[Policy, ...] = ()
        self._targets: tuple[Target, ...] = ()
        self._start("")

    def _start(self, boot: str) -> None:
        self._boot = boot
        self._fleet = Fleet()
        self._offset = timedelta(0)
        self._now = _EPOCH
        self._surroundings = Surroundings(
            ledger=self._ledger,
            remediator=self._busy,
            ownership=Acting(),
            alarms=lambda: self._backdrops[self._boot].alarms,
            boot=self._boot_seconds,
        )

    def _boot_seconds(self) -> float:
        return (self._now - _EPOCH - self._offset).total_seconds()

    def play(self, moment: Moment) -> Round | None:
        """The round, decided again; None for what is none, or of a target nobody asks about."""
        if moment.change is not None:
            self._change(moment, moment.change)
            return None
        backdrop = self._backdrops.get(moment.boot)
        if moment.frame is None or backdrop is None:
            return None
        if moment.boot != self._boot:
            self._start(moment.boot)
        self._set(backdrop.setting)
        target = next((one for one in self._targets if one.name == moment.target), None)
        if target is None:
            return None
        self._now, self._offset = moment.at, backdrop.boot_offset
        first, gap = self._open(target, moment.opening)
        report = self._fleet.merge(target, moment.frame.readings, now=moment.at)
        told = moment.frame.circumstances
        return self._decide(moment, target, report, told, first=first, gap=gap)

    def _change(self, moment: Moment, change: Change) -> None:
        self._backdrops[moment.boot] = change.backdrop
        if change.memory is not None:
            if moment.boot != self._boot:
                self._start(moment.boot)
            self._now, self._offset = moment.at, change.backdrop.boot_offset
            memory = change.memory if self._as_then else replace(change.memory, affected={})
            self._surroundings.recall(memory, now=moment.at)
        if moment.boot == self._boot:
            for name in change.forgotten:
                self._surroundings.forget(name)
                self._fleet.forget(name)

    def _set(self, setting: Setting) -> None:
        if setting is self._setting:
            return
        if setting != self._setting:
            self._policies = self._policies_of(setting)
            self._targets = tuple(one for one in setting.targets if self._about(one))
        self._setting = setting

    def _open(self, target: Target, opening: Opening | None) -> tuple[bool, bool]:
        """Take over what was remembered; whether that was nothing, or more than was recorded."""
        if opening is None:
            return False, False
        before = self._fleet.report(target.name)
        anew = not opening.report.readings
        if anew:
            self._surroundings.forget(target.name)
        gap = any(
            component not in before.readings
            or before.readings[component].started_at != reading.started_at
            for component, reading in opening.report.readings.items()
        )
        self._fleet.restore(opening.report)
        if self._as_then or gap:
            self._surroundings.go_on(target.name, opening.waiting if self._as_then else {})
        return anew, anew or gap

    def _decide(
        self,
        moment: Moment,
        target: Target,
        report: Report,
        told: Circumstances,
        *,
        first: bool,
        gap: bool,
    ) -> Round:
        now = moment.at
        most = self._most or self._backdrops[moment.boot].setting.max_mode
        surroundings = self._surroundings
        surroundings.configure(self._policies, self._targets)
        remedies = _REMEDIES[target.kind] if self._as_then else {}
        surroundings.look(target, remedies, report, now=now)
        findings, world = surroundings.scene(
            target, report, max_mode=most, ledger_ok=told.ledger_ok, now=now
        )
        if presumed := self._presumed(target.name):
            world = replace(world, presumed=presumed)
        decisions = decide(self._policies, target, report, findings, world, now=now)
        surroundings.decided(target, decisions, now=now)
        return Round(
            at=now,
            boot=moment.boot,
            first=first,
            gap=gap,
            target=target,
            policies=self._policies,
            report=report,
            findings=findings,
            world=world,
            decisions=decisions,
        )
