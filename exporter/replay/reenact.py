"""Decides recorded rounds again as they were decided then, and compares with what was recorded.

The proof that history holds all that decisions rest on: what a live run noted must come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine

from exporter.history.frames import Setting
from exporter.ledger.echo import Echo
from exporter.ledger.standing import Standing
from exporter.ledger.texts import item_key
from exporter.model.decision import Decision, Subject
from exporter.policy.changes import CLEAR, Changes
from exporter.policy.load import reread
from exporter.policy.policy import Policy
from exporter.policy.world import Refusal
from exporter.replay.player import Player
from exporter.replay.recorded import Moment


@dataclass(slots=True)
class Then:
    """What the ledger knew, and what this process did, at the moment that is played."""

    standing: Standing = field(default_factory=Standing)
    busy: dict[str, str] = field(default_factory=dict)
    refused: dict[Subject, Refusal] = field(default_factory=dict)

    @property
    def refusals(self) -> Then:
        """Itself."""
        return self

    def current(self) -> dict[Subject, Refusal]:
        """What was refused then."""
        return self.refused


@dataclass(frozen=True, slots=True)
class Noted:
    """A decision that changed, as the ledger notes it."""

    at: datetime
    policy: str
    target: str
    item: str | None
    result: str
    reason: str


def reenact(moments: Iterable[Moment], source: Engine, scratch: Engine) -> Iterator[Noted]:
    """Every change of a decision that the recorded rounds give, in their order.

    ``source`` is the ledger that the run wrote; ``scratch`` one that is brought along with it.
    """
    then, echo = Then(), Echo(source, scratch)
    player = Player(ledger=then, busy=then, policies_of=policies_then)
    changes, boot = Changes(), ""
    last: dict[Subject, tuple[str, str]] = {}
    for moment in moments:
        if moment.frame is not None:
            told = moment.frame.circumstances
            if echo.advance(told.seq):
                then.standing.apply(then.standing.fetch(scratch))
            then.refused = dict(told.refusals)
            then.busy = {
                lock: one.remedy
                for lock, one in told.open_operations.items()
                if one.id == "preflight"
            }
        played = player.play(moment)
        if played is None:
            continue
        if played.boot != boot:
            changes, boot = Changes(), played.boot
        name = played.target.name
        if played.first:
            changes.forget(name)
        decisions = (*played.decisions, *changes.gone(name, played.decisions))
        changes.take(name, decisions)
        yield from _noted(decisions, last, played.at)


def policies_then(setting: Setting) -> tuple[Policy, ...]:
    """The policies that were in force."""
    return reread(setting.policies, limits=setting.limits)


def _noted(
    decisions: Iterable[Decision], last: dict[Subject, tuple[str, str]], at: datetime
) -> Iterator[Noted]:
    for d in decisions:
        item = None if d.subject.item is None else item_key(d.subject.item)
        subject = Subject(d.subject.policy, d.subject.target, item)
        if last.get(subject, CLEAR) != d.standing:
            last[subject] = d.standing
            yield Noted(at, subject.policy, subject.target, item, *d.standing)
