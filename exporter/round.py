"""One round of one target: probe, merge, derive, decide, render, record, submit.

The whole data flow of restate-medic in one place. A round never waits for a remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result
from exporter.model.errors import StoppedError
from exporter.model.findings import Findings
from exporter.model.hold import HoldReason
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.noting import Notes
from exporter.policy.approval import rulings
from exporter.policy.changes import Changes
from exporter.policy.circumstances import breaker_is_open, forbidden
from exporter.policy.decide import decide
from exporter.policy.limits import remaining
from exporter.policy.policy import Policy
from exporter.policy.submit import first_acts, to_request, together
from exporter.policy.waiting import ENOUGH_READINGS
from exporter.policy.world import World
from exporter.remediate.verification import verification_of

if TYPE_CHECKING:
    from exporter.backends.backend import Backend
    from exporter.fleet import Fleet
    from exporter.history.recorder import Recorder
    from exporter.ledger.gateway import Ledger
    from exporter.metrics.instruments import Instruments
    from exporter.remediate.remediator import Remediator
    from exporter.surroundings import Surroundings

_log = structlog.get_logger(__name__)

OnDecided = Callable[[str, tuple[Decision, ...], datetime], None]


@dataclass(frozen=True, slots=True)
class Watched:
    """One target as configured now: its backend, the policies, and the most they may do."""

    backend: Backend
    policies: tuple[Policy, ...]
    max_mode: Mode
    targets: tuple[Target, ...]
    """Every target that is configured: too much wrong on all of them together is a storm."""
    in_force: Callable[[Policy | None], bool] = lambda _policy: True
    """Whether this backend, and this policy if one is given, are still what is configured."""


class Rounds:
    """Runs rounds, and remembers what the next one needs of the last."""

    def __init__(  # noqa: PLR0913 - whom it works with, and whom it tells
        self,
        *,
        fleet: Fleet,
        ledger: Ledger,
        remediator: Remediator,
        surroundings: Surroundings,
        instruments: Instruments,
        now: Callable[[], datetime],
        wake: Callable[[str, frozenset[Component]], None] = lambda _target, _components: None,
        recorder: Recorder | None = None,
        on_decided: OnDecided = lambda _target, _decisions, _at: None,
    ) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._remediator = remediator
        self._instruments = instruments
        self._surroundings = surroundings
        self._now = now
        self._wake = wake
        self._on_decided = on_decided
        self._recorder = recorder
        self._changes = Changes()
        self._notes = Notes(
            ledger=ledger, remediator=remediator, surroundings=surroundings, instruments=instruments
        )
        self.accepting = True
        """False while the daemon stops: rounds go on, nothing new is started."""

    async def run(self, watched: Watched, due: Iterable[Component]) -> None:
        """Run one round: read what is due, decide, show, record, start at most one repair."""
        backend, target = watched.backend, watched.backend.target
        readings = await backend.probe(due)
        if not watched.in_force(None):
            return  # reloaded meanwhile: these readings are of another configuration
        if any(reading.reason is Reason.UNAUTHORIZED for reading in readings):
            backend.refresh_secrets()
        ledger_ok = await self._notes.available()
        if not watched.in_force(None):
            return
        now = self._now()
        before = self._fleet.report(target.name)
        report = self._fleet.merge(target, readings, now=now)
        self._surroundings.configure(watched.policies, watched.targets)
        self._surroundings.look(target, backend.remedies, report, now=now)
        findings, world = self._surroundings.scene(
            target, report, max_mode=watched.max_mode, ledger_ok=ledger_ok, now=now
        )
        self._keep(watched, before, report, world, now)
        decisions = decide(watched.policies, target, report, findings, world, now=now)
        self._surroundings.decided(target, decisions, now=now)
        self._instruments.storms(self._surroundings.storms(now))
        self._on_decided(target.name, decisions, now)
        self._instruments.target_owned(target.name, owned=world.owned)
        expires_at = backend.tokens().admin_expires_at  # after secrets were read again
        self._instruments.admin_token(target.name, expires_at=expires_at)
        if ledger_ok:
            self._show_limits(watched, world, now)
        self._instruments.round_ended(report, findings, decisions, readings, now=now)
        waiting = [p for p in self._ledger.standing.proposals if p.target == target.name]
        policies = {policy.name: policy for policy in watched.policies}
        ended = rulings(waiting, decisions, policies, now=now)
        gone = self._changes.gone(target.name, decisions)
        self._tell_changes(target.name, (*decisions, *gone))
        if ledger_ok and world.owned:
            await self._notes.write(target.name, (*decisions, *gone), ended, now=now)
        over = {ruling.operation_id for ruling in ended}
        self._submit(watched, findings, [d for d in decisions if d.proposal not in over])
        self._hasten(watched, decisions, now)

    def _keep(
        self, watched: Watched, before: Report, report: Report, world: World, now: datetime
    ) -> None:
        """Keep for history what the decisions rest on."""
        if self._recorder is not None:
            self._recorder.round(
                before,
                report,
                self._surroundings.waiting(report.target),
                world,
                policies=watched.policies,
                targets=watched.targets,
                boot_offset=self._surroundings.boot_offset(now),
                seq=self._ledger.standing.seq,
                noting=self._notes.earlier(report.target),
                memory=self._surroundings.memory,
                now=now,
            )

    def forget(self, target: str) -> None:
        """Drop what is remembered of a target that is no longer configured, or was changed."""
        if self._recorder is not None:
            self._recorder.forget(target)
        self._surroundings.forget(target)
        self._changes.forget(target)
        self._notes.forget(target)

    def _show_limits(self, watched: Watched, world: World, now: datetime) -> None:
        """What is left of each limit, and breakers, for policies that ever acted on the target."""
        name = watched.backend.target.name
        left: dict[tuple[str, str], int] = {}
        breakers: dict[str, bool] = {}
        for policy in watched.policies:
            if policy.matches(watched.backend.target):
                usage = world.usage(policy.name, name, policy.action, (), Mode.ENFORCE)
                if usage.target:
                    breakers[policy.name] = breaker_is_open(policy, name, world, now=now)
                    for scope, count in remaining(policy.budget, usage, now=now).items():
                        left[policy.name, scope] = count
        self._instruments.limits_left(name, left)
        self._instruments.breakers(name, breakers)

    def _tell_changes(self, target: str, decisions: tuple[Decision, ...]) -> None:
        """Log and count what changed since the last round; a policy that begins clear did not."""
        for d in self._changes.take(target, decisions):
            self._instruments.decision_changed(d.subject.policy, d.result, d.reason)
            _log.info(
                "decision.changed",
                policy=d.subject.policy,
                target=target,
                item=d.subject.item,
                result=str(d.result),
                reason=str(d.reason or ""),
                detail=d.detail,
            )
        self._remediator.refusals.forget(d.subject for d in decisions if d.result is Result.CLEAR)

    def _hasten(self, watched: Watched, decisions: tuple[Decision, ...], now: datetime) -> None:
        """Read again what a condition has waited for long enough but has seen only once.

        Otherwise the slowest component's interval would decide when to act, and not `for`.
        """
        policies = {p.name: p for p in watched.policies}
        late = frozenset(
            Component(name)
            for d in decisions
            if d.reason is HoldReason.PENDING and d.waiting is not None
            if now - d.waiting.since >= policies[d.subject.policy].for_
            for name, (_, count) in d.waiting.readings.items()
            if count < ENOUGH_READINGS
        )
        if late:
            self._wake(watched.backend.target.name, late)

    def _submit(self, watched: Watched, findings: Findings, decisions: Sequence[Decision]) -> None:
        if not self.accepting:
            return
        policies = {policy.name: policy for policy in watched.policies}
        for decision in first_acts(decisions, policies):
            policy = policies[decision.subject.policy]
            request = to_request(decision, policy, findings, together(decision, decisions, policy))
            approved = request.proposal is not None
            self._remediator.submit(
                decision.subject,
                request,
                watched.backend,
                verification_of(policy, decision.subject.item),
                still_wanted=partial(self._still_wanted, watched, policy),
                still_allowed=partial(self._still_allowed, watched, policy, approved=approved),
            )

    def _still_wanted(self, watched: Watched, policy: Policy) -> bool:
        return self.accepting and watched.in_force(policy)

    async def _still_allowed(self, watched: Watched, policy: Policy, *, approved: bool) -> None:
        """Ask again, right before a write, what may have changed since the policy decided."""
        await self._ledger.refresh()
        target, now = watched.backend.target, self._now()
        world = self._surroundings.world(
            target.name, max_mode=watched.max_mode, ledger_ok=True, now=now
        )
        verdict = forbidden(policy, target, world, now=now, approved=approved)
        if verdict is not None:
            raise StoppedError(str(verdict.gate), verdict.detail)
