"""A scratch ledger that is told the entries of another one stands where that stood, at each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from exporter.ledger.chain import Entry, verify
from exporter.ledger.echo import Echo, scratch_ledger
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.ledger.tables import entries
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.errors import MedicError
from exporter.model.identity import Identity
from exporter.model.operation import ActResult, ItemOutcome, Operation, Outcome, Phase, Request
from exporter.model.orders import BreakerName
from exporter.model.relapse import Relapse
from tests.contract.ledger.making import LEASE, REMEDY, at, by_person, by_policy, plan_for

OTHER = "resume-invocations"
ITEMS = ("inv_1", "inv_2", "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl")
TARGETS = ("prod", "staging")
POLICIES = ("heal", "other")


def answers(standing: Standing) -> dict[object, Any]:
    """All that gates and rounds ask, of everything there is here."""
    found: dict[object, Any] = {
        "open": {t: (one.id, one.remedy, one.phase) for t, one in standing.open.items()},
        "proposals": [(one.id, one.lease_until, one.approved_by) for one in standing.proposals],
        "orders": standing.orders,
        "people": {target: standing.last_manual(target) for target in TARGETS},
    }
    for policy in POLICIES:
        found["failures of", policy] = sorted(standing.failures_of(policy), key=repr)
    for target in TARGETS:
        for remedy in (REMEDY, OTHER):
            counts = standing.item_counts(target, remedy)
            found["counts", target, remedy] = {i: counts.get(i) for i in ITEMS if i in counts}
            found["failures", target, remedy] = sorted(standing.failures(target, remedy), key=repr)
            found["helped", target, remedy] = [standing.helped(target, remedy, i) for i in ITEMS]
            for policy in POLICIES:
                found["usage", target, remedy, policy] = [
                    standing.usage(
                        target=target, remedy=remedy, policy=policy, items=ITEMS, mode=mode
                    )
                    for mode in (Mode.OBSERVE, Mode.ENFORCE)
                ]
        for policy in POLICIES:
            for item in (None, *ITEMS):
                no = standing.rejection(policy, target, item)
                plan = standing.proposal(policy, target, item)
                found["asked", target, policy, item] = no, plan and plan.id
    return found


@dataclass
class Life:
    """A ledger to which things happen, a few seconds apart."""

    store: Store
    now: float = 0
    made: list[Operation] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)

    def happen(self, what: str, number: int) -> None:
        """Let one thing happen, if it can now; what is refused is part of a life."""
        self.now += 1 + number * 7
        with suppress(MedicError, ValueError):
            _HAPPENINGS[what](self, number)

    def request(self, number: int) -> Request:
        target, policy = TARGETS[number % 2], POLICIES[number // 2 % 2]
        remedy = (REMEDY, OTHER)[number // 4 % 2]
        items = ITEMS[: number % (len(ITEMS) + 1)]
        return by_policy(target, policy=policy, remedy=remedy, items=items)

    def take(self, operation: Operation, request: Request) -> None:
        self.made.append(operation)
        self.requests[operation.id] = request

    def some(self, number: int) -> Operation:
        if not self.made:
            raise ValueError("nothing was made yet")
        return self.made[-1 - number % min(len(self.made), 3)]

    def running(self, number: int) -> Operation:
        """One that was begun: what waits for a person cannot be carried on."""
        one = self.some(number)
        if any(waits.id == one.id for waits in self.store.operations(phase=Phase.PROPOSED)):
            raise ValueError("it waits")
        return one

    def reserve(self, number: int) -> None:
        request = self.request(number)
        args = {"owner": "one", "lease": LEASE, "now": at(self.now)}
        self.take(self.store.reserve(request, plan_for(request), **args), request)  # type: ignore[arg-type]

    def person(self, number: int) -> None:
        request = replace(by_person(TARGETS[number % 2]), items=ITEMS[: number % 2])
        args = {"owner": "one", "lease": LEASE, "now": at(self.now)}
        self.take(self.store.reserve(request, plan_for(request), **args), request)  # type: ignore[arg-type]

    def rehearse(self, number: int) -> None:
        request = replace(self.request(number), mode=Mode.OBSERVE)
        self.take(self.store.rehearse(request, plan_for(request), now=at(self.now)), request)

    def propose(self, number: int) -> None:
        request = replace(self.request(number), mode=Mode.APPROVE)
        plan = plan_for(request)
        self.take(self.store.propose(request, plan, owner="one", now=at(self.now)), request)

    def carry_out(self, number: int) -> None:
        plan = self.some(number)
        request = replace(self.requests[plan.id], proposal=plan.id)
        args = {"owner": "one", "lease": LEASE, "now": at(self.now)}
        self.store.reserve(request, plan_for(request), **args)  # type: ignore[arg-type]

    def act(self, number: int) -> None:
        one = self.running(number)
        self.store.advance(one.id, Phase.ACTING, owner="one", lease=LEASE, now=at(self.now))

    def item(self, number: int) -> None:
        one = self.running(number)
        done = ItemOutcome(ITEMS[number % 3], ("done", "skipped", "failed")[number % 3])
        self.store.note_item(one.id, done, owner="one", now=at(self.now))

    def acted(self, number: int) -> None:
        one = self.running(number)
        items = tuple(ItemOutcome(i, "done" if number % 2 else "failed") for i in one.items)
        result = ActResult(after={"n": number}, items=items)
        self.store.mark_acted(one.id, result, owner="one", lease=LEASE, now=at(self.now))

    def finish(self, number: int) -> None:
        ends = (
            *(Outcome.VERIFIED, Outcome.UNVERIFIED, Outcome.FAILED, Outcome.PARTIAL),
            *(Outcome.REFUSED, Outcome.INDETERMINATE, Outcome.NOTHING_TO_DO),
        )
        one = self.running(number)
        self.store.finish(one.id, ends[number % len(ends)], owner="one", now=at(self.now))

    def relapse(self, number: int) -> None:
        one = self.some(number)
        policy = one.policy.name if one.policy else ""
        seen = Relapse(one.id, one.target, one.remedy, policy, one.items, at(self.now))
        self.store.note_relapse(seen, now=at(self.now))

    def decided(self, number: int) -> None:
        target, policy = TARGETS[number % 2], POLICIES[number // 2 % 2]
        subject = Subject(policy, target, (None, *ITEMS)[number % 4])
        result = Result.CLEAR if number % 3 else Result.ACT
        self.store.note_changes([Decision(subject, result)], now=at(self.now))

    def pause(self, number: int) -> None:
        until = at(self.now + 60) if number % 2 else None
        how = {"owner": "mira", "reason": "x", "now": at(self.now), "expires_at": until}
        self.store.pause("target", TARGETS[number % 2], **how)  # type: ignore[arg-type]

    def unpause(self, number: int) -> None:
        ids = [pause.id for pause in self.store.pauses()][: 1 + number % 2]
        self.store.unpause(ids, actor="mira", now=at(self.now))

    def sweep(self, _number: int) -> None:
        self.now += 2 * LEASE.total_seconds()
        self.store.sweep(at(self.now))
        self.store.take_over(owner="one", lease=LEASE, now=at(self.now))


_HAPPENINGS: dict[str, Callable[[Life, int], object]] = {
    "reserve": Life.reserve,
    "person": Life.person,
    "rehearse": Life.rehearse,
    "propose": Life.propose,
    "approve": lambda it, n: it.store.approve(
        it.some(n).id, actor="mira", reason="", now=at(it.now)
    ),
    "reject": lambda it, n: it.store.reject(
        it.some(n).id, actor="mira", reason="no", now=at(it.now)
    ),
    "carry out": Life.carry_out,
    "withdraw": lambda it, n: it.store.end_proposal(
        it.some(n).id, Outcome.WITHDRAWN, why="gone", now=at(it.now)
    ),
    "expire": lambda it, _n: it.store.expire(at(it.now)),
    "refuse": lambda it, n: it.store.refuse(
        it.request(n), reason="unstable", message="it changed", now=at(it.now)
    ),
    "act": Life.act,
    "item": Life.item,
    "acted": Life.acted,
    "finish": Life.finish,
    "relapse": Life.relapse,
    "decided": Life.decided,
    "pause": Life.pause,
    "unpause": Life.unpause,
    "reset": lambda it, n: it.store.reset_breaker(
        BreakerName(TARGETS[n % 2], (REMEDY, OTHER)[n // 2 % 2], POLICIES[n // 4 % 2]),
        actor="mira",
        reason="looked",
        now=at(it.now),
    ),
    "identity": lambda it, n: it.store.note_identity(
        TARGETS[n % 2], Identity("c", frozenset({f"dp_{n}"})), now=at(it.now)
    ),
    "sweep": Life.sweep,
    "an hour": lambda it, n: setattr(it, "now", it.now + 3_600 * (1 + n % 2)),
}
_TYPICAL = ("reserve", "act", "item", "acted", "finish", "relapse")
_ASKED = ("propose", "approve", "carry out", "act", "acted", "finish")


def follow(life: list[tuple[str, int]], source: Engine, scratch: Engine) -> None:
    """Live it, and after each entry compare what both know."""
    lived = Life(Store(source))
    real, told, echo = Standing(), Standing(), Echo(source, scratch)
    for what, number in life:
        lived.happen(what, number)
        real.apply(real.fetch(source))
        assert echo.advance(real.seq) == (max(told.seq, 0) < real.seq)
        told.apply(told.fetch(scratch))
        assert answers(told) == answers(real), what
    whole, again = Standing(), Standing()
    whole.apply(whole.fetch(source))
    again.apply(again.fetch(scratch))
    assert answers(again) == answers(whole)
    copy = Store(scratch)
    assert verify(copy.chain(), copy.head()) is None


numbers = st.integers(0, 11)
lives = st.lists(
    st.tuples(st.sampled_from(sorted(_HAPPENINGS)), numbers).map(lambda one: [one])
    | numbers.map(lambda n: [(what, n) for what in _TYPICAL])
    | numbers.map(lambda n: [(what, 0 if i else n) for i, what in enumerate(_ASKED)]),
    max_size=8,
).map(lambda parts: [one for part in parts for one in part])


@given(lives)
@settings(max_examples=30)
def test_it_stands_where_the_other_stood_after_each_entry(life: list[tuple[str, int]]) -> None:
    """Whatever happened: repairs, rehearsals, plans with every answer, items, relapses, orders."""
    with scratch_ledger() as source, scratch_ledger() as scratch:
        follow(life, source, scratch)


def test_a_life_with_everything_in_it(engine: Engine) -> None:
    """Each kind of happening at least once, from either kind of database."""
    parts = [(what, n) for n in range(3) for what in (*_TYPICAL, *_ASKED, *_HAPPENINGS)]
    with scratch_ledger() as scratch:
        follow(parts, engine, scratch)
        with engine.connect() as connection:
            kinds = set(connection.scalars(select(entries.c.kind)))
    assert {"reserved", "proposed", "approved", "paused", "unpaused", "decision"} <= kinds


def test_any_moment_of_the_past_is_told_alone(engine: Engine) -> None:
    """A replay begins in the middle: told at once up to there, it knows what was known there."""
    lived, then = Life(Store(engine)), []
    for what in (*_TYPICAL, *_ASKED, "pause", "decided", "sweep"):
        lived.happen(what, 1)
        standing = Standing()
        standing.apply(standing.fetch(engine))
        then.append((standing.seq, answers(standing)))
    for seq, known in then:
        with scratch_ledger() as scratch:
            Echo(engine, scratch).advance(seq)
            told = Standing()
            told.apply(told.fetch(scratch))
            assert answers(told) == known


def test_what_is_left_out_is_as_if_it_never_was(engine: Engine) -> None:
    """An operation is told with all of its entries or with none, and more can be written."""
    lived = Life(Store(engine))
    for what in (*_TYPICAL, "person", "act", "acted", "finish", "pause"):
        lived.happen(what, 0)

    def by_people(entry: Entry) -> bool:
        return entry.kind in {"paused", "unpaused"} or entry.data.get("source") == "cli"

    with scratch_ledger() as scratch:
        echo = Echo(engine, scratch, tells=by_people)
        echo.advance(Store(engine).head().seq)
        copy = Store(scratch)
        assert [one.source for one in copy.operations()] == ["cli"]
        request = by_policy("elsewhere")
        copy.reserve(request, plan_for(request), owner="x", lease=timedelta(1), now=at(9_000))
        lived.happen("unpause", 1)
        lived.happen("pause", 1)
        assert echo.advance(Store(engine).head().seq)
        assert verify(copy.chain(), copy.head()) is None
        standing = Standing()
        standing.apply(standing.fetch(scratch))
        assert set(standing.open) == {"elsewhere"}
        assert len(copy.pauses()) == 1
