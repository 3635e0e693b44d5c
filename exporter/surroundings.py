"""What a round looks at beside the target's own report, and what it remembers of it in between.

Puts together the ``World`` that policies are decided in. What is decided, and done, is others'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import structlog

from exporter.history.frames import Memory
from exporter.model.decision import Decision, Mode, Result, Subject, Waiting
from exporter.model.derive import derive
from exporter.model.findings import Findings, Tally
from exporter.model.hold import HoldReason
from exporter.model.identity import Identities, Identity
from exporter.model.operation import Usage
from exporter.model.relapse import Relapse
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.ownership import boot_seconds
from exporter.policy.alarms import Alarms
from exporter.policy.clock import ClockWatch, Suspicion
from exporter.policy.fleet_health import FleetHealth
from exporter.policy.memory import COUNTED
from exporter.policy.policy import Policy
from exporter.policy.world import LastManual, OpenOperation, Proposal, Refusal, World, waiting_of
from exporter.relapses import Relapses

if TYPE_CHECKING:
    from exporter.ledger.standing import Standing
    from exporter.remedies.remedy import Remedy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger(__name__)


class Owner(Protocol):
    """Who acts for the targets, such as ``Ownership``."""

    @property
    def owned(self) -> bool:
        """Whether this process does."""

    @property
    def holder(self) -> str:
        """Who did when it was last looked at."""


class Known(Protocol):
    """What the ledger knows, such as ``Ledger``."""

    @property
    def standing(self) -> Standing:
        """All of it, in memory."""


class Refused(Protocol):
    """What preflights refused lately, such as ``Refusals``."""

    def current(self) -> dict[Subject, Refusal]:
        """By whom."""


class Busy(Protocol):
    """What is being done here, such as ``Remediator``."""

    @property
    def busy(self) -> dict[str, str]:
        """By what it locks, the remedy."""

    @property
    def refusals(self) -> Refused:
        """What was not begun."""


class Surroundings:
    """The ledger's facts, the clocks, and what each target is known by. Used from one loop."""

    def __init__(
        self,
        *,
        ledger: Known,
        remediator: Busy,
        ownership: Owner,
        alarms: Callable[[], Alarms | None] = lambda: None,
        boot: Callable[[], float] = boot_seconds,
    ) -> None:
        self._ledger = ledger
        self._remediator = remediator
        self._ownership = ownership
        self._alarms = alarms
        self._boot = boot
        self._clock = ClockWatch()
        self._suspicion: Suspicion | None = None
        self._identities = Identities()
        self._health = FleetHealth()
        self._relapses = Relapses(ledger.standing)
        self._waiting: dict[str, dict[Subject, Waiting]] = {}

    @property
    def suspicion(self) -> Suspicion | None:
        """Why the wall clock is not to be trusted now, as of the last round."""
        return self._suspicion

    @property
    def owned(self) -> bool:
        """Whether this process acts, or stands by."""
        return self._ownership.owned

    def configure(self, policies: tuple[Policy, ...], targets: tuple[Target, ...]) -> None:
        """Take over what is configured now."""
        self._health.configure(policies, targets)

    def look(
        self, target: Target, remedies: Mapping[str, Remedy], report: Report, *, now: datetime
    ) -> None:
        """Look at the clocks, what the target is, and what broke again: before ``world``."""
        self._look_at_the_clocks(now)
        self._identities.look(target.name, report, self._known(target.name), now=now)
        self._relapses.look(target, report, remedies, self._health.policies, now=now)

    def scene(
        self, target: Target, report: Report, *, max_mode: Mode, ledger_ok: bool, now: datetime
    ) -> tuple[Findings, World]:
        """All that policies decide about a target on; it changes nothing here."""
        findings = derive(report, target, now=now, tally=self.tally(target.name))
        return findings, self.world(target.name, max_mode=max_mode, ledger_ok=ledger_ok, now=now)

    def world(self, target: str, *, max_mode: Mode, ledger_ok: bool, now: datetime) -> World:
        """Everything that a gate may ask about a target now."""
        standing = self._ledger.standing
        manual = standing.last_manual(target)
        return World(
            ledger_ok=ledger_ok,
            max_mode=max_mode,
            open_operations=self._open(target),
            waiting=self.waiting(target),
            refusals=self._remediator.refusals.current(),
            usage=self._usage,
            proposal=lambda subject: self._proposal(subject, now),
            owned=self._ownership.owned,
            holder=self._ownership.holder,
            pauses=standing.orders.pauses,
            manual=None if manual is None else LastManual(manual.at, manual.actor, manual.remedy),
            clock=self._suspicion,
            identity=self._identities.change(target),
            others=lambda policy: self._health.others(policy, target, now=now),
            failures=self._relapses.failures,
            failures_of=self._relapses.failures_of,
            alarms=self._alarms(),
        )

    def tally(self, target: str) -> Tally:
        """How often each key was recovered and each invocation resumed or restarted."""
        counts = self._ledger.standing.item_counts
        return Tally(**{name: counts(target, remedy) for name, remedy in COUNTED.items()})

    def decided(self, target: Target, decisions: tuple[Decision, ...], *, now: datetime) -> None:
        """Keep what this target's next round and those of all others need of this one."""
        self._waiting[target.name] = waiting_of(decisions)
        affected = (d.subject.policy for d in decisions if d.result is not Result.CLEAR)
        self._health.note(target, affected, now=now)

    def waiting(self, target: str) -> Mapping[Subject, Waiting]:
        """How long each condition on the target has been true, as of its last round."""
        return self._waiting.get(target, {})

    def go_on(self, target: str, waiting: Mapping[Subject, Waiting]) -> None:
        """Take over what was remembered before a target's next round, as ``waiting`` told it."""
        self._waiting[target] = dict(waiting)

    def memory(self) -> Memory:
        """What is remembered of all targets together."""
        affected, good_until = self._health.remembered()
        identities, changed = self._identities.remembered()
        return Memory(affected, good_until, identities, changed, self._suspicion)

    def recall(self, memory: Memory, *, now: datetime, as_then: bool = True) -> None:
        """Remember what ``memory`` told. Without ``as_then`` other policies decide now."""
        self._health.recall(memory.affected if as_then else None, memory.good_until)
        self._identities.recall(memory.identities, memory.changed)
        if memory.clock is not None:
            self._clock.recall(memory.clock, now, self._boot())

    def boot_offset(self, now: datetime) -> timedelta:
        """By how much the wall clock is ahead of the clock that nobody sets."""
        return (now - _EPOCH) - timedelta(seconds=self._boot())

    def storms(self, now: datetime) -> dict[str, tuple[int, int]]:
        """By policy: how many targets are affected, and how many may be."""
        counts = self._health.counts(now)
        return {
            policy.name: (counts[policy.name][0], policy.storm.allowed(counts[policy.name][1]))
            for policy in self._health.policies
            if HoldReason.STORM not in policy.waives
        }

    def news(self, target: str) -> Identity | None:
        """What the ledger should know a target by from now on, if that is something new."""
        return self._identities.news(target, self._known(target))

    def relapses(self, target: str) -> tuple[Relapse, ...]:
        """What of earlier successes did not last, and the ledger should know."""
        return self._relapses.pending(target)

    def forget(self, target: str) -> None:
        """Drop what is remembered of a target that is no longer configured."""
        self._waiting.pop(target, None)
        self._identities.forget(target)
        self._health.forget(target)
        self._relapses.forget(target)

    def _look_at_the_clocks(self, now: datetime) -> None:
        before = self._clock.jumps
        self._suspicion = self._clock.look(now, self._boot())
        if self._suspicion is not None and self._clock.jumps != before:
            # Nobody knows any more how long a condition has been true.
            self._waiting.clear()
            _log.warning("clock.jumped", detail=self._suspicion.sentence)

    def _known(self, target: str) -> Identity | None:
        return self._ledger.standing.orders.identities.get(target)

    def _open(self, target: str) -> dict[str, OpenOperation]:
        """What is open by what it locks: in the ledger, or here before or without a row there."""
        running = self._remediator.busy.items()
        here = {lock: OpenOperation("preflight", remedy) for lock, remedy in running}
        found = self._ledger.standing.open_on(target)
        return here | ({target: OpenOperation(found.id, found.remedy)} if found else {})

    def _proposal(self, subject: Subject, now: datetime) -> Proposal | None:
        standing = self._ledger.standing
        where = subject.policy, subject.target, subject.item
        found = standing.proposal(*where)
        if found is not None and found.lease_until is not None and now < found.lease_until:
            if found.approved_by is not None:
                return Proposal(found.id, f"{found.approved_by} approved it", approved=True)
            until = found.lease_until.strftime("%H:%M:%SZ")
            return Proposal(found.id, f"until {until}: restate-medic approve {found.id}")
        no = standing.rejection(*where)
        if no is None:
            return None
        detail = f"{no.sentence} ({no.operation_id}); proposed again once it has been well"
        return Proposal(no.operation_id, detail)

    def _usage(
        self, policy: str, target: str, remedy: str, items: tuple[str, ...], mode: Mode
    ) -> Usage:
        return self._ledger.standing.usage(
            target=target, remedy=remedy, policy=policy, items=items, mode=mode
        )
