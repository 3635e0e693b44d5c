"""One operation after the other: what each method of the store promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from exporter.ledger.chain import verify
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.errors import (
    AmbiguousError,
    InFlightError,
    LeaseLostError,
    LimitReachedError,
    MedicError,
)
from exporter.model.hold import HoldReason
from exporter.model.operation import (
    ActResult,
    Budget,
    ItemOutcome,
    Operation,
    Outcome,
    Phase,
    PolicyRef,
    Request,
    Window,
)
from tests.contract.ledger.making import LEASE, ROOMY, at, by_person, by_policy, plan_for

HOUR = timedelta(hours=1)


def reserve(store: Store, request: Request, seconds: float = 0, *, owner: str = "one") -> Operation:
    return store.reserve(request, plan_for(request), owner=owner, lease=LEASE, now=at(seconds))


def finish(
    store: Store,
    operation: Operation,
    seconds: float,
    outcome: Outcome = Outcome.VERIFIED,
    *,
    owner: str = "one",
) -> Operation:
    return store.finish(operation.id, outcome, owner=owner, now=at(seconds))


def run(
    store: Store, request: Request, seconds: float, outcome: Outcome = Outcome.VERIFIED
) -> Operation:
    """One whole operation within a second."""
    operation = reserve(store, request, seconds)
    store.advance(operation.id, Phase.ACTING, owner="one", lease=LEASE, now=at(seconds))
    store.mark_acted(operation.id, ActResult(), owner="one", lease=LEASE, now=at(seconds))
    return finish(store, operation, seconds + 1, outcome)


def refused(store: Store, request: Request, seconds: float) -> str:
    with pytest.raises(LimitReachedError) as caught:
        reserve(store, request, seconds)
    return caught.value.reason


def test_an_operation_is_recorded_from_request_to_outcome(store: Store) -> None:
    """An operation says who, why, what was there before and after, and how it ended."""
    request = by_policy(items=("http://w:9080/",))
    opened = reserve(store, request)
    assert (opened.phase, opened.open, opened.owner) == (Phase.RESERVED, True, "one")
    store.advance(opened.id, Phase.ACTING, owner="one", lease=LEASE, now=at(1), detail="POST")
    result = ActResult(after={"deployments": 2}, items=(ItemOutcome("http://w:9080/", "done"),))
    acted = store.mark_acted(opened.id, result, owner="one", lease=LEASE, now=at(2))
    assert (acted.phase, acted.acted_at) == (Phase.ACTED, at(2))
    store.advance(opened.id, Phase.VERIFYING, owner="one", lease=LEASE, now=at(3))
    closed = finish(store, opened, 4)

    assert store.operation(opened.id) == closed
    assert closed == replace(
        opened,
        phase=Phase.CLOSED,
        outcome=Outcome.VERIFIED,
        acted_at=at(2),
        finished_at=at(4),
        after={"deployments": 2},
        lease_until=at(3) + LEASE,
    )
    assert closed.policy == PolicyRef("heal", "abc123")
    assert closed.values == {"services.missing": ["Greeter"]}
    assert closed.before == {"deployments": 1}
    kinds = [entry.kind for entry in store.entries(opened.id)]
    assert kinds == ["reserved", "acting", "acted", "verifying", "closed"]
    assert store.items(opened.id) == (("http://w:9080/", ItemOutcome("http://w:9080/", "done")),)


def test_one_open_operation_a_target(store: Store) -> None:
    """While an operation is open on a target nobody else gets it; another target is free."""
    first = reserve(store, by_policy("prod"))
    with pytest.raises(InFlightError, match=first.id) as caught:
        reserve(store, by_person("prod"), owner="two")
    assert caught.value.operation_id == first.id
    reserve(store, by_policy("staging"))
    finish(store, first, 1)
    reserve(store, by_person("prod"), 2, owner="two")


def test_a_silent_owner_is_interrupted_and_counts(store: Store) -> None:
    """An expired reserved or acting operation makes way as interrupted; its budget is spent."""
    budget = Budget(timedelta(0), (Window("target", 2, HOUR),))
    first = reserve(store, by_policy(budget=budget))
    with pytest.raises(InFlightError):
        reserve(store, by_policy(budget=budget), 59.9)
    second = reserve(store, by_policy(budget=budget), 60, owner="two")
    closed = store.operation(first.id)
    assert closed is not None
    assert (closed.outcome, closed.finished_at) == (Outcome.INTERRUPTED, at(60))
    silent = store.entries(first.id)[-1]
    assert silent.kind == "interrupted"
    assert silent.data["silent_since"] == at(60).isoformat()
    finish(store, second, 61, owner="two")
    assert refused(store, by_policy(budget=budget), 62) == HoldReason.LIMIT_TARGET


def test_an_interruption_is_kept_when_the_limit_refuses(store: Store) -> None:
    """Closing a silent owner's operation is not taken back when its successor is refused."""
    budget = Budget(timedelta(0), (Window("target", 1, HOUR),))
    first = reserve(store, by_policy(budget=budget))
    elsewhere = reserve(store, by_policy("staging"))
    assert refused(store, by_policy(budget=budget), 61) == HoldReason.LIMIT_TARGET
    closed = store.operation(first.id)
    assert closed is not None
    assert closed.outcome is Outcome.INTERRUPTED
    assert store.operation(elsewhere.id) == elsewhere, "a sweep's work, not a reserve's"


