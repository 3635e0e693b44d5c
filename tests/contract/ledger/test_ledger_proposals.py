"""Plans that wait for a person: one a subject, answered once, carried out only as written down."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from exporter.ledger.chain import verify
from exporter.ledger.proposals import APPROVED_FOR, STANDS_FOR
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.errors import InFlightError, LimitReachedError, RefusedError
from exporter.model.operation import Budget, Operation, Outcome, Phase, Request, Window
from tests.contract.ledger.making import LEASE, at, by_person, by_policy, plan_for

HOUR = STANDS_FOR.total_seconds()
ONCE = Budget(timedelta(0), (Window("target", 1, timedelta(hours=1)),))


@pytest.fixture(autouse=True)
def chain_holds(store: Store) -> object:
    """After every test the whole chain is intact."""
    yield
    assert verify(store.chain(), store.head()) is None


def asked(target: str = "prod", **about: object) -> Request:
    return by_policy(target, mode=Mode.APPROVE, **about)  # type: ignore[arg-type]


def propose(store: Store, request: Request | None = None, seconds: float = 0) -> Operation:
    request = request or asked()
    return store.propose(request, plan_for(request), owner="me", now=at(seconds))


def approve(store: Store, operation: Operation, seconds: float = 1) -> Operation:
    return store.approve(operation.id, actor="mira", reason="looks right", now=at(seconds))


def begin(
    store: Store, request: Request, proposal: Operation, seconds: float = 2, **plan: Any
) -> Operation:
    request = replace(request, proposal=proposal.id)
    made = replace(plan_for(request), **plan)
    return store.reserve(request, made, owner="me", lease=LEASE, now=at(seconds))


def standing_of(engine: Engine) -> Standing:
    standing = Standing()
    standing.apply(standing.fetch(engine))
    return standing


def test_what_waits_locks_nothing_and_spends_nothing(store: Store, engine: Engine) -> None:
    """Another operation may run meanwhile, and the budget is as it was."""
    waiting = propose(store, asked(budget=ONCE))
    assert (waiting.phase, waiting.outcome) == (Phase.PROPOSED, None)
    assert waiting.lease_until == at(0) + STANDS_FOR
    standing = standing_of(engine)
    assert standing.open_on("prod") is None
    usage = standing.usage(
        target="prod", remedy=waiting.remedy, policy="heal", items=(), mode=Mode.APPROVE
    )
    assert (usage.target, usage.last) == ((), None)
    request = by_policy(budget=ONCE)
    assert store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at(1)).open


def test_one_plan_waits_for_each_subject(store: Store) -> None:
    """Proposed again it is the same one; other items, policies and targets wait beside it."""
    first = propose(store, asked(items=("a", "b")))
    assert propose(store, asked(items=("b", "c")), 1).id == first.id
    others = [asked(items=("c",)), asked(items=("a",), policy="x"), asked("x", items=("a",))]
    assert len({first.id, *(propose(store, other, 2).id for other in others)}) == 4


def test_a_plan_of_an_older_text_gives_way(store: Store) -> None:
    """Nobody approves what the policy does not say any more."""
    old, request = propose(store), asked()
    assert request.policy is not None
    new = propose(store, replace(request, policy=replace(request.policy, revision="new")), 1)
    assert new.id != old.id
    found = store.operation(old.id)
    assert found is not None
    assert (found.outcome, found.error) == (Outcome.WITHDRAWN, "its policy was changed")


def test_an_approved_plan_goes_on_in_its_own_row(store: Store, engine: Engine) -> None:
    """It locks and spends from then on; who said yes, when and why is in the chain."""
    request = asked(budget=ONCE)
    waiting = propose(store, request)
    approve(store, waiting)
    found = standing_of(engine).proposal("heal", "prod", None)
    assert found is not None
    assert found.approved_by == "mira"
    running = begin(store, request, waiting)
    assert (running.id, running.phase, running.owner) == (waiting.id, Phase.RESERVED, "me")
    assert (running.approved_by, running.approved_at) == ("mira", at(1))
    kinds = [str(entry.kind) for entry in store.entries(waiting.id)]
    assert kinds == ["proposed", "approved", "reserved"]
    assert store.entries(waiting.id)[1].data["reason"] == "looks right"
    standing = standing_of(engine)
    assert standing.open_on("prod") is not None
    assert standing.proposal("heal", "prod", None) is None
    again = by_policy(budget=ONCE)
    with pytest.raises(InFlightError):
        store.reserve(again, plan_for(again), owner="me", lease=LEASE, now=at(3))
    store.finish(running.id, Outcome.VERIFIED, owner="me", now=at(4))
    with pytest.raises(LimitReachedError):
        store.reserve(again, plan_for(again), owner="me", lease=LEASE, now=at(5))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"arguments": {"url": "http://other:9080/"}}, "arguments"),
        ({"rests_on": {"revision": 2}}, "what it rests on"),
        ({"items": ("a", "b")}, "items"),
        ({"allowed": ("rollback",)}, "overrides"),
    ],
)
def test_another_plan_than_the_approved_one_is_refused(
    store: Store, other: dict[str, Any], told: str
) -> None:
    """Whatever the plan rests on or does: the person said yes to this one only."""
    request = asked(items=("a",))
    waiting = propose(store, request)
    approve(store, waiting)
    with pytest.raises(RefusedError) as refused:
        begin(store, request, waiting, **other)
    assert refused.value.reason == "changed"
    assert f"({told})" in str(refused.value)
    found = store.operation(waiting.id)
    assert found is not None
    assert (found.phase, found.owner) == (Phase.PROPOSED, "me")


def test_nothing_begins_without_a_yes(store: Store) -> None:
    """Not before it, not after a no, not when its time is over."""
    request = asked()
    waiting = propose(store, request)
    with pytest.raises(RefusedError) as refused:
        begin(store, request, waiting)
    assert refused.value.reason == "not-approved"
    approve(store, waiting)
    with pytest.raises(RefusedError) as refused:
        begin(store, request, waiting, HOUR)
    assert refused.value.reason == "expired"
    store.reject(waiting.id, actor="jo", reason="not now", now=at(3))
    with pytest.raises(RefusedError) as refused:
        begin(store, request, waiting, 4)
    assert refused.value.reason == "not-waiting"


def test_the_budget_and_the_lock_are_asked_again(store: Store) -> None:
    """What was free when it was proposed may be spent when it is approved."""
    request = asked(budget=ONCE)
    waiting = propose(store, request)
    approve(store, waiting)
    person = by_person()
    row = store.reserve(person, plan_for(person), owner="cli", lease=LEASE, now=at(1))
    with pytest.raises(InFlightError):
        begin(store, request, waiting)
    store.finish(row.id, Outcome.VERIFIED, owner="cli", now=at(2))
    other = by_policy(budget=ONCE)
    spent = store.reserve(other, plan_for(other), owner="me", lease=LEASE, now=at(3))
    store.finish(spent.id, Outcome.VERIFIED, owner="me", now=at(4))
    with pytest.raises(LimitReachedError):
        begin(store, request, waiting, 5)


def test_a_plan_is_answered_once(store: Store) -> None:
    """A second yes is told who was first; after a no there is no yes; a yes may be taken back."""
    waiting = propose(store)
    approve(store, waiting)
    with pytest.raises(RefusedError, match="already, by mira") as refused:
        approve(store, waiting, 2)
    assert refused.value.reason == "already-approved"
    closed = store.reject(waiting.id, actor="jo", reason="wait for me", now=at(3))
    assert (closed.outcome, closed.error) == (Outcome.REJECTED, "rejected by jo: wait for me")
    with pytest.raises(RefusedError, match="it is rejected"):
        approve(store, waiting, 4)
    with pytest.raises(RefusedError, match="there is no operation"):
        store.approve("op_0", actor="mira", reason="", now=at(5))


def test_a_rejection_is_remembered_for_each_item(store: Store, engine: Engine) -> None:
    """By whoever starts later too: the newest one counts."""
    for seconds in (0, 10):
        waiting = propose(store, asked(items=("a", "b")), seconds)
        store.reject(waiting.id, actor="jo", reason="", now=at(seconds + 1))
    standing = standing_of(engine)
    for item in ("a", "b"):
        found = standing.rejection("heal", "prod", item)
        assert found is not None
        assert (found.at, found.sentence) == (at(11), "rejected by jo")
    assert standing.rejection("heal", "prod", "c") is None


def test_what_nobody_answers_expires(store: Store) -> None:
    """After its hour, and a yes in the last moment still has a while to begin."""
    left, answered = propose(store), propose(store, asked("other"))
    late = HOUR - 1
    approve(store, answered, late)
    assert store.expire(at(late)) == ()
    assert [one.id for one in store.expire(at(HOUR))] == [left.id]
    found = store.operation(left.id)
    assert found is not None
    assert (found.outcome, found.error) == (Outcome.EXPIRED, "nobody approved it in time")
    (closed,) = store.expire(at(late) + APPROVED_FOR)
    assert "mira approved it" in (closed.error or "")


def test_a_plan_that_ended_is_not_ended_again(store: Store) -> None:
    """Whoever comes second changes nothing, whatever it has become."""
    waiting = propose(store)
    ended = store.end_proposal(waiting.id, Outcome.WITHDRAWN, why="it is over", now=at(1))
    assert ended is not None
    head = store.head()
    assert store.end_proposal(waiting.id, Outcome.EXPIRED, why="late", now=at(2)) is None
    assert store.end_proposal("op_0", Outcome.EXPIRED, why="late", now=at(2)) is None
    assert store.head() == head


def test_a_full_budget_proposes_nothing(store: Store) -> None:
    """A person is not asked for what could not be done."""
    request = by_policy(budget=ONCE)
    store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at(0))
    with pytest.raises(LimitReachedError):
        propose(store, asked(budget=ONCE), 1)
