"""An operation that helped, and did not last, counts as failed: once, and after every restart."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from exporter.ledger.chain import verify
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.model.operation import ActResult, ItemOutcome, Operation, Outcome, Phase, Request
from exporter.model.orders import BreakerName
from exporter.model.relapse import Helped, Relapse
from tests.contract.ledger.making import LEASE, REMEDY, at, by_person, by_policy, plan_for


@pytest.fixture(autouse=True)
def chain_holds(store: Store) -> object:
    """After every test the whole chain is intact."""
    yield
    assert verify(store.chain(), store.head()) is None


def standing_of(engine: Engine) -> Standing:
    """What a process that starts now knows."""
    standing = Standing()
    standing.apply(standing.fetch(engine))
    return standing


def done(
    store: Store,
    request: Request,
    seconds: float,
    *words: str,
    outcome: Outcome = Outcome.VERIFIED,
    error: str | None = None,
) -> Operation:
    """An operation that acted on its items, each with its word, and ended."""
    row = store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at(seconds))
    store.advance(row.id, Phase.ACTING, owner="me", lease=LEASE, now=at(seconds))
    items = tuple(map(ItemOutcome, request.items, words or ["resumed"] * len(request.items)))
    result = ActResult(items=items)
    store.mark_acted(row.id, result, owner="me", lease=LEASE, now=at(seconds + 1))
    return store.finish(row.id, outcome, owner="me", now=at(seconds + 2), error=error)


def relapse_of(operation: Operation, seconds: float) -> Relapse:
    return Relapse(operation.id, "prod", REMEDY, "heal", operation.items, seen_at=at(seconds))


def test_a_relapse_counts_once(store: Store, engine: Engine) -> None:
    """For the breaker of its remedy and of its policy, from when it was seen; the outcome stays."""
    running = standing_of(engine)
    operation = done(store, by_policy(items=("a",)), 0)
    running.apply(running.fetch(engine))
    assert running.failures("prod", REMEDY) == ()
    noted = store.note_relapse(relapse_of(operation, 60), now=at(61))
    assert noted is not None
    assert (noted.outcome, noted.relapsed_at) == (Outcome.VERIFIED, at(60))
    assert store.note_relapse(relapse_of(operation, 70), now=at(71)) is None
    running.apply(running.fetch(engine))
    for standing in (running, standing_of(engine)):
        assert [f.at for f in standing.failures("prod", REMEDY)] == [at(60)]
        assert [f.at for f in standing.failures_of("heal")] == [at(60)]
        assert standing.helped("prod", REMEDY, "a") == Helped(
            operation.id, "heal", at(2), relapsed=True
        )
    (last,) = [e for e in store.entries(operation.id) if e.kind == "relapsed"]
    assert last.data == {"items": ["a"], "seen_at": at(60).isoformat().replace("+00:00", "Z")}


def test_what_never_helped_cannot_relapse(store: Store) -> None:
    """It counted when it ended."""
    for number, outcome in enumerate((Outcome.UNVERIFIED, Outcome.FAILED, Outcome.NOTHING_TO_DO)):
        operation = done(store, by_policy(items=("a",)), number * 10, outcome=outcome)
        assert store.note_relapse(relapse_of(operation, 60), now=at(60)) is None
    unknown = Relapse("op_unknown", "prod", REMEDY, "heal", (), seen_at=at(0))
    assert store.note_relapse(unknown, now=at(60)) is None


def test_a_reset_covers_only_the_relapses_that_were_known(store: Store, engine: Engine) -> None:
    """One that is seen after a person's reset counts, even if the clock was set back."""
    first = done(store, by_policy(items=("a",)), 0)
    second = done(store, by_policy(items=("b",)), 100)
    store.note_relapse(relapse_of(first, 200), now=at(200))
    store.reset_breaker(BreakerName("prod", REMEDY), actor="mira", reason="", now=at(300))
    assert standing_of(engine).failures("prod", REMEDY) == ()
    store.note_relapse(relapse_of(second, 250), now=at(250))
    assert [f.at for f in standing_of(engine).failures("prod", REMEDY)] == [at(250)]


def test_the_newest_operation_that_helped_an_item_is_known(store: Store, engine: Engine) -> None:
    """A person's too; of one that was left out, or stopped before anybody looked, nothing."""
    running = standing_of(engine)

    def helped(item: str) -> str | None:
        running.apply(running.fetch(engine))
        one = running.helped("prod", REMEDY, item)
        assert standing_of(engine).helped("prod", REMEDY, item) == one
        return one.operation_id if one else None

    both = by_policy(items=("a", "b"))
    first = done(store, both, 0)
    assert (helped("a"), helped("b"), helped("c")) == (first.id, first.id, None)
    partly = done(store, both, 10, "resumed", "skipped", outcome=Outcome.PARTIAL)
    assert (helped("a"), helped("b")) == (partly.id, first.id)
    done(store, both, 20, outcome=Outcome.PARTIAL, error="paused: mira paused everything")
    done(store, both, 30, outcome=Outcome.FAILED)
    assert (helped("a"), helped("b")) == (partly.id, first.id)
    person = by_person()
    row = store.reserve(person, plan_for(person), owner="me", lease=LEASE, now=at(40))
    items = ActResult(items=(ItemOutcome("b", "resumed"), ItemOutcome("c", "skipped")))
    store.mark_acted(row.id, items, owner="me", lease=LEASE, now=at(41))
    store.finish(row.id, Outcome.PARTIAL, owner="me", now=at(42))
    assert (helped("a"), helped("b"), helped("c")) == (partly.id, row.id, None)
    assert running.helped("prod", REMEDY, "b") == Helped(row.id, None, at(42))
