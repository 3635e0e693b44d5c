"""Random schedules against a model that is too simple to be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, update

from exporter.ledger import tables
from exporter.ledger.chain import GENESIS, verify
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.errors import InFlightError, LeaseLostError, LimitReachedError
from exporter.model.operation import (
    ActResult,
    Budget,
    Operation,
    Outcome,
    Phase,
    Request,
    Usage,
    Window,
)
from exporter.policy.limits import exhausted, remaining
from tests.contract.ledger.making import at, by_person, by_policy, plan_for

Scope = Literal["item", "target", "policy", "global"]
LEASE = 10
WINDOWS: dict[str, list[tuple[Scope, int, int | None]]] = {
    "p": [("item", 2, None), ("target", 3, 60), ("policy", 4, 80), ("global", 5, 50)],
    "q": [("item", 1, 40), ("policy", 2, 30)],
}
COOLDOWN = {"p": 2, "q": 6}


def budget_of(policy: str) -> Budget:
    return Budget(
        timedelta(seconds=COOLDOWN[policy]),
        tuple(
            Window(scope, most, None if per is None else timedelta(seconds=per))
            for scope, most, per in WINDOWS[policy]
        ),
    )


@dataclass(frozen=True)
class Ask:
    """Somebody wants an operation. ``policy`` None is a person."""

    target: str
    remedy: str
    policy: str | None
    items: tuple[str, ...]
    rehearse: bool
    whole: bool
    """Done and finished in the same second."""

    @property
    def request(self) -> Request:
        if self.policy is None:
            return by_person(self.target, remedy=self.remedy)
        return by_policy(
            self.target,
            policy=self.policy,
            remedy=self.remedy,
            items=self.items,
            budget=budget_of(self.policy),
            mode=Mode.OBSERVE if self.rehearse else Mode.ENFORCE,
        )


@dataclass(frozen=True)
class Step:
    """Go on with the newest open operation, or let time pass, even backwards."""

    what: Literal["act", "acted", "verify", "renew", "finish", "refuse", "sweep", "take over"]


@dataclass
class Row:
    """An operation as the model sees it."""

    id: str
    ask: Ask
    start: int
    touched: int
    lease: int
    owner: str
    phase: str = "reserved"
    counts: bool = True

    @property
    def by_policy(self) -> bool:
        return self.ask.policy is not None


@dataclass
class Model:
    """Counts by going through everything that ever happened."""

    rows: list[Row] = field(default_factory=list)

    def holder(self, target: str) -> Row | None:
        rows = [r for r in self.rows if r.ask.target == target and r.phase != "closed"]
        assert len(rows) <= 1
        return rows[0] if rows else None

    def sweep(self, now: int, target: str | None = None) -> None:
        for row in self.rows:
            silent = row.phase in {"reserved", "acting"} and row.lease <= now
            if silent and target in {None, row.ask.target}:
                if row.phase == "acting":
                    row.touched = max(row.touched, row.lease)
                row.phase = "closed"

    def verdict(self, ask: Ask, now: int) -> str | None:
        """The word of the limit that refuses, ``in_flight``, or None."""
        if not ask.rehearse:
            self.sweep(now, ask.target)
            holder = self.holder(ask.target)
            if holder and holder.lease > now:
                return "in_flight"
            if holder:
                holder.phase = "closed"
        if ask.policy is None:
            return None
        last = self.last(ask)
        if last is not None and now - last < COOLDOWN[ask.policy]:
            return "cooldown"
        return next(
            (
                f"limit_{scope}"
                for scope, most, per in WINDOWS[ask.policy]
                for key in (ask.items if scope == "item" else ("",))
                if self._used(ask, scope, key, per, now) >= most
            ),
            None,
        )

    def last(self, ask: Ask) -> int | None:
        """When something may last have been written, or rehearsed, by this remedy here."""
        return max(
            (
                row.touched
                for row in self.rows
                if row.counts
                and (row.ask.target, row.ask.remedy) == (ask.target, ask.remedy)
                and (row.ask.rehearse == ask.rehearse or not row.by_policy)
            ),
            default=None,
        )

    def _used(self, ask: Ask, scope: Scope, key: str, per: int | None, now: int) -> int:
        def counts(row: Row) -> bool:
            if not row.by_policy or not row.counts or row.ask.rehearse != ask.rehearse:
                return False
            if per is not None and now - row.start >= per:
                return False
            here = (row.ask.target, row.ask.remedy) == (ask.target, ask.remedy)
            match scope:
                case "item":
                    return here and key in row.ask.items
                case "target":
                    return here
                case "policy":
                    return row.ask.policy == ask.policy
                case _:
                    return True

        return sum(map(counts, self.rows))


asks = st.builds(
    Ask,
    target=st.sampled_from("ab"),
    remedy=st.sampled_from("rrs"),
    policy=st.sampled_from(["p", "p", "q", None]),
    items=st.sets(st.sampled_from("xyz"), max_size=2).map(lambda s: tuple(sorted(s))),
    rehearse=st.integers(0, 3).map(lambda n: n == 3),
    whole=st.integers(0, 2).map(bool),
).map(lambda ask: ask if ask.policy else replace(ask, rehearse=False))
steps = st.builds(
    Step,
    what=st.sampled_from(
        [
            "act",
            "acted",
            "verify",
            "renew",
            "finish",
            "finish",
            "finish",
            "refuse",
            "sweep",
            "take over",
        ]
    ),
)
ticks = st.sampled_from([0, 1, 2, 3, 3, 5, 6, 6, 9, 10, 11, 25, 60, -5, -40])
"""Seconds that pass. The clock may be set back."""
schedules = st.lists(st.tuples(ticks, st.one_of(asks, steps)), min_size=30, max_size=50)


class Run:
    """One schedule on a real ledger and on the model, compared after each step."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = Store(engine)
        self.standing = Standing()
        self.model = Model()
        self.now = 1000

    def ask(self, ask: Ask) -> None:
        expected = self.model.verdict(ask, self.now)
        self.compare_standing(ask, expected)
        event(str(expected))
        if expected == "in_flight":
            with pytest.raises(InFlightError):
                self.open(ask)
            return
        if expected is not None:
            with pytest.raises(LimitReachedError) as caught:
                self.open(ask)
            assert caught.value.reason == expected
            return
        operation = self.open(ask)
        row = Row(operation.id, ask, self.now, self.now, self.now + LEASE, "one")
        if ask.rehearse:
            row.phase = "closed"
        self.model.rows.append(row)
        if ask.whole and not ask.rehearse:
            for what in ("act", "acted", "finish"):
                self.go_on(row, what)

    def open(self, ask: Ask) -> Operation:
        request, now = ask.request, at(self.now)
        if ask.rehearse:
            return self.store.rehearse(request, plan_for(request), now=now)
        lease = timedelta(seconds=LEASE)
        return self.store.reserve(request, plan_for(request), owner="one", lease=lease, now=now)

    def compare_standing(self, ask: Ask, expected: str | None) -> None:
        """What the gates would say from memory is what the transaction will say."""
        self.standing.apply(self.standing.fetch(self.engine))
        if ask.policy is None or expected == "in_flight":
            return
        request = ask.request
        usage = self.standing.usage(
            target=ask.target,
            remedy=ask.remedy,
            policy=ask.policy,
            items=ask.items,
            mode=request.mode,
        )
        assert request.budget is not None
        # A silent owner's row is closed by the transaction that reserves, so not yet.
        if self.standing.open_on(ask.target) is None:
            last = self.model.last(ask)
            assert usage.last == (None if last is None else at(last))
            found = exhausted(request.budget, usage, now=at(self.now), items=ask.items)
            assert (found and str(found.reason)) == expected
        self.compare_remaining(request.budget, usage, ask)

    def compare_remaining(self, budget: Budget, usage: Usage, ask: Ask) -> None:
        left = remaining(budget, usage, now=at(self.now))
        for scope, most, per in WINDOWS[ask.policy or ""]:
            if scope != "item":
                used = self.model._used(ask, scope, "", per, self.now)  # noqa: SLF001
                assert left[scope] == max(most - used, 0)

    def step(self, what: str) -> None:
        now, lease = at(self.now), timedelta(seconds=LEASE)
        if what == "sweep":
            self.model.sweep(self.now)
            self.store.sweep(now)
            return
        if what == "take over":
            taken = self.store.take_over(owner="one", lease=lease, now=now, targets="ab")
            expected = [
                r
                for r in self.model.rows
                if r.phase in {"acted", "verifying"} and r.lease <= self.now
            ]
            assert [o.id for o in taken] == [r.id for r in expected]
            for taken_over in expected:
                taken_over.lease = self.now + LEASE
            return
        row = next((r for r in reversed(self.model.rows) if r.phase != "closed"), None)
        if row is not None:
            self.go_on(row, what)

    def go_on(self, row: Row, what: str) -> None:
        now, lease = at(self.now), timedelta(seconds=LEASE)
        store, alive = self.store, row.lease > self.now
        match what:
            case "act" | "verify":
                phase = Phase.ACTING if what == "act" else Phase.VERIFYING
                if phase is Phase.ACTING and row.phase in {"acted", "verifying"}:
                    return
                if not alive:
                    with pytest.raises(LeaseLostError):
                        store.advance(row.id, phase, owner="one", lease=lease, now=now)
                    return
                store.advance(row.id, phase, owner="one", lease=lease, now=now)
                row.phase, row.lease = str(phase), self.now + LEASE
                if phase is Phase.ACTING:
                    row.touched = max(row.touched, self.now)
            case "renew":
                if not alive:
                    with pytest.raises(LeaseLostError):
                        store.renew(row.id, owner="one", lease=lease, now=now)
                    return
                store.renew(row.id, owner="one", lease=lease, now=now)
                row.lease = self.now + LEASE
            case "acted":
                store.mark_acted(row.id, ActResult(), owner="one", lease=lease, now=now)
                row.phase, row.lease = "acted", self.now + LEASE
                row.touched = max(row.touched, self.now)
            case _:
                outcome = Outcome.REFUSED if what == "refuse" else Outcome.VERIFIED
                store.finish(row.id, outcome, owner="one", now=now)
                row.counts = not (what == "refuse" and row.phase == "reserved")
                if row.phase == "acting":
                    row.touched = max(row.touched, self.now)
                row.phase = "closed"


def wipe(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in (
            tables.decisions,
            tables.entries,
            tables.operation_items,
            tables.operations,
        ):
            connection.execute(delete(table))
        connection.execute(update(tables.head).values(seq=0, hash=GENESIS))


@pytest.mark.timeout(600)  # for when it fails: shrinking takes its time
@given(schedule=schedules)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
def test_limits_hold_whatever_happens(
    engine: Engine, schedule: list[tuple[int, Ask | Step]]
) -> None:
    """Limits are never exceeded, cooldowns never shortened, the lock never shared.

    Reserving, rehearsing, acting, finishing, expiring and clocks set back, in any order: ledger,
    memory and model agree on every refusal and its reason.
    """
    wipe(engine)
    run = Run(engine)
    for seconds, step in schedule:
        run.now += seconds
        if isinstance(step, Ask):
            run.ask(step)
        else:
            run.step(step.what)
    is_open = {r.id for r in run.model.rows if r.phase != "closed"}
    assert {o.id for o in run.store.operations(open_only=True, limit=1000)} == is_open
    assert verify(run.store.chain(), run.store.head()) is None
