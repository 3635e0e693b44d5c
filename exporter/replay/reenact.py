"""Decides recorded rounds again as they were decided then.

The proof that history holds all that decisions rest on: what a live run noted must come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Engine, func, select

from exporter.history.frames import Circumstances, Setting
from exporter.ledger.echo import Echo
from exporter.ledger.standing import Standing
from exporter.ledger.tables import decisions as table
from exporter.ledger.texts import item_key
from exporter.model.decision import Decision, Subject
from exporter.policy.changes import CLEAR, Changes, gone
from exporter.policy.clock import HOLD
from exporter.policy.load import reread
from exporter.policy.policy import Policy
from exporter.policy.world import Refusal
from exporter.replay.player import Player, Round
from exporter.replay.recorded import Moment


@dataclass(frozen=True, slots=True)
class Noted:
    """A decision that changed, as the ledger notes it."""

    policy: str
    item: str | None
    result: str
    reason: str


@dataclass(frozen=True, slots=True)
class Redone:
    """A recorded round, decided again: what it should have noted."""

    at: datetime
    boot: str
    target: str
    noted: frozenset[Noted]
    sure: bool
    """False for the last round of a run: nobody knows whether it came to noting anything."""
    settled: bool
    """False soon after the record begins in the middle of a run: then more was known."""


SETTLED = 2 * HOLD
"""What a process remembers of all targets together, and of its clock, is as old as this at most."""


@dataclass(slots=True)
class _Then:
    """What the ledger knew, and what this process did, at the moment that is played."""

    standing: Standing = field(default_factory=Standing)
    busy: dict[str, str] = field(default_factory=dict)
    refused: dict[Subject, Refusal] = field(default_factory=dict)

    @property
    def refusals(self) -> _Then:
        """Itself."""
        return self

    def current(self) -> dict[Subject, Refusal]:
        """What was refused then."""
        return self.refused


def reenact(moments: Iterable[Moment], source: Engine, scratch: Engine) -> Iterator[Redone]:
    """Every recorded round, decided again; of one target in their order.

    ``source`` is the ledger that the run wrote; ``scratch`` one that is brought along with it.
    """
    then, echo = _Then(), Echo(source, scratch)
    player = Player(ledger=then, busy=then, policies_of=policies_then)
    notes, beginnings = _Notes(source), _Beginnings()
    changes, boot = Changes(), ""
    for moment in moments:
        if moment.boot != boot:
            yield from notes.end()
            then.standing = Standing()  # a new process asks anew
            changes, boot = Changes(), moment.boot
        settled = beginnings.settled(moment)
        if moment.frame is None:
            player.play(moment)
            if moment.change is not None:
                for name in moment.change.forgotten:
                    changes.forget(name)
            continue
        told = moment.frame.circumstances
        _bring(then, echo, told, scratch)
        played = player.play(moment)
        if played is None:
            continue
        name = played.target.name
        if played.first:
            changes.forget(name)
        decisions = (*played.decisions, *changes.gone(name, played.decisions))
        changes.take(name, decisions)
        yield from notes.take(played, decisions, told, settled=settled)
    yield from notes.end()


def policies_then(setting: Setting) -> tuple[Policy, ...]:
    """The policies that were in force."""
    return reread(setting.policies, limits=setting.limits)


def _bring(then: _Then, echo: Echo, told: Circumstances, scratch: Engine) -> None:
    """Let it know what was known then; a process that never read its ledger knew nothing."""
    if told.seq >= 0 and (echo.advance(told.seq) or then.standing.seq < 0):
        then.standing.apply(then.standing.fetch(scratch))
    then.refused = dict(told.refusals)
    then.busy = {
        lock: one.remedy for lock, one in told.open_operations.items() if one.id == "preflight"
    }


class _Beginnings:
    """Which rounds follow so soon on something unrecorded that more was known than is recorded."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        """By run, the place of what comes next, if nothing is missing."""
        self._until: dict[str, datetime] = {}

    def settled(self, moment: Moment) -> bool:
        """Whether all that it rests on is recorded. To be asked of each moment."""
        boot, tick = moment.boot, moment.tick
        if moment.change is not None and moment.change.memory is not None:
            self._until.pop(boot, None)
        elif self._next.get(boot) != tick:
            self._until[boot] = moment.at + SETTLED
        self._next[boot] = tick + 1
        until = self._until.get(boot)
        return until is None or moment.at >= until


_Standings = dict[tuple[str, str | None], tuple[str, str]]
"""By policy and item: a result and its reason."""


class _Notes:
    """What rounds note: what is new since the last note, as the ledger tells that."""

    def __init__(self, source: Engine) -> None:
        self._source = source
        self._last: dict[str, _Standings] = {}
        """By target; absent: to be asked of the ledger."""
        self._latest: dict[str, Redone] = {}
        """By target, its newest round: only the next one tells whether it was noted."""
        self._before: dict[str, _Standings] = {}

    def take(
        self,
        played: Round,
        decisions: Iterable[Decision],
        told: Circumstances,
        *,
        settled: bool,
    ) -> Iterator[Redone]:
        """Take in a round, and return the one before it of its target."""
        name = played.target.name
        latest = self._latest.pop(name, None)
        if told.noting == "failed" and name in self._before:
            self._last[name] = self._before.pop(name)
            latest = None if latest is None else replace(latest, noted=frozenset())
        if latest is not None:
            yield latest
        if played.gap or not settled:
            self._last.pop(name, None)  # what was noted meanwhile only the ledger knows
        noted: frozenset[Noted] = frozenset()
        if told.ledger_ok and played.world.owned and told.noting != "busy":
            noted = self._note(name, decisions, told.seq)
        self._latest[name] = Redone(played.at, played.boot, name, noted, sure=True, settled=settled)

    def end(self) -> Iterator[Redone]:
        """The last rounds of a run."""
        for one in self._latest.values():
            yield replace(one, sure=False)
        self._latest.clear()
        self._last.clear()
        self._before.clear()

    def _note(self, target: str, decisions: Iterable[Decision], seq: int) -> frozenset[Noted]:
        last = self._last.get(target)
        if last is None:
            last = self._last[target] = self._in_ledger(target, seq)
        noted, after = set(), dict(last)
        stored = [replace(d, subject=_stored(d.subject)) for d in decisions]
        known = [Subject(key[0], target, key[1]) for key, one in last.items() if one != CLEAR]
        for d in (*stored, *gone(known, stored)):
            key = d.subject.policy, d.subject.item
            if after.get(key, CLEAR) != d.standing:
                after[key] = d.standing
                noted.add(Noted(*key, *d.standing))
        self._before[target], self._last[target] = last, after
        return frozenset(noted)

    def _in_ledger(self, target: str, seq: int) -> _Standings:
        columns = table.c
        newest = (
            select(func.max(columns.seq))
            .where(columns.target == target, columns.seq <= seq)
            .group_by(columns.policy, columns.item)
        )
        query = select(columns.policy, columns.item, columns.result, columns.reason)
        with self._source.connect() as connection:
            rows = connection.execute(query.where(columns.seq.in_(newest)))
            return {(row[0], row[1] or None): (row[2], row[3]) for row in rows}


def _stored(subject: Subject) -> Subject:
    item = subject.item
    return subject if item is None else replace(subject, item=item_key(item))
