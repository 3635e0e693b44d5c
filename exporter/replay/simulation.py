"""What policies would have done on recorded rounds: their operations on paper, in a real ledger.

Deciding, gates and limits are the daemon's own. What cannot be known is assumed, and told: that
each preflight would have found nothing against it, and that the repair helped, or that it did not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.model.decision import Decision, Mode, Subject
from exporter.model.errors import LimitReachedError
from exporter.model.operation import Operation, Outcome, Phase, Plan, Request
from exporter.policy.approval import rulings
from exporter.policy.policy import Policy
from exporter.policy.sight import still_wrong
from exporter.policy.submit import first_acts, plain, to_request, together
from exporter.policy.world import Refusal
from exporter.replay.player import Round

_OWNER = "replay"
_LEASE = timedelta(days=36_500)
"""Nobody else could take it over."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What would have been begun, or how it would have ended."""

    at: datetime
    policy: str
    target: str
    items: tuple[str, ...]
    remedy: str
    mode: Mode
    """``observe`` rehearses, ``approve`` proposes."""
    operation: str
    outcome: Outcome | None = None
    """None: it begins."""
    detail: str = ""


@dataclass(slots=True)
class _Open:
    operation: Operation
    policy: Policy
    subjects: tuple[Subject, ...]
    since: datetime
    healthy_since: datetime | None = None


class Simulation:
    """Carries out on paper what is decided.

    ``helps``: every repair does, until what called for it was over in the record, and comes again.
    """

    def __init__(self, scratch: Engine, *, helps: bool) -> None:
        self.standing = Standing()
        self.busy: dict[str, str] = {}
        """Nothing takes time before it is reserved."""
        self._scratch = scratch
        self._store = Store(scratch)
        self._helps = helps
        self._mended: defaultdict[str, set[Subject]] = defaultdict(set)
        self._open: dict[str, _Open] = {}
        self.learn()

    @property
    def refusals(self) -> Simulation:
        """Itself: no preflight is asked, so none refuses."""
        return self

    def current(self) -> dict[Subject, Refusal]:
        """What was refused: nothing."""
        return {}

    def learn(self) -> None:
        """Take in what was written to the ledger."""
        self.standing.apply(self.standing.fetch(self._scratch))

    def presumed(self, target: str) -> frozenset[Subject]:
        """Who counts as mended although the record shows no repair."""
        return frozenset(self._mended[target])

    def follow(self, played: Round) -> tuple[Deed, ...]:
        """What follows from a round: what ends with it, then what is begun."""
        name = played.target.name
        policies = {policy.name: policy for policy in played.policies}
        self._mended[name] = {
            s
            for s in self._mended[name]
            if s.policy in policies and still_wrong(policies[s.policy], played.findings, s.item)
        }
        deeds = [*self._expired(played, policies), *self._ended(played)]
        for decision in first_acts(played.decisions, policies):
            deeds += self._begin(decision, policies[decision.subject.policy], played)
        if deeds:
            self.learn()
        return tuple(deeds)

    def _begin(self, decision: Decision, policy: Policy, played: Round) -> Iterator[Deed]:
        rest = together(decision, played.decisions, policy)
        request = to_request(decision, policy, played.findings, rest)
        about = ", ".join(request.items) or request.target
        plan = Plan(
            remedy=request.remedy,
            target=request.target,
            summary=f"{request.remedy} on {about}",
            arguments=plain(request.arguments),
            items=request.items,
        )
        try:
            operation = self._reserved(request, plan, played.at)
        except LimitReachedError:
            return  # the gates name it in the next round
        yield _deed(operation, played.at)
        subjects = tuple(one.subject for one in rest)
        if request.mode is Mode.ENFORCE and policy.mends:
            self._open[request.target] = _Open(operation, policy, subjects, played.at)
            if self._helps:
                self._mended[request.target] |= set(subjects)
        elif request.mode is Mode.ENFORCE:
            yield self._finish(operation, Outcome.VERIFIED, played.at)

    def _reserved(self, request: Request, plan: Plan, now: datetime) -> Operation:
        if request.mode is Mode.OBSERVE:
            return self._store.rehearse(request, plan, now=now)
        if request.mode is Mode.APPROVE:
            return self._store.propose(request, plan, owner=_OWNER, now=now)
        operation = self._store.reserve(request, plan, owner=_OWNER, lease=_LEASE, now=now)
        return self._store.advance(operation.id, Phase.ACTING, owner=_OWNER, lease=_LEASE, now=now)

    def _ended(self, played: Round) -> Iterator[Deed]:
        found = self._open.get(played.target.name)
        if found is None:
            return
        outcome = self._judged(found, played)
        if outcome is not None:
            del self._open[played.target.name]
            yield self._finish(found.operation, outcome, played.at)

    def _judged(self, found: _Open, played: Round) -> Outcome | None:
        """How an operation ends now: as is assumed, or as the record shows."""
        verify, now = found.policy.verify, played.at
        if self._helps:
            return Outcome.VERIFIED if now - found.since >= verify.healthy_for else None
        begun = played.report.begun_since
        fresh = all(begun(one, found.since) for one in found.policy.condition.components)
        wrong = any(still_wrong(found.policy, played.findings, s.item) for s in found.subjects)
        if wrong or not fresh:
            found.healthy_since = None
        elif found.healthy_since is None:
            found.healthy_since = now
        if found.healthy_since is not None and now - found.healthy_since >= verify.healthy_for:
            return Outcome.VERIFIED
        return Outcome.UNVERIFIED if now - found.since >= verify.within else None

    def _finish(self, operation: Operation, outcome: Outcome, now: datetime) -> Deed:
        closed = self._store.finish(operation.id, outcome, owner=_OWNER, now=now)
        return _deed(closed, now)

    def _expired(self, played: Round, policies: Mapping[str, Policy]) -> Iterator[Deed]:
        """Plans that nobody approved in time, or whose condition has cleared."""
        waiting = [p for p in self.standing.proposals if p.target == played.target.name]
        if any(p.lease_until is not None and p.lease_until <= played.at for p in waiting):
            for closed in self._store.expire(played.at):
                yield _deed(closed, played.at)
        for over in rulings(waiting, played.decisions, policies, now=played.at):
            ended = self._store.end_proposal(
                over.operation_id, over.outcome, why=over.why, now=played.at
            )
            if ended is not None:
                yield _deed(ended, played.at)


def _deed(operation: Operation, at: datetime) -> Deed:
    outcome = None if operation.outcome is Outcome.OBSERVED else operation.outcome
    return Deed(
        at=at,
        policy=operation.policy.name if operation.policy else "",
        target=operation.target,
        items=operation.items,
        remedy=operation.remedy,
        mode=operation.mode,
        operation=operation.id,
        outcome=outcome,
        detail=operation.error or "",
    )
