"""The index in memory: what gates see of earlier operations, whoever made them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, update

from exporter.ledger import stamps, tables
from exporter.ledger.chain import GENESIS
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.operation import ActResult, Operation, Outcome, Request, Usage
from tests.contract.ledger.making import LEASE, REMEDY, at, by_person, by_policy, plan_for


@pytest.fixture
def standing() -> Standing:
    return Standing()


def refresh(standing: Standing, engine: Engine) -> bool:
    """Whether anything was new."""
    delta = standing.fetch(engine)
    standing.apply(delta)
    return delta is not None


def run(
    store: Store, request: Request, seconds: float, outcome: Outcome = Outcome.VERIFIED
) -> Operation:
    operation = store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(seconds))
    store.mark_acted(operation.id, ActResult(), owner="one", lease=LEASE, now=at(seconds + 1))
    return store.finish(operation.id, outcome, owner="one", now=at(seconds + 2))


def usage(standing: Standing, *items: str, mode: Mode = Mode.ENFORCE) -> Usage:
    return standing.usage(target="prod", remedy=REMEDY, policy="heal", items=items, mode=mode)


def test_it_follows_other_processes(store: Store, engine: Engine, standing: Standing) -> None:
    """What another process does shows after the next refresh; without news it reads one row."""
    assert refresh(standing, engine)
    assert not refresh(standing, engine)
    request = by_policy(items=("a",))
    operation = store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))
    assert standing.open_on("prod") is None
    assert refresh(standing, engine)
    assert standing.open_on("prod") == operation
    assert usage(standing, "a", "b") == Usage(
        item={"a": (at(0),), "b": ()},
        target=(at(0),),
        policy=(at(0),),
        everything=(at(0),),
        last=at(0),
        own=at(0),
    )
    store.finish(operation.id, Outcome.VERIFIED, owner="one", now=at(1))
    refresh(standing, engine)
    assert standing.open_on("prod") is None
    assert dict(standing.open) == {}
    assert standing.seq == store.head().seq


def test_policies_that_share_a_remedy_share_its_budget(
    store: Store, engine: Engine, standing: Standing
) -> None:
    """What one of them did counts for the target, the item and the cooldown of the other."""
    run(store, by_policy(policy="another", items=("a",)), 0)
    run(store, by_policy("staging", policy="another", items=("a",)), 10)
    run(store, by_policy(policy="another", remedy="x", items=("a",)), 20)
    refresh(standing, engine)
    shared = usage(standing, "a")
    assert (shared.item, shared.target, shared.last) == ({"a": (at(0),)}, (at(0),), at(1))
    assert shared.policy == ()


def test_a_refund_is_seen(store: Store, engine: Engine, standing: Standing) -> None:
    """An operation refused before its first write disappears from what was spent."""
    for request in (by_policy(items=("a",)), by_person()):
        operation = store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))
        refresh(standing, engine)
        store.finish(operation.id, Outcome.REFUSED, owner="one", now=at(1))
        refresh(standing, engine)
        assert usage(standing, "a") == Usage(item={"a": ()})
        assert standing.last_manual("prod") is None


def test_rehearsals_are_kept_apart(store: Store, engine: Engine, standing: Standing) -> None:
    """Real and rehearsed operations spend different budgets; a person's cooldown holds both."""
    rehearsal = by_policy(mode=Mode.OBSERVE)
    store.rehearse(rehearsal, plan_for(rehearsal), now=at(0))
    refresh(standing, engine)
    assert usage(standing) == Usage()
    assert usage(standing, mode=Mode.OBSERVE).target == (at(0),)
    run(store, by_person(), 5)
    refresh(standing, engine)
    assert usage(standing) == Usage(last=at(6))
    assert usage(standing, mode=Mode.OBSERVE).last == at(6)


def test_items_are_counted_by_what_became_of_their_operation(
    store: Store, engine: Engine, standing: Standing
) -> None:
    """An item's count is of operations that came to verification, however that ended."""
    request = by_policy(items=("a",))
    for seconds, outcome in enumerate(
        (Outcome.VERIFIED, Outcome.UNVERIFIED, Outcome.PARTIAL, Outcome.FAILED)
    ):
        run(store, request, seconds * 10, outcome)
    refresh(standing, engine)
    counts: Mapping[str, int] = standing.item_counts("prod", REMEDY)
    assert dict(counts) == {"a": 3}
    assert dict(standing.item_counts("prod", "other")) == {}


def test_the_last_manual_operation(store: Store, engine: Engine, standing: Standing) -> None:
    """The newest operation by a person is known, with its end and whose it was."""
    run(store, by_person(actor="ann"), 0)
    operation = run(store, by_person(actor="ben"), 10)
    run(store, by_policy(), 20)
    refresh(standing, engine)
    last = standing.last_manual("prod")
    assert last is not None
    assert (last.at, last.actor, last.operation_id) == (at(12), "ben", operation.id)
    assert standing.last_manual("staging") is None


def test_a_restart_knows_the_same(store: Store, engine: Engine, standing: Standing) -> None:
    """An index loaded at once equals one that followed every step."""
    for seconds in range(0, 50, 10):
        run(store, by_policy(items=("a", str(seconds))), seconds)
        refresh(standing, engine)
    store.reserve(by_person(), plan_for(by_person()), owner="one", lease=LEASE, now=at(60))
    refresh(standing, engine)
    fresh = Standing()
    refresh(fresh, engine)
    assert usage(fresh, "a", "10") == usage(standing, "a", "10")
    assert fresh.open == standing.open
    assert dict(fresh.item_counts("prod", REMEDY)) == dict(standing.item_counts("prod", REMEDY))


def test_an_older_copy_of_the_database_is_noticed(
    store: Store, engine: Engine, standing: Standing
) -> None:
    """After somebody restored a backup, the index forgets what the ledger no longer knows."""
    run(store, by_policy(), 0)
    refresh(standing, engine)
    with engine.begin() as connection:
        for table in (tables.entries, tables.operation_items, tables.operations):
            connection.execute(delete(table))
        connection.execute(update(tables.head).values(seq=0, hash=GENESIS))
    refresh(standing, engine)
    assert usage(standing) == Usage()


def test_memory_is_bounded(
    store: Store, engine: Engine, standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each budget only the newest moments are kept: more than any limit asks for."""
    monkeypatch.setattr(stamps, "MOST", 4)
    for number in range(7):
        run(store, by_policy(), number * 10)
        refresh(standing, engine)
    spent = usage(standing).target
    assert len(spent) <= 5
    assert spent == tuple(at(number * 10) for number in range(7))[-len(spent) :]
    assert usage(standing).last == at(60) + timedelta(seconds=1)
