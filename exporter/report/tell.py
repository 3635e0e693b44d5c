"""Makes the report's body from what the ledger knows of a period. Pure, and free of secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from exporter.ledger.period import Period
from exporter.model.decision import Subject
from exporter.model.hold import HoldReason
from exporter.model.operation import HELPED, Operation, Outcome, Phase
from exporter.model.orders import OpenBreaker, Pause
from exporter.model.redact import redact_text
from exporter.report.gaps import gaps
from exporter.report.spans import Held, Trouble, Word, holds, troubles, words
from exporter.report.verdict import verdict
from exporter.wire.body import moment, timestamp
from exporter.wire.explain_words import when_text
from exporter.wire.report import (
    DeedBody,
    GapBody,
    HealBody,
    HeldBody,
    ProposalBody,
    ReportBody,
    RestBody,
    StoppedBody,
    StrangerBody,
    WaitingBody,
    WrongBody,
)

_NAMED = 5
_SOON = timedelta(days=1)
_BAD = (
    Outcome.INTERRUPTED,
    Outcome.INDETERMINATE,
    Outcome.UNVERIFIED,
    Outcome.FAILED,
    Outcome.PARTIAL,
)
"""What somebody should look at, worst first; after them, what did not last."""
_NOT_DONE = frozenset({Outcome.REFUSED, Outcome.EXPIRED, Outcome.WITHDRAWN, Outcome.REJECTED})


@dataclass(frozen=True, slots=True)
class Known:
    """What the configuration adds to the ledger."""

    targets: tuple[str, ...]
    breakers: tuple[OpenBreaker, ...] | None = ()
    """None: the policies cannot be loaded now, so nobody knows."""
    unjudged: tuple[str, ...] = ()
    """Targets that no policy looks at."""


def tell(period: Period, known: Known, *, now: datetime) -> ReportBody:
    """The report about a period that ends now."""
    told = words((*period.before, *period.decisions))
    wrong = sorted(troubles(told), key=lambda t: (t.since, str(t.subject)))
    deeds = [_deed(operation, period) for operation in period.operations]
    open_plans = [o for o in period.operations if o.phase is Phase.PROPOSED]
    done = [d for d in deeds if _was_done(d)]
    waiting = WaitingBody(
        proposals=tuple(_proposal(o) for o in open_plans if o.approved_by is None),
        breakers=None if known.breakers is None else tuple(map(_stopped, known.breakers)),
        pauses=tuple(_rest(p) for p in period.pauses if _ends_soon(p, now)),
        identities=tuple(_strangers(told)),
    )
    first = period.first_entry_at
    body = ReportBody(
        verdict="",
        since=timestamp(period.since),
        until=timestamp(now),
        knows_since=timestamp(max(first, period.since)) if first else None,
        notes=tuple(_notes(period, known)),
        targets=known.targets,
        unjudged=known.unjudged,
        unattended=tuple(
            GapBody(since=moment(gap.since), until=moment(gap.until)) for gap in gaps(period, now)
        ),
        attention=tuple(sorted(filter(_needs_a_look, done), key=_urgency)),
        waiting=waiting,
        wrong=tuple(_wrong(trouble, now) for trouble in wrong),
        done=tuple(done),
        rehearsed=tuple(d for d in deeds if d.outcome is Outcome.OBSERVED),
        not_done=tuple(d for d in deeds if d.outcome in _NOT_DONE),
        held=tuple(map(_held, holds(told, period.since, now))),
        accepted=tuple(
            StrangerBody(
                target=target,
                detail="",
                since=timestamp(at),
                accepted_at=timestamp(at),
                accepted_by=redact_text(who),
            )
            for at, target, who in period.accepted
        ),
        heal=_heal(done),
    )
    return body.model_copy(update={"verdict": verdict(body)})


def _notes(period: Period, known: Known) -> Iterable[str]:
    if period.first_entry_at is None:
        yield "The ledger is empty: nothing was ever recorded in it."
    elif period.first_entry_at > period.since:
        first = when_text(timestamp(period.first_entry_at))
        yield f"The ledger knows nothing of the time before {first}."
    if period.cut:
        yield "More happened than fits: the oldest decisions or operations are left out."
    if known.unjudged:
        names = ", ".join(known.unjudged[:_NAMED])
        more = len(known.unjudged) - _NAMED
        names += f" and {more} more" if more > 0 else ""
        yield f"No policy looks at {names}: what was wrong there is not in here."
    if known.breakers is None:
        yield "The policies cannot be loaded now, so nobody knows which breakers are open."


def _deed(operation: Operation, period: Period) -> DeedBody:
    healed = operation.outcome in HELPED and not operation.error and operation.policy
    since = period.true_since.get(operation.id)
    seconds = None
    if healed and since is not None and operation.finished_at is not None:
        seconds = (operation.finished_at - since).total_seconds()
    return DeedBody(
        id=operation.id,
        target=operation.target,
        remedy=operation.remedy,
        policy=operation.policy.name if operation.policy else None,
        by=redact_text(operation.actor),
        approved_by=operation.approved_by and redact_text(operation.approved_by),
        phase=operation.phase,
        outcome=operation.outcome,
        summary=redact_text(operation.summary or operation.reason),
        items=len(operation.items),
        begun_at=timestamp(operation.created_at),
        finished_at=moment(operation.finished_at),
        heal_seconds=seconds,
        relapsed_at=moment(operation.relapsed_at),
        error=operation.error and redact_text(operation.error),
    )


def _was_done(deed: DeedBody) -> bool:
    """Whether it reached for the target, or still may; a plan that waits is told elsewhere."""
    rehearsed = deed.outcome is Outcome.OBSERVED
    waits = deed.phase is Phase.PROPOSED
    return not rehearsed and not waits and deed.outcome not in _NOT_DONE


def _needs_a_look(deed: DeedBody) -> bool:
    return deed.outcome in _BAD or deed.relapsed_at is not None


def _urgency(deed: DeedBody) -> int:
    return _BAD.index(deed.outcome) if deed.outcome in _BAD else len(_BAD)


def _wrong(trouble: Trouble, now: datetime) -> WrongBody:
    item = trouble.subject.item
    return WrongBody(
        target=trouble.subject.target,
        policy=trouble.subject.policy,
        item=item and redact_text(item),
        known=trouble.known,
        since=timestamp(trouble.since),
        until=moment(trouble.until),
        seconds=max(0.0, ((trouble.until or now) - trouble.since).total_seconds()),
    )


def _held(held: Held) -> HeldBody:
    item = held.subject.item
    return HeldBody(
        target=held.subject.target,
        policy=held.subject.policy,
        item=item and redact_text(item),
        reason=held.reason,
        detail=redact_text(held.detail),
        times=held.times,
        seconds=held.total.total_seconds(),
        holds_now=held.now,
    )


def _proposal(operation: Operation) -> ProposalBody:
    return ProposalBody(
        id=operation.id,
        target=operation.target,
        policy=operation.policy.name if operation.policy else None,
        summary=redact_text(operation.summary),
        since=timestamp(operation.created_at),
        expires_at=moment(operation.lease_until),
    )


def _stopped(breaker: OpenBreaker) -> StoppedBody:
    return StoppedBody(
        breaker=str(breaker.name),
        policy=breaker.policy,
        target=breaker.target,
        remedy=breaker.remedy,
        why=redact_text(breaker.why),
        until=moment(breaker.until),
    )


def _ends_soon(pause: Pause, now: datetime) -> bool:
    ends = pause.expires_at
    return pause.in_force(now) and (ends is None or ends - now <= _SOON)


def _rest(pause: Pause) -> RestBody:
    return RestBody(
        id=pause.id,
        what=pause.what,
        owner=redact_text(pause.owner),
        reason=redact_text(pause.reason),
        expires_at=moment(pause.expires_at),
    )


def _strangers(told: Mapping[Subject, Sequence[Word]]) -> Iterable[StrangerBody]:
    """Of each target, the first policy that its identity holds now."""
    found: dict[str, Word] = {}
    for mine in told.values():
        last = mine[-1]
        if last.record.reason == HoldReason.IDENTITY_CHANGED:
            target = last.record.subject.target
            if target not in found or last.record.at < found[target].record.at:
                found[target] = last
    for target, word in sorted(found.items()):
        yield StrangerBody(
            target=target,
            detail=redact_text(word.record.detail),
            since=timestamp(word.record.at),
            accepted_at=None,
            accepted_by=None,
        )


def _heal(done: Iterable[DeedBody]) -> HealBody | None:
    timed = [(d.heal_seconds, d.id) for d in done if d.heal_seconds is not None]
    if not timed:
        return None
    seconds, name = max(timed)
    return HealBody(
        count=len(timed),
        median_seconds=median(one for one, _ in timed),
        worst_seconds=seconds,
        worst=name,
    )
