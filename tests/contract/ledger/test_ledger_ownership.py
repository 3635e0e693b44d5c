"""One acts for a shard of the targets: by the database's clock, with an epoch that only grows."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine

from exporter.ledger.chain import verify
from exporter.ledger.engine import database_now
from exporter.ledger.ownership import ShardLease
from exporter.ledger.store import Store
from exporter.model.errors import StoppedError
from exporter.model.operation import Fence
from tests.contract.ledger.making import LEASE, at, by_person, by_policy, plan_for

LONG, SHORT = timedelta(minutes=5), timedelta(milliseconds=150)


def take(store: Store, holder: str, length: timedelta = LONG) -> ShardLease:
    return store.acquire("1/1", holder=holder, length=length)


def test_the_first_holds_it_and_the_others_learn_who(store: Store) -> None:
    """Renewing keeps the epoch and leaves no entry."""
    first = take(store, "one")
    assert (first.holder, first.epoch) == ("one", 1)
    head = store.head()
    assert take(store, "two").holder == "one"
    again = take(store, "one")
    assert (again.epoch, again.until > first.until) == (1, True)
    assert store.head() == head
    assert store.acquire("2/2", holder="two", length=LONG).holder == "two"


def test_a_silent_holder_is_replaced_and_the_epoch_grows(store: Store) -> None:
    """Also the same one later: each change of hands is another epoch, told in the chain."""
    take(store, "one", SHORT)
    time.sleep(0.2)
    assert (second := take(store, "two")).epoch == 2
    store.release("1/1", holder="one")
    assert take(store, "three").holder == second.holder
    store.release("1/1", holder="two")
    assert take(store, "one").epoch == 3
    kinds = [(e.kind, e.data["holder"], e.data["before"]) for e in store.chain()]
    assert kinds == [("owner", "one", None), ("owner", "two", "one"), ("owner", "one", "two")]
    assert verify(store.chain(), store.head()) is None


def test_of_racing_instances_one_wins(engine: Engine) -> None:
    """However many start at the same moment."""
    count = 8
    barrier = Barrier(count)

    def race(number: int) -> str:
        barrier.wait()
        return take(Store(engine), f"n{number}").holder

    with ThreadPoolExecutor(count) as threads:
        assert len(set(threads.map(race, range(count)))) == 1


@pytest.mark.parametrize(
    "fence", [Fence("1/1", "one", 1), Fence("1/1", "two", 1), Fence("2/2", "two", 2)]
)
def test_a_policy_begins_nothing_behind_the_fence(store: Store, fence: Fence) -> None:
    """Another holder, an older epoch, a shard that nobody holds."""
    take(store, "one", SHORT)
    store.release("1/1", holder="one")
    take(store, "two")
    request = by_policy()
    plan = plan_for(request)
    with pytest.raises(StoppedError) as stopped:
        store.reserve(request, plan, owner="one", lease=LEASE, now=at(0), fence=fence)
    assert stopped.value.reason == "not_owner"
    assert store.operations() == ()
    good = Fence("1/1", "two", 2)
    assert store.reserve(request, plan, owner="two", lease=LEASE, now=at(0), fence=good).open


def test_a_lease_that_has_ended_is_none(store: Store) -> None:
    """Even while nobody else has taken it; a person does not need one."""
    take(store, "one", SHORT)
    time.sleep(0.2)
    request = by_policy()
    with pytest.raises(StoppedError, match="has ended"):
        store.reserve(
            request,
            plan_for(request),
            owner="one",
            lease=LEASE,
            now=at(0),
            fence=Fence("1/1", "one", 1),
        )
    person = by_person()
    fence = Fence("1/1", "one", 1)
    assert store.reserve(
        person, plan_for(person), owner="cli", lease=LEASE, now=at(0), fence=fence
    ).open


def test_the_databases_clock_is_the_same_for_all(engine: Engine) -> None:
    """Aware UTC, with fractions of a second."""
    with engine.connect() as connection:
        first, second = database_now(connection), database_now(connection)
    assert first <= second
    assert abs(datetime.now(UTC) - first) < timedelta(minutes=1)
