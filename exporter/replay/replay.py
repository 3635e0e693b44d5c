"""``policy replay``: what policies would have done over recorded history, and what held them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Engine

from exporter.history.frames import Setting
from exporter.ledger.archive import Archive
from exporter.ledger.chain import Entry, EntryKind
from exporter.ledger.echo import Echo, scratch_ledger
from exporter.model.decision import Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.operation import Source
from exporter.policy.changes import Changes
from exporter.policy.policy import Policy
from exporter.replay.player import Player, Round
from exporter.replay.recorded import moments
from exporter.replay.reenact import policies_then
from exporter.replay.simulation import Deed, Simulation

_ORDERS = frozenset({EntryKind.PAUSED, EntryKind.UNPAUSED, EntryKind.IDENTITY})
_BY_POLICY: Source = "policy"
_OFTEN = 200
"""Rounds between two words on how far it is."""


@dataclass(frozen=True, slots=True)
class Held:
    """A time during which one gate held one thing."""

    policy: str
    target: str
    item: str | None
    reason: HoldReason
    detail: str
    since: datetime
    until: datetime | None
    """None: to the end."""


@dataclass(slots=True)
class Replayed:
    """What a replay found."""

    rounds: int = 0
    readings: int = 0
    began: datetime | None = None
    ended: datetime | None = None
    targets: set[str] = field(default_factory=set)
    deeds: list[Deed] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    policies: dict[str, Policy] = field(default_factory=dict)
    """Those that decided anything, by name."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be replayed."""

    since: datetime
    until: datetime
    policies: tuple[Policy, ...] | None = None
    """None: those that were in force."""
    targets: Collection[str] = ()
    """Only these; empty: all that have history."""
    mode: Mode | None = None
    """As if every policy that is not off were in this mode, and ``max_mode`` allowed it."""
    helps: bool = True


def replay(
    question: Question,
    source: Engine,
    *,
    on_progress: Callable[[datetime], None] = lambda _at: None,
) -> Replayed:
    """Decide every recorded round of a time with these policies, and carry out on paper.

    ``source`` is the ledger with the history; it is only read. Of it count what people did and
    ordered, not what policies did then. HistoryUnreadableError.
    """
    archive = Archive(source)
    names = frozenset(archive.history_span()) - {""}
    if question.targets:
        names &= frozenset(question.targets)
    with scratch_ledger() as scratch:
        simulation = Simulation(scratch, helps=question.helps)
        echo = Echo(source, scratch, tells=_by_people)
        player = Player(
            ledger=simulation,
            busy=simulation,
            policies_of=lambda setting: _policies(question, setting),
            about=lambda target: target.name in names,
            most=question.mode,
            as_then=False,
            presumed=simulation.presumed,
        )
        teller = _Teller(question.since)
        asked = moments(archive, sorted(names), since=question.since, until=question.until)
        for moment in asked:
            readings = 0
            if moment.frame is not None:
                if moment.at > question.until:
                    continue
                readings = len(moment.frame.readings)
                if echo.advance(moment.frame.circumstances.seq):
                    simulation.learn()
            played = player.play(moment)
            if played is None:
                continue
            asking = played.at >= question.since
            teller.tell(played, simulation.follow(played) if asking else (), readings)
            if teller.found.rounds % _OFTEN == 0:
                on_progress(played.at)
        return teller.end()


def _policies(question: Question, setting: Setting) -> tuple[Policy, ...]:
    found = policies_then(setting) if question.policies is None else question.policies
    if question.mode is None:
        return found
    return tuple(one if one.mode is Mode.OFF else replace(one, mode=question.mode) for one in found)


def _by_people(entry: Entry) -> bool:
    """What counts of the ledger: people's operations and orders, and what targets are."""
    if "source" in entry.data:
        return bool(entry.data["source"] != _BY_POLICY)
    return entry.kind in _ORDERS


class _Teller:
    """Puts together what was done and held, from rounds as they come."""

    def __init__(self, since: datetime) -> None:
        self._since = since
        self.found = Replayed()
        self._changes = Changes()
        self._holding: dict[Subject, Held] = {}

    def tell(self, played: Round, deeds: Iterable[Deed], readings: int) -> None:
        """Take in a round; of what came before the time that is asked for only how it stood."""
        name, at = played.target.name, played.at
        gone = self._changes.gone(name, played.decisions)
        for d in self._changes.take(name, (*played.decisions, *gone)):
            self._end(d.subject, at)
            if d.result is Result.HOLD and d.reason is not None:
                subject = d.subject
                self._holding[subject] = Held(
                    subject.policy, name, subject.item, d.reason, d.detail, at, None
                )
        if at < self._since:
            return
        found = self.found
        found.rounds += 1
        found.readings += readings
        found.began = found.began or at
        found.ended = at
        found.targets.add(name)
        found.deeds += deeds
        found.policies |= {p.name: p for p in played.policies if p.matches(played.target)}

    def end(self) -> Replayed:
        """All of it, the longest holds first."""
        self.found.held += self._holding.values()
        ended = self.found.ended or self._since
        self.found.held.sort(key=lambda h: (h.since - (h.until or ended), h.since))
        return self.found

    def _end(self, subject: Subject, at: datetime) -> None:
        held = self._holding.pop(subject, None)
        if held is not None and at >= self._since:
            self.found.held.append(replace(held, until=at))
