"""What a decision rests on beside a target's own report: the ledger's facts, and what came before.

The round assembles it; ``decide`` only looks. A gate that needs another fact adds a field here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from exporter.model.decision import Decision, Mode, Subject, Waiting
from exporter.model.operation import Usage
from exporter.model.orders import Pause
from exporter.policy.alarms import Alarms
from exporter.policy.breaker import Failure
from exporter.policy.clock import Suspicion
from exporter.policy.storm import Others


@dataclass(frozen=True, slots=True)
class OpenOperation:
    """The one operation that is open on a target."""

    id: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A preflight that refused lately: the bounded word, the sentence, and until when to wait."""

    reason: str
    detail: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan that waits for a person, was approved, or was rejected."""

    id: str
    """The operation's."""
    detail: str
    """A sentence: what it waits for, or who rejected it."""
    approved: bool = False


@dataclass(frozen=True, slots=True)
class LastManual:
    """The last operation of a person on the target."""

    at: datetime
    """When it last did something."""
    actor: str
    remedy: str


class UsageOf(Protocol):
    """Looks up earlier operations in memory; asked only while the ledger is readable."""

    def __call__(
        self, policy: str, target: str, remedy: str, items: tuple[str, ...], mode: Mode, /
    ) -> Usage:
        """Return what a policy's budget has spent, counting only operations of the same mode."""


def _nobody(_policy: str) -> Others:
    return Others()


def _no_proposal(_subject: Subject) -> Proposal | None:
    return None


def _none(*_: str) -> tuple[Failure, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything beside the report that a gate may ask about, at one moment."""

    ledger_ok: bool
    """Whether the ledger can be written now: no ledger, no action."""
    usage: UsageOf
    max_mode: Mode = Mode.ENFORCE
    """The lower of this and a policy's mode wins."""
    open_operations: Mapping[str, OpenOperation] = field(default_factory=dict)
    """Whoever's operation it is, by what it locks (``lock_of``): the target, as a rule."""
    waiting: Mapping[Subject, Waiting] = field(default_factory=dict)
    """From the previous round's decisions (``waiting_of``); empty after a restart."""
    refusals: Mapping[Subject, Refusal] = field(default_factory=dict)
    proposal: Callable[[Subject], Proposal | None] = _no_proposal
    """The plan that waits for a person, else the one that was rejected last."""
    owned: bool = True
    """Whether this process acts for the target, or stands by."""
    holder: str = ""
    """Who acts for it; empty when nobody does yet."""
    pauses: tuple[Pause, ...] = ()
    """Those nobody lifted; some may have run out."""
    manual: LastManual | None = None
    clock: Suspicion | None = None
    """The clock was set a short while ago."""
    identity: str | None = None
    """Why the target may be another Restate than the known one."""
    others: Callable[[str], Others] = _nobody
    """By policy: how the targets beside this one are."""
    failures: Callable[[str, str], tuple[Failure, ...]] = _none
    """What ended badly on a target with a remedy and was not reset; asked as ``usage`` is."""
    failures_of: Callable[[str], tuple[Failure, ...]] = _none
    """The same of a policy, on every target."""
    alarms: Alarms | None = None
    """What Alertmanager told last; None when none is configured."""
    presumed: frozenset[Subject] = frozenset()
    """Who counts as mended, whatever the readings show: only in a replay, whose readings are of
    what happened without the repair."""


def waiting_of(decisions: Iterable[Decision]) -> dict[Subject, Waiting]:
    """What the next round's world carries over: a subject without a decision starts anew."""
    return {d.subject: d.waiting for d in decisions if d.waiting is not None}