def act(store: Store, request: Request, phase: Phase) -> Operation:
    """An operation whose writes are done, at second one."""
    operation = reserve(store, request)
    result = ActResult(partial=True)
    acted = store.mark_acted(operation.id, result, owner="one", lease=LEASE, now=at(1))
    if phase is Phase.ACTED:
        return acted
    return store.advance(operation.id, phase, owner="one", lease=LEASE, now=at(1))


@pytest.mark.parametrize("phase", [Phase.ACTED, Phase.VERIFYING])
def test_a_silent_verification_is_taken_over(store: Store, phase: Phase) -> None:
    """What only has to be verified is not swept: another owner goes on with it."""
    operation = act(store, by_policy(), phase)
    assert store.sweep(at(3600)) == ()

    def take_over(owner: str, seconds: float, *targets: str) -> tuple[Operation, ...]:
        return store.take_over(owner=owner, lease=LEASE, now=at(seconds), targets=targets)

    assert take_over("two", 60, "prod") == ()
    assert take_over("two", 3600, "staging") == take_over("two", 3600) == ()
    (taken,) = take_over("two", 3600, "staging", "prod")
    assert (taken.id, taken.owner, taken.partial) == (operation.id, "two", True)
    assert taken.lease_until == at(3600) + LEASE
    assert take_over("three", 3601, "prod") == ()
    with pytest.raises(LeaseLostError):
        finish(store, operation, 3602, owner="one")
    assert finish(store, operation, 3602, Outcome.PARTIAL, owner="two").outcome is Outcome.PARTIAL


@pytest.mark.parametrize("phase", [Phase.ACTED, Phase.VERIFYING])
def test_a_silent_verification_makes_way(store: Store, phase: Phase) -> None:
    """Without a daemon nobody takes it over, so whoever comes next closes it as unverified."""
    operation = act(store, by_policy(), phase)
    with pytest.raises(InFlightError):
        reserve(store, by_person(), 60, owner="two")
    reserve(store, by_person(), 61, owner="two")
    closed = store.operation(operation.id)
    assert closed is not None
    assert closed.outcome is Outcome.UNVERIFIED
    assert closed.error is not None
    assert "silent" in closed.error
    assert store.entries(operation.id)[-1].data["silent_since"] == at(61).isoformat()
    with pytest.raises(LeaseLostError, match="closed as unverified"):
        finish(store, operation, 62)
    assert store.entries(operation.id)[-1].kind == "late"


def test_sweep_closes_only_what_is_silent(store: Store) -> None:
    """A sweep interrupts expired operations on every target and leaves living ones alone."""
    silent = reserve(store, by_policy("a"))
    acting = reserve(store, by_policy("b"))
    living = reserve(store, by_policy("c"))
    store.advance(acting.id, Phase.ACTING, owner="one", lease=LEASE, now=at(1))
    store.renew(living.id, owner="one", lease=LEASE, now=at(30))
    swept = store.sweep(at(61))
    assert [o.id for o in swept] == [silent.id, acting.id]
    assert {o.outcome for o in swept} == {Outcome.INTERRUPTED}
    assert [o.id for o in store.operations(open_only=True)] == [living.id]


@pytest.mark.parametrize("by", ["closed", "another", "expired", "unknown"])
def test_a_lost_lease_stops_writing(store: Store, by: str) -> None:
    """Nobody advances or renews an operation that is closed, another's, expired or unknown."""
    operation = reserve(store, by_policy())
    owner, now, name = "one", at(1), operation.id
    match by:
        case "closed":
            finish(store, operation, 1)
        case "another":
            owner = "two"
        case "expired":
            now = at(60)
        case _:
            name = "op_nobody"
    with pytest.raises(LeaseLostError):
        store.advance(name, Phase.ACTING, owner=owner, lease=LEASE, now=now)
    with pytest.raises(LeaseLostError):
        store.renew(name, owner=owner, lease=LEASE, now=now)


