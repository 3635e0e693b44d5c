"""Orders that came through a route, and lists in pages, on every database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.ledger.chain import verify
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.errors import NotFoundError, RefusedError
from exporter.model.operation import Operation, Outcome, Phase, Request
from exporter.model.orders import BreakerName
from tests.contract.ledger.making import REMEDY, at, by_person, by_policy, plan_for


@pytest.fixture(autouse=True)
def chain_holds(store: Store) -> object:
    """After every test the whole chain is intact."""
    yield
    assert verify(store.chain(), store.head()) is None


def call(what: str) -> Request:
    return Request(
        target="prod",
        remedy=what,
        arguments={"reason": "x"},
        source="api",
        actor="ops",
        role="operator",
        route=f"/api/v1/{what}",
        request_id="mine-1",
        asked_at=at(0),
    )


def kinds(store: Store, operation: Operation) -> list[str]:
    return [str(entry.kind) for entry in store.entries(operation.id)]


def proposed(store: Store) -> Operation:
    request = by_policy(mode=Mode.APPROVE)
    return store.propose(request, plan_for(request), owner="me", now=at(0))


def test_a_call_and_what_it_ordered_are_one_row_and_its_entries(store: Store) -> None:
    """Pause, unpause and reset: each with who, through which route, and by which request."""
    pause = store.pause("global", "", owner="ops", reason="night", now=at(1), attempt=call("pause"))
    store.unpause([pause.id], actor="ops", now=at(2), attempt=call("unpause"))
    store.reset_breaker(
        BreakerName("prod", REMEDY), actor="ops", reason="", now=at(3), attempt=call("reset")
    )
    rows = store.operations()[::-1]
    assert [kinds(store, row) for row in rows] == [
        ["answered", "paused"],
        ["answered", "unpaused"],
        ["answered", "breaker_reset"],
    ]
    for row in rows:
        assert (row.source, row.actor, row.request_id) == ("api", "ops", "mine-1")
        assert (row.phase, row.outcome) == (Phase.CLOSED, Outcome.ANSWERED)


def test_lifting_what_is_not_there_leaves_nothing(store: Store) -> None:
    """Whoever called is told, and writes the refusal down."""
    assert store.unpause([7], actor="ops", now=at(1), attempt=call("unpause")) == ()
    assert store.chain() == ()


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_an_answer_to_a_plan_is_there_with_its_call_or_not_at_all(store: Store, word: str) -> None:
    """A refused one takes the call's row back as well: it is written down as refused then."""
    plan = proposed(store)
    answer: Callable[..., Operation] = getattr(store, word)
    answer(plan.id, actor="ops", reason="seen", now=at(1), attempt=call(word))
    assert [row.remedy for row in store.operations()] == [word, REMEDY]
    before = store.head()
    with pytest.raises(RefusedError):
        answer(plan.id, actor="ops", reason="", now=at(9999), attempt=call(word))
    assert store.head() == before


def test_a_page_goes_on_where_the_last_one_ended(store: Store) -> None:
    """Newest first by when the ledger had them, whatever was added since and the clock said."""
    ids = [
        store.refuse(by_person(), reason="no", message="x", now=at(-seconds)).id
        for seconds in range(7)
    ]
    first = store.operations(limit=3)
    store.refuse(by_person(), reason="no", message="x", now=at(-50))
    second = store.operations(limit=3, before=first[-1].id)
    last = store.operations(limit=3, before=second[-1].id)
    assert [row.id for row in (*first, *second, *last)] == ids[::-1]


def test_a_page_after_what_is_not_there_is_no_empty_page(store: Store) -> None:
    """A ledger that was restored from an older copy must not look like the end of the list."""
    store.refuse(by_person(), reason="no", message="x", now=at(0))
    with pytest.raises(NotFoundError):
        store.operations(before="op_gone")


def test_phases_narrow_a_list_and_its_pages(store: Store) -> None:
    """What waits for a person is found among what is closed."""
    closed = store.refuse(by_person(), reason="no", message="x", now=at(0))
    plan = proposed(store)
    other = replace(by_policy(mode=Mode.APPROVE), target="lab")
    second = store.propose(other, plan_for(other), owner="me", now=at(1))
    assert [row.id for row in store.operations(phase=Phase.PROPOSED)] == [second.id, plan.id]
    assert [row.id for row in store.operations(phase=Phase.PROPOSED, before=second.id)] == [plan.id]
    assert [row.id for row in store.operations(phase=Phase.CLOSED)] == [closed.id]
