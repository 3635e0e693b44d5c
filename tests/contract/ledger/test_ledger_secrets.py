"""Rule 9: no secret is ever in the ledger, wherever it came from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.ledger.tables import metadata
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.errors import InFlightError, LimitReachedError
from exporter.model.hold import HoldReason
from exporter.model.operation import ActResult, Budget, ItemOutcome, Outcome, Phase, Window
from tests.contract.ledger.making import LEASE, REMEDY, ROOMY, at, by_person, by_policy, plan_for

PASSWORD = "hunter2secret"
TOKEN = "key_0123456789abcdef"
BEARER = "Bearer abcdefghijklmnop"
LEAKY = f"http://medic:{PASSWORD}@w:9080/ said {TOKEN} to {BEARER}"
LEAKS = {"url": LEAKY, "headers": {"x-plain": PASSWORD}, "admin_token": PASSWORD, LEAKY: [LEAKY]}


def everything(engine: Engine) -> str:
    with engine.connect() as connection:
        return "\n".join(
            str(tuple(row))
            for table in metadata.sorted_tables
            for row in connection.execute(select(table))
        )


def test_secrets_are_never_stored(store: Store, engine: Engine) -> None:
    """User info, tokens, headers and secret-named values are gone from every column."""
    request = replace(
        by_policy(items=(LEAKY,)),
        arguments=LEAKS,
        values=LEAKS,
        reason=LEAKY,
        actor=LEAKY,
        allow=frozenset({LEAKY}),
        request_id=LEAKY,
    )
    plan = replace(
        plan_for(request),
        summary=LEAKY,
        rests_on=LEAKS,
        before=LEAKS,
        steps=(LEAKY,),
        allowed=(LEAKY,),
    )
    operation = store.reserve(request, plan, owner="one", lease=LEASE, now=at(0))
    store.advance(operation.id, Phase.ACTING, owner="one", lease=LEASE, now=at(1), detail=LEAKY)
    item = ItemOutcome(LEAKY, LEAKY, LEAKY)
    store.note_item(operation.id, item, owner="one", now=at(2))
    result = ActResult(after=LEAKS, items=(item,))
    store.mark_acted(operation.id, result, owner="one", lease=LEASE, now=at(3))
    store.finish(operation.id, Outcome.UNVERIFIED, owner="one", now=at(4), after=LEAKS, error=LEAKY)
    store.refuse(replace(request, source="cli"), reason=LEAKY, message=LEAKY, now=at(5))
    store.record_answered(replace(request, source="api"), now=at(6), after=LEAKS)
    store.rehearse(replace(request, mode=Mode.OBSERVE), plan, now=at(7))
    store.note_changes(
        [
            Decision(
                Subject("heal", "prod", LEAKY),
                Result.HOLD,
                HoldReason.PREFLIGHT_REFUSED,
                LEAKY,
                values=LEAKS,
            )
        ],
        at(8),
    )
    stored = everything(engine)
    assert "w:9080" in stored
    for secret in (PASSWORD, TOKEN, "abcdefghijklmnop"):
        assert secret not in stored


def test_errors_show_no_secrets(store: Store) -> None:
    """What a person is told about a busy target or a spent limit has no secrets either."""
    request = by_policy(items=(LEAKY,), budget=Budget(ROOMY.cooldown, (Window("item", 0, None),)))
    with pytest.raises(LimitReachedError) as limited:
        store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))
    person = by_person(actor=LEAKY)
    store.reserve(person, plan_for(person), owner="one", lease=LEASE, now=at(0))
    with pytest.raises(InFlightError) as busy:
        store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(1))
    for message in (str(limited.value), str(busy.value)):
        assert PASSWORD not in message
        assert TOKEN not in message


def test_hidden_parts_of_a_key_do_not_make_two_items_one(store: Store, engine: Engine) -> None:
    """Workflow keys that look like tokens are hidden, but each keeps a limit of its own."""
    budget = Budget(ROOMY.cooldown, (Window("item", 1, None),))
    ann, ben = "Signup/key_customer-ann", "Signup/key_customer-ben"
    for seconds, key in ((0, ann), (2, ben)):
        request = by_policy(items=(key,), budget=budget)
        operation = store.reserve(
            request, plan_for(request), owner="one", lease=LEASE, now=at(seconds)
        )
        store.finish(operation.id, Outcome.VERIFIED, owner="one", now=at(seconds + 1))
    with pytest.raises(LimitReachedError):
        store.reserve(
            by_policy(items=(ann,), budget=budget),
            plan_for(by_policy(items=(ann,))),
            owner="one",
            lease=LEASE,
            now=at(4),
        )
    assert "customer-ann" not in everything(engine)
    standing = Standing()
    standing.apply(standing.fetch(engine))
    counts = standing.item_counts("prod", REMEDY)
    assert (counts[ann], counts.get(ben, 0), counts.get("Signup/else", 0)) == (1, 1, 0)


def test_strange_text_is_stored(store: Store) -> None:
    """NUL, lone surrogates and very long keys, which databases refuse, do not stop an operation."""
    strange = "a\x00b\ud800c\N{SNOWMAN}"
    longest = "Signup/" + "x" * 10_000
    request = replace(by_policy(items=(strange, longest)), values={strange: strange})
    operation = store.reserve(request, plan_for(request), owner="one", lease=LEASE, now=at(0))
    closed = store.finish(operation.id, Outcome.FAILED, owner="one", now=at(1), error=strange)
    assert store.operation(operation.id) == closed
    assert closed.error == "a\N{REPLACEMENT CHARACTER}b?c\N{SNOWMAN}"
    assert len(closed.items) == 2