def test_what_was_done_may_be_told_a_little_late(store: Store) -> None:
    """An expired lease forbids further writes, but not telling what was written."""
    operation = reserve(store, by_policy(items=("a",)))
    store.note_item(operation.id, ItemOutcome("a", "done"), owner="one", now=at(61))
    acted = store.mark_acted(operation.id, ActResult(), owner="one", lease=LEASE, now=at(62))
    assert acted.lease_until == at(62) + LEASE
    assert finish(store, operation, 500).outcome is Outcome.VERIFIED


def test_an_owner_that_was_interrupted_is_still_heard(store: Store) -> None:
    """Too late to change the outcome, an owner's word is kept as an entry, and it is told."""
    operation = reserve(store, by_policy())
    store.sweep(at(61))
    with pytest.raises(LeaseLostError, match="interrupted"):
        finish(store, operation, 62)
    closed = store.operation(operation.id)
    assert closed is not None
    assert closed.outcome is Outcome.INTERRUPTED
    last = store.entries(operation.id)[-1]
    assert (last.kind, last.data["outcome"]) == ("late", "verified")


def test_finishing_twice_is_harmless(store: Store) -> None:
    """Whoever is not sure that it finished may say so again; the first outcome stays."""
    operation = reserve(store, by_policy())
    closed = finish(store, operation, 1)
    before = store.head()
    assert finish(store, operation, 2) == closed
    assert store.head() == before
    with pytest.raises(LeaseLostError):
        finish(store, operation, 3, Outcome.FAILED)
    assert store.operation(operation.id) == closed


def test_a_phase_never_goes_back(store: Store) -> None:
    """Acting may be announced before each write, but not after all writes are done."""
    operation = reserve(store, by_policy())
    for seconds in (1, 2):
        store.advance(operation.id, Phase.ACTING, owner="one", lease=LEASE, now=at(seconds))
    store.mark_acted(operation.id, ActResult(), owner="one", lease=LEASE, now=at(3))
    with pytest.raises(ValueError, match="cannot go"):
        store.advance(operation.id, Phase.ACTING, owner="one", lease=LEASE, now=at(4))


def test_the_cooldown_starts_at_the_last_write(store: Store) -> None:
    """A cooldown runs from the last moment the operation may have written, not from its start."""
    budget = replace(ROOMY, cooldown=timedelta(seconds=30))
    operation = reserve(store, by_policy(budget=budget))
    store.advance(operation.id, Phase.ACTING, owner="one", lease=LEASE, now=at(5))
    store.mark_acted(operation.id, ActResult(), owner="one", lease=LEASE, now=at(20))
    finish(store, operation, 45)
    assert refused(store, by_policy(budget=budget, policy="other"), 49.9) == HoldReason.COOLDOWN
    reserve(store, by_policy(budget=budget, remedy="cleanup-stale-deployments"), 49.9)
    finish(store, store.operations(open_only=True)[0], 49.9)
    reserve(store, by_policy(budget=budget), 50)


@pytest.mark.parametrize("ending", ["failed", "interrupted"])
def test_the_cooldown_of_a_failed_act_starts_at_its_end(store: Store, ending: str) -> None:
    """Nobody knows when an act that failed or fell silent last wrote: its end counts."""
    budget = replace(ROOMY, cooldown=timedelta(seconds=30))
    operation = reserve(store, by_policy(budget=budget))
    store.advance(operation.id, Phase.ACTING, owner="one", lease=LEASE, now=at(5))
    if ending == "failed":
        finish(store, operation, 65, Outcome.FAILED)
    else:
        store.sweep(at(90))
    assert refused(store, by_policy(budget=budget), 94.9) == HoldReason.COOLDOWN
    reserve(store, by_policy(budget=budget), 95)


def test_a_person_spends_nothing_but_starts_the_cooldown(store: Store) -> None:
    """No limit holds a person; what a person did starts the cooldown, and counts in no window."""
    budget = Budget(timedelta(seconds=10), (Window("target", 1, HOUR), Window("global", 1, HOUR)))
    for seconds in (0, 2, 4):
        run(store, by_person(), seconds)
    assert refused(store, by_policy(budget=budget), 13) == HoldReason.COOLDOWN
    run(store, by_policy(budget=budget), 14)
    run(store, by_person(), 16)


