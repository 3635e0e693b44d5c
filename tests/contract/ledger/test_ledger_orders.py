"""What people order is in the chain, survives a restart, and is seen by everybody."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from exporter.ledger.chain import verify
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.identity import Identity
from exporter.model.operation import Operation, Outcome, Phase
from exporter.model.orders import BreakerName, Pause
from tests.contract.ledger.making import LEASE, REMEDY, at, by_person, by_policy, plan_for

BAD = (Outcome.UNVERIFIED, Outcome.FAILED, Outcome.INDETERMINATE)


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


def close(store: Store, outcome: Outcome, seconds: float, **about: object) -> Operation:
    person = about.pop("person", False)
    request = by_person() if person else by_policy(**about)  # type: ignore[arg-type]
    row = store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at(seconds))
    store.advance(row.id, Phase.ACTING, owner="me", lease=LEASE, now=at(seconds))
    return store.finish(row.id, outcome, owner="me", now=at(seconds + 1))


def failed_at(standing: Standing, target: str = "prod") -> list[float]:
    return [(f.at - at(0)).total_seconds() for f in standing.failures(target, REMEDY)]


def test_failures_are_those_that_ended_badly_by_policy(store: Store, engine: Engine) -> None:
    """Unverified, failed, indeterminate and interrupted count; good ones and a person's do not."""
    running = standing_of(engine)
    for number, outcome in enumerate(BAD):
        close(store, outcome, number * 10)
    for number, outcome in enumerate((Outcome.VERIFIED, Outcome.PARTIAL, Outcome.REFUSED)):
        close(store, outcome, 100 + number * 10)
    close(store, Outcome.FAILED, 200, person=True)
    silent = by_policy(policy="other")
    store.reserve(silent, plan_for(silent), owner="gone", lease=LEASE, now=at(300))
    store.sweep(at(400))
    running.apply(running.fetch(engine))
    for standing in (running, standing_of(engine)):
        assert failed_at(standing) == [1, 11, 21, 400]
        assert [f.policy for f in standing.failures_of("other")] == ["other"]
        assert len(standing.failures_of("heal")) == 3
        assert standing.failures("prod", "cleanup") == ()


def test_a_rehearsal_never_fails(store: Store, engine: Engine) -> None:
    """What observe mode does opens nothing."""
    request = by_policy(mode=Mode.OBSERVE)
    store.rehearse(request, plan_for(request), now=at(0))
    assert failed_at(standing_of(engine)) == []


def test_a_reset_leaves_out_what_came_before(store: Store, engine: Engine) -> None:
    """Only of its target and remedy; what fails afterwards counts, even with the clock set back."""
    running = standing_of(engine)
    close(store, Outcome.FAILED, 0)
    close(store, Outcome.FAILED, 0, target="other")
    store.reset_breaker(BreakerName("prod", REMEDY), actor="mira", reason="mended", now=at(10))
    running.apply(running.fetch(engine))
    for standing in (running, standing_of(engine)):
        assert (failed_at(standing), failed_at(standing, "other")) == ([], [1])
        assert [f.target for f in standing.failures_of("heal")] == ["other"]
    close(store, Outcome.FAILED, 5)
    assert failed_at(standing_of(engine)) == [6]


def test_a_policys_reset_closes_it_everywhere_but_no_single_breaker(
    store: Store, engine: Engine
) -> None:
    """Two kinds of breaker, two kinds of reset."""
    close(store, Outcome.FAILED, 0)
    store.reset_breaker(BreakerName(policy="heal"), actor="mira", reason="", now=at(10))
    standing = standing_of(engine)
    assert standing.failures_of("heal") == ()
    assert failed_at(standing) == [1]


def test_a_reset_says_who_and_why_in_the_chain(store: Store) -> None:
    """It is as well documented as an operation."""
    store.reset_breaker(BreakerName("prod", REMEDY), actor="mira", reason="mended", now=at(10))
    (entry,) = store.chain()
    assert entry.kind == "breaker_reset"
    about = {"target": "prod", "remedy": REMEDY, "policy": "", "actor": "mira"}
    assert entry.data == {**about, "reason": "mended"}


def test_pauses_are_there_until_somebody_lifts_them(store: Store, engine: Engine) -> None:
    """With who, why and until when; lifting twice changes nothing."""
    running = standing_of(engine)
    first = store.pause("global", "", owner="mira", reason="night", now=at(0))
    second = store.pause("target", "prod", owner="jo", reason="", now=at(1), expires_at=at(3600))
    assert first == Pause(first.id, "global", "", "mira", "night", at(0))
    running.apply(running.fetch(engine))
    for standing in (running, standing_of(engine)):
        assert standing.orders.pauses == store.pauses() == (first, second)
    assert store.unpause([first.id], actor="jo", now=at(2)) == (first,)
    assert store.unpause([first.id, 999], actor="jo", now=at(3)) == ()
    assert standing_of(engine).orders.pauses == (second,)
    assert [e.kind for e in store.chain()] == ["paused", "paused", "unpaused"]
    assert second.in_force(at(3599))
    assert not second.in_force(at(3600))


def test_the_last_known_identity_survives(store: Store, engine: Engine) -> None:
    """Of each target the newest, whoever wrote it."""
    store.note_identity("prod", Identity("one", frozenset({"dp_1"})), now=at(0))
    store.note_identity("lab", Identity(None, frozenset()), now=at(1))
    newest = Identity("one", frozenset({"dp_1", "dp_2"}))
    store.note_identity("prod", newest, now=at(2), accepted_by="mira", reason="restored")
    known = standing_of(engine).orders.identities
    assert known == {"prod": newest, "lab": Identity(None, frozenset())}
    assert store.chain()[-1].data["accepted_by"] == "mira"


def test_what_people_write_is_free_of_secrets(store: Store) -> None:
    """A reason may have been pasted from anywhere."""
    token = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijklmnop"
    store.pause("global", "", owner="mira", reason=token, now=at(0), expires_at=at(1))
    store.reset_breaker(BreakerName(policy="heal"), actor="mira", reason=token, now=at(1))
    store.note_identity("prod", Identity(None, frozenset()), now=at(2), reason=token)
    assert "eyJ" not in "".join(entry.body for entry in store.chain())
    assert "eyJ" not in store.pauses()[0].reason
