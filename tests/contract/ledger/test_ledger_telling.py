"""Operations that only tell people: rows like all others, that lock nothing and spend nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from exporter.ledger.chain import verify
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.errors import LimitReachedError
from exporter.model.hold import HoldReason
from exporter.model.operation import ActResult, Budget, Operation, Outcome, Phase, Request, Window
from exporter.policy.limits import exhausted
from tests.contract.ledger.making import LEASE, at, by_person, by_policy, plan_for

EVERYTHING = Budget(timedelta(0), (Window("global", 1, None),))
COOLDOWN = timedelta(seconds=100)
_numbers = itertools.count()


def tells(policy: str = "tell", target: str = "prod", *, mode: Mode = Mode.ENFORCE) -> Request:
    budget = Budget(COOLDOWN, own_cooldown=True)
    made = by_policy(target, policy=policy, remedy="notify", budget=budget, mode=mode)
    return replace(made, mends=False)


def reserve(store: Store, request: Request, seconds: float = 0) -> Operation:
    return store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(seconds))


def test_a_message_goes_out_while_a_repair_is_open_and_the_other_way_round(store: Store) -> None:
    """Neither waits for the other; two messages of two policies do not either."""
    reserve(store, tells("a"))
    repair = reserve(store, by_policy())
    reserve(store, tells("b"))
    locked = {row.remedy for row in store.operations(open_only=True)}
    assert locked == {"notify", "force-redeploy"}
    assert store.take_over(owner="two", lease=LEASE, now=at(30)) == ()
    store.finish(repair.id, Outcome.VERIFIED, owner="one", now=at(1))
    reserve(store, by_person(), 2)


def test_it_spends_nothing_of_anybodys_limits(store: Store) -> None:
    """A limit of one over everything still has room after it."""
    reserve(store, tells())
    repair = reserve(store, by_policy(budget=EVERYTHING), 1)
    store.finish(repair.id, Outcome.VERIFIED, owner="one", now=at(2))
    with pytest.raises(LimitReachedError):
        reserve(store, by_policy(budget=EVERYTHING), 3)
    reserve(store, tells("other"), 4)


def test_its_cooldown_is_its_policys_on_its_target(store: Store) -> None:
    """Not shared, not shortened, and exact in the transaction."""
    reserve(store, tells())
    for other in (tells("other"), tells(target="staging"), tells(mode=Mode.OBSERVE)):
        if other.mode is Mode.OBSERVE:
            store.rehearse(other, plan_for(other), now=at(1))
        else:
            reserve(store, other, 1)
    with pytest.raises(LimitReachedError) as caught:
        reserve(store, tells(), 99.9)
    assert caught.value.reason == HoldReason.COOLDOWN
    assert "this policy" in str(caught.value)
    reserve(store, tells(), 100)


@pytest.mark.parametrize("phase", [Phase.RESERVED, Phase.ACTING, Phase.ACTED, Phase.VERIFYING])
def test_one_whose_owner_died_is_closed_wherever_it_stood(store: Store, phase: Phase) -> None:
    """Nobody takes it over and nobody waits for it, so a sweep must find it."""
    row = reserve(store, tells())
    if phase is not Phase.RESERVED:
        store.advance(row.id, Phase.ACTING, owner="one", lease=LEASE, now=at(0))
    if phase in {Phase.ACTED, Phase.VERIFYING}:
        store.mark_acted(row.id, ActResult(), owner="one", lease=LEASE, now=at(0))
    if phase is Phase.VERIFYING:
        store.advance(row.id, phase, owner="one", lease=LEASE, now=at(0))
    assert store.sweep(at(59)) == ()
    assert store.take_over(owner="two", lease=LEASE, now=at(60)) == ()
    (closed,) = store.sweep(at(60))
    assert (closed.id, closed.outcome) == (row.id, Outcome.INTERRUPTED)
    assert store.sweep(at(61)) == ()
    assert verify(store.chain(), store.head()) is None


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(
        st.tuples(
            st.integers(0, 400),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["prod", "staging"]),
            st.sampled_from([Mode.ENFORCE, Mode.OBSERVE]),
        ),
        max_size=12,
    ),
)
def test_the_index_and_the_transaction_agree_on_every_cooldown(
    store: Store, engine: Engine, asked: list[tuple[int, str, str, Mode]]
) -> None:
    """What a gate sees is what the reservation does, for each policy, target and kind."""
    standing, own = Standing(), next(_numbers)  # each example has policies of its own
    last: dict[tuple[str, str, Mode], int] = {}
    for seconds, policy, target, mode in sorted(asked, key=lambda ask: ask[0]):
        standing.apply(standing.fetch(engine))
        request = tells(f"{policy}{own}", target, mode=mode)
        usage = standing.usage(
            target=target, remedy="notify", policy=f"{policy}{own}", items=(), mode=mode
        )
        assert request.budget is not None
        expected = exhausted(request.budget, usage, now=at(seconds))
        key = (policy, target, mode)
        since = seconds - last[key] if key in last else None
        assert (expected is None) == (since is None or since >= COOLDOWN.total_seconds())
        if expected is not None:
            with pytest.raises(LimitReachedError) as caught:
                _tell(store, request, seconds)
            assert str(caught.value) == expected.sentence
        else:
            _tell(store, request, seconds)
            last[key] = seconds


def _tell(store: Store, request: Request, seconds: float) -> None:
    if request.mode is Mode.OBSERVE:
        store.rehearse(request, plan_for(request), now=at(seconds))
    else:
        row = reserve(store, request, seconds)
        store.finish(row.id, Outcome.VERIFIED, owner="one", now=at(seconds))