def test_refused_before_its_first_write_gives_the_budget_back(store: Store) -> None:
    """A world that changed between plan and act must not use up a limit for ever."""
    budget = Budget(timedelta(hours=9), (Window("item", 1, None), Window("global", 1, None)))
    request = by_policy(items=("a",), budget=budget)
    finish(store, reserve(store, request), 1, Outcome.REFUSED)
    again = reserve(store, request, 2)
    store.advance(again.id, Phase.ACTING, owner="one", lease=LEASE, now=at(3))
    finish(store, again, 4, Outcome.REFUSED)
    assert refused(store, request, 5) == HoldReason.COOLDOWN


def test_what_the_other_side_refused_gives_the_budget_back(store: Store) -> None:
    """It was announced, and wrote nothing all the same; only a refusal says so."""
    budget = Budget(timedelta(hours=9), (Window("item", 1, None), Window("global", 1, None)))
    request = by_policy(items=("a",), budget=budget)
    for outcome in (Outcome.REFUSED, Outcome.FAILED):
        asked = reserve(store, request)
        store.advance(asked.id, Phase.ACTING, owner="one", lease=LEASE, now=at(1))
        store.finish(asked.id, outcome, owner="one", now=at(2), refused_elsewhere=True)
    assert refused(store, request, 5) == HoldReason.COOLDOWN


@pytest.mark.parametrize(
    "outcome",
    [Outcome.NOTHING_TO_DO, Outcome.FAILED, Outcome.INDETERMINATE, Outcome.UNVERIFIED],
)
def test_every_other_end_counts(store: Store, outcome: Outcome) -> None:
    """However an operation ended, it was reserved, so it is counted."""
    budget = Budget(timedelta(0), (Window("policy", 1, HOUR),))
    finish(store, reserve(store, by_policy(budget=budget)), 1, outcome)
    assert refused(store, by_policy("other", budget=budget), 2) == HoldReason.LIMIT_POLICY


def test_every_scope_counts_what_it_says(store: Store) -> None:
    """Item and target count by remedy and target, policy everywhere, global everything."""

    def limited(scope: str) -> Budget:
        return Budget(timedelta(0), (Window(scope, 1, HOUR),))  # type: ignore[arg-type]

    run(store, by_policy("prod", items=("a", "b")), 0)
    cases = {
        "item": (by_policy("prod", items=("c", "b")), by_policy("prod", items=("c",))),
        "target": (by_policy("prod", policy="other"), by_policy("staging")),
        "policy": (by_policy("staging"), by_policy("prod", policy="other")),
        "global": (by_policy("staging", policy="other", remedy="x"), None),
    }
    for scope, (held, free) in cases.items():
        assert refused(store, replace(held, budget=limited(scope)), 2) == f"limit_{scope}"
        if free is not None:
            run(store, replace(free, budget=limited(scope)), 2)


def test_items_count_even_when_the_plan_names_none(store: Store) -> None:
    """A remedy whose plan forgets the items it was decided for does not escape their limit."""
    request = by_policy(items=("a",), budget=Budget(timedelta(0), (Window("item", 1, None),)))
    plan = replace(plan_for(request), items=())
    operation = store.reserve(request, plan, owner="one", lease=LEASE, now=at(0))
    assert operation.items == ("a",)
    finish(store, operation, 1)
    with pytest.raises(LimitReachedError):
        store.reserve(request, plan, owner="one", lease=LEASE, now=at(2))


def test_rehearsals_have_a_budget_of_their_own(store: Store) -> None:
    """A rehearsal is closed at once, locks nothing, and is limited by rehearsals alone."""
    budget = Budget(timedelta(0), (Window("target", 1, HOUR),))
    request = by_policy(budget=budget, mode=Mode.OBSERVE)
    reserve(store, by_policy(budget=budget))
    rehearsed = store.rehearse(request, plan_for(request), now=at(1))
    assert (rehearsed.outcome, rehearsed.phase) == (Outcome.OBSERVED, Phase.CLOSED)
    assert rehearsed.summary == plan_for(request).summary
    with pytest.raises(LimitReachedError):
        store.rehearse(request, plan_for(request), now=at(2))
    with pytest.raises(ValueError, match="rehearse"):
        reserve(store, request, 3)


def test_a_rehearsal_honours_a_persons_cooldown(store: Store) -> None:
    """What would have been held by a person's operation is held in a rehearsal too."""
    request = by_policy(budget=replace(ROOMY, cooldown=HOUR), mode=Mode.OBSERVE)
    run(store, by_person(), 0)
    with pytest.raises(LimitReachedError) as caught:
        store.rehearse(request, plan_for(request), now=at(60))
    assert caught.value.reason == HoldReason.COOLDOWN


