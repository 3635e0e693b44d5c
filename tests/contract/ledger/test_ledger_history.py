"""Blocks of history in the database: replaced as they grow, read in order, bounded, never in the
way of the chain."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select

from exporter.history.blocks import Snapshot
from exporter.ledger.store import Store
from exporter.ledger.tables import history
from tests.contract.ledger.making import LEASE, at, by_policy, plan_for

HOUR = timedelta(hours=1)
PLENTY = 10**9


def block(
    stream: str = "prod",
    number: int = 1,
    *,
    boot: str = "a",
    began: float = 0,
    ended: float = 60,
    frames: int = 4,
) -> Snapshot:
    return Snapshot(stream, boot, number, at(began), at(ended), frames, (), (), "null", ())


def put(store: Store, *blocks: Snapshot, size: int = 100) -> None:
    store.keep_history([(one, bytes(size)) for one in blocks])


def numbers(store: Store, stream: str = "prod") -> list[tuple[str, int]]:
    """What is kept: by run, how many frames."""
    found = store.history(stream=stream, since=at(-(10**9)), until=at(10**9), limit=1_000)
    return [(one.boot, one.frames) for one in found]


def prune(store: Store, *, keep: timedelta = 1_000 * HOUR, most: int = PLENTY, now: float) -> int:
    """Ask until nothing is removed; how many were."""
    gone = 0
    while some := store.prune_history(keep=keep, max_bytes=most, now=at(now)):
        gone += some
    return gone


def test_a_block_that_grew_replaces_itself(store: Store) -> None:
    """In place and in order, as often as it is written."""
    put(store, block(number=1), block(number=2, frames=1))
    put(store, block(number=2, frames=2, ended=90), block(number=3, frames=3))
    put(store, block(boot="b", frames=9), block("other", frames=8))
    assert numbers(store) == [("a", 4), ("a", 2), ("a", 3), ("b", 9)]
    (_, second, *_) = store.history(stream="prod", since=at(0), until=at(100))
    assert (second.began, second.ended, second.body) == (at(0), at(90), bytes(100))
    assert store.history_span()["prod"] == (at(0), at(90), 18, 4, 400)
    assert set(store.history_span()) == {"prod", "other"}


def test_only_what_reaches_into_a_time_is_read_page_by_page(store: Store) -> None:
    """A block that is under way at either end is among it."""
    put(store, *(block(number=n, began=60 * n, ended=60 * n + 59, frames=n) for n in range(9)))
    asked = {"stream": "prod", "since": at(130), "until": at(301)}
    first = store.history(**asked, limit=2)  # type: ignore[arg-type]
    rest = store.history(**asked, limit=9, after=first[-1].id)  # type: ignore[arg-type]
    assert [one.frames for one in (*first, *rest)] == [2, 3, 4, 5]


def test_what_is_the_same_for_all_is_read_of_every_run_that_reaches_in(store: Store) -> None:
    """However long ago it was told: it still holds."""
    put(store, block("", boot="a", ended=0, frames=1), block(boot="a", began=5_000, ended=5_060))
    put(store, block("", boot="b", ended=0, frames=2), block(boot="b", ended=60))
    found = store.history(stream="", since=at(5_000), until=at(6_000))
    assert [one.frames for one in found] == [1]


def test_the_oldest_go_first_when_they_are_too_old(store: Store) -> None:
    """By when a block ended; more than are removed at once."""
    put(store, *(block(number=n, began=60 * n, ended=60 * n + 60, frames=n) for n in range(130)))
    assert prune(store, keep=HOUR, now=60 * 120 + 3_600) == 119
    assert numbers(store)[0] == ("a", 119)
    assert prune(store, keep=HOUR, now=60 * 120 + 3_600) == 0


def test_the_oldest_go_first_when_they_are_too_many(store: Store) -> None:
    """Whoever's they are, until all together are small enough."""
    put(store, *(block(number=n, ended=60 * n, frames=n) for n in range(6)))
    put(store, *(block("other", n, ended=60 * n + 1, frames=n) for n in range(6)))
    assert prune(store, most=550, now=0) == 7
    assert numbers(store) == [("a", 4), ("a", 5)]
    assert numbers(store, "other") == [("a", 3), ("a", 4), ("a", 5)]


def test_what_is_the_same_for_all_stays_as_long_as_rounds_of_its_run(store: Store) -> None:
    """Without it they could not be read; then it goes too."""
    put(store, block("", ended=0), block(ended=100), block("", boot="b", ended=0, frames=7))
    assert prune(store, keep=HOUR, now=3_650) == 1
    assert numbers(store, "") == [("a", 4)]
    assert prune(store, most=0, now=0) == 2
    assert numbers(store, "") == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(
        st.tuples(st.sampled_from(["", "p", "q"]), st.sampled_from("ab"), st.integers(0, 9)),
        max_size=14,
    ),
    keep=st.integers(0, 9),
    most=st.integers(0, 14),
)
def test_what_is_kept_is_the_newest_that_fits(
    store: Store, engine: Engine, made: list[tuple[str, str, int]], keep: int, most: int
) -> None:
    """Never more than allowed, nothing too old, and nothing goes before what is older."""
    with engine.begin() as connection:
        connection.execute(delete(history))
    blocks = [
        block(stream, number, boot=boot, ended=3_600 * hour, frames=number)
        for number, (stream, boot, hour) in enumerate(made)
    ]
    put(store, *blocks, size=10)
    prune(store, keep=keep * HOUR, most=most * 10, now=9 * 3_600)
    with engine.connect() as connection:
        left = set(connection.scalars(select(history.c.frames)))
    kept = [one for one in blocks if one.frames in left]
    assert sum(span[4] for span in store.history_span().values()) == 10 * len(kept)
    assert len(kept) <= most
    rounds = {one.boot for one in kept if one.stream}
    for one in kept:
        if one.stream:
            assert one.ended >= at(9 * 3_600) - keep * HOUR
            assert all(
                other.ended <= one.ended for other in blocks if other.stream and other not in kept
            )
    for one in blocks:
        if not one.stream and one.boot in rounds:
            assert one in kept


def test_it_has_no_part_in_the_chain(store: Store) -> None:
    """No entry, and no head taken: a reservation that waits inside does not keep it waiting."""
    head = store.head()
    put(store, block())
    assert prune(store, most=0, now=0) == 1
    assert store.head() == head


def test_it_is_written_beside_operations(store: Store) -> None:
    """From several threads at once, as in a daemon; each gets through."""
    failures: list[BaseException] = []

    def try_(work: object) -> None:
        try:
            for number in range(10):
                if work == "blocks":
                    put(store, block(number=number))
                    prune(store, most=300, now=0)
                else:
                    request = by_policy(f"t{number}")
                    store.reserve(request, plan_for(request), owner="o", lease=LEASE, now=at(0))
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=try_, args=(one,)) for one in ("blocks", "operations")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(numbers(store)) == 3


@pytest.mark.parametrize("limit", [1, 3])
def test_pages_end(store: Store, limit: int) -> None:
    """After the last block there is none."""
    put(store, *(block(number=n) for n in range(3)))
    after, seen = 0, 0
    while page := store.history(stream="prod", since=at(0), until=at(1), after=after, limit=limit):
        after, seen = page[-1].id, seen + len(page)
    assert seen == 3