def test_refused_and_answered_calls_are_recorded_and_count_for_nothing(store: Store) -> None:
    """A refused attempt and a doctor's call are in the ledger, closed, and limit nobody."""
    refusal = store.refuse(by_person(), reason="not-latest", message="it is old", now=at(0))
    assert (refusal.outcome, refusal.error) == (Outcome.REFUSED, "not-latest: it is old")
    answer = store.record_answered(by_person(), now=at(1), after={"ok": True})
    assert (answer.outcome, answer.after) == (Outcome.ANSWERED, {"ok": True})
    reserve(store, by_policy(budget=replace(ROOMY, cooldown=HOUR)), 2)


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    """A refused reserve, and one that crashes half-way, leave neither row nor entry."""
    reserve(store, by_policy())
    before = store.head(), store.operations()
    with pytest.raises(InFlightError):
        reserve(store, by_policy())
    wrong = replace(by_policy("staging"), target="elsewhere")
    with pytest.raises(ValueError, match="does not serve"):
        store.reserve(wrong, plan_for(by_policy("staging")), owner="one", lease=LEASE, now=at(1))
    assert (store.head(), store.operations()) == before


def test_lists_are_filtered_and_paged(store: Store) -> None:
    """People find operations by target, policy, remedy, outcome, source and time, page by page."""
    made = [
        run(store, by_policy("a", policy="p"), 0),
        run(store, by_person("b"), 10),
        run(store, by_policy("b", policy="q", remedy="x"), 20, Outcome.UNVERIFIED),
    ]
    newest_first = [o.id for o in reversed(made)]

    def found(**filters: object) -> list[str]:
        return [o.id for o in store.operations(**filters)]  # type: ignore[arg-type]

    assert found() == newest_first
    assert found(limit=2) == newest_first[:2]
    assert found(before=newest_first[1]) == newest_first[2:]
    assert found(target="b") == newest_first[:2]
    assert found(policy="p") == [made[0].id]
    assert found(remedy="x") == found(outcome=Outcome.UNVERIFIED) == [made[2].id]
    assert found(source="cli") == [made[1].id]
    assert found(since=at(10), until=at(20)) == [made[1].id]


def test_an_operation_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    """People need not type a whole id; one that fits several operations names them."""
    first = run(store, by_policy("a"), 0)
    second = run(store, by_policy("b"), 1)
    assert store.operation(first.id[3:].upper()) == first
    assert store.operation("op_zzz") is None
    assert store.operation("%") is None
    with pytest.raises(AmbiguousError) as caught:
        store.operation("op_")
    assert set(caught.value.matches) == {first.id, second.id}


def test_ids_sort_by_time(store: Store) -> None:
    """A later operation has a greater id."""
    ids = [run(store, by_policy(), seconds).id for seconds in (0, 2, 90_000)]
    assert ids == sorted(ids)


def test_the_chain_holds_after_every_kind_of_entry(store: Store, engine: Engine) -> None:
    """Whatever happened, every entry follows the one before it, up to the head."""
    run(store, by_policy(items=("a",)), 0)
    store.refuse(by_person(), reason="not-latest", message="it is old", now=at(3))
    reserve(store, by_policy(), 4)
    store.sweep(at(100))
    with pytest.raises(MedicError):
        reserve(store, by_policy(budget=Budget(timedelta(0), (Window("policy", 0, None),))), 101)
    assert verify(store.chain(), store.head()) is None
    assert verify(Store(engine).chain(), store.head()) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET seq = 99 WHERE seq = 2",
        "UPDATE entries SET operation_id = NULL WHERE seq = 2",
        "UPDATE entries SET kind = 'closed' WHERE seq = 2",
        "UPDATE entries SET at = '2026-03-01 02:00:00.000000' WHERE seq = 2",
        "UPDATE entries SET body = '{}' WHERE seq = 3",
        "UPDATE entries SET prev_hash = hash WHERE seq = 2",
        "UPDATE entries SET hash = prev_hash WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 3",
        "INSERT INTO entries SELECT 5, NULL, kind, at, body, hash, hash FROM entries WHERE seq = 4",
    ],
)
def test_tampering_with_the_database_is_found(store: Store, engine: Engine, statement: str) -> None:
    """Whoever changes, removes or adds a row of the record by hand is noticed."""
    run(store, by_policy(), 0)
    assert verify(store.chain(), store.head()) is None
    with engine.begin() as connection:
        connection.execute(text(statement))
    assert verify(store.chain(), store.head()) is not None
