"""What explains a decision: every gate, what the condition saw, and when it could act."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.explain import explained, explanation_body
from exporter.model.component import Component
from exporter.model.decision import Decision, Mode, Result, Subject, Verdict
from exporter.model.hold import HoldReason
from exporter.policy.gates import GATES
from exporter.web import StandingDecision
from tests.unit.bureau import Bureau, bureau_at
from tests.unit.policy_scenes import NOW, policy, views


@pytest.fixture
async def bureau(tmp_path: Path) -> AsyncIterator[Bureau]:
    async with bureau_at(tmp_path) as opened:
        yield opened


def read(bureau: Bureau, *components: Component, missing: Iterable[str] = ("Counter",)) -> None:
    """Have the target read now: one of its services is not registered."""
    bureau.target.shown = dict(views(bureau.target.target, missing=missing))
    readings = bureau.target.readings(*components)
    bureau.fleet.merge(bureau.target.target, readings, now=bureau.clock.now())


async def test_every_gate_answers_and_the_first_that_holds_names_the_hold(bureau: Bureau) -> None:
    """Also those behind it, which a round does not ask."""
    bureau.policies = (policy(name="heal", mode="observe", more="for: 2m"),)
    read(bureau)
    (found,) = (await bureau.get("explain"))["explanations"]
    assert [v["gate"] for v in found["verdicts"]] == [gate.__name__ for gate in GATES]
    holding = [v["gate"] for v in found["verdicts"] if v["holds"]]
    assert holding == ["pending", "observing"]
    assert (found["result"], found["reason"]) == ("hold", "pending")
    assert (found["actsAt"], found["openEnded"]) == (None, ["observing"])
    assert found["values"] == {"services.missing": ["Counter"]}
    assert (found["unknown"], found["for"]) == ([], "2m")


async def test_it_leaves_no_trace(bureau: Bureau) -> None:
    """Asked as often as one likes, a wait does not become longer, and the ledger stays as it is."""
    bureau.policies = (policy(name="heal", more="for: 2m"),)
    read(bureau)
    head = await bureau.ledger.head()
    answers = [await bureau.get("explain?target=prod&policy=heal") for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["explanations"][0]["waiting"]["readings"] == 1
    assert await bureau.ledger.head() == head


async def test_what_is_clear_asks_no_gate(bureau: Bureau) -> None:
    """There is nothing to hold, and no moment at which it would act."""
    read(bureau, missing=())
    (found,) = (await bureau.get("explain"))["explanations"]
    assert (found["result"], found["verdicts"], found["actsAt"]) == ("clear", [], None)


async def test_what_is_unknown_is_named(bureau: Bureau) -> None:
    """A value that was not read is no empty one."""
    read(bureau, Component.ADMIN)
    (found,) = (await bureau.get("explain"))["explanations"]
    assert found["unknown"] == ["services.missing"]
    assert found["values"] == {}
    assert {"report_stale", "component_unknown"} <= set(found["openEnded"])


async def test_a_list_that_is_unknown_is_named_and_an_empty_one_is_not(bureau: Bureau) -> None:
    """Whoever has no items is clear; whoever cannot list them is not."""
    bureau.policies = (
        policy(
            name="heal",
            when='item.age > duration("1m")',
            for_each="invocations.paused",
            action="{resume-invocations: {service: [Greeter], max_items: 5}}",
            limits="[{scope: item, max: 2, per: forever}, {scope: target, max: 3, per: 24h}]",
        ),
    )
    read(bureau, Component.ADMIN)
    (found,) = (await bureau.get("explain"))["explanations"]
    assert (found["item"], found["result"]) == (None, "hold")
    assert found["unknown"] == ["invocations.paused"]
    read(bureau)
    (found,) = (await bureau.get("explain"))["explanations"]
    assert (found["item"], found["result"], found["unknown"]) == (None, "clear", [])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("target=prd", "query.target: there is no such target; did you mean 'prod'?"),
        ("policy=heel", "query.policy: there is no such policy; did you mean 'heal'?"),
        ("item=nowhere", "query.item: there is no such item"),
        ("result=hold", "query: there is no parameter 'result'"),
        ("cursor=abc", "query.cursor: is no cursor of this list"),
    ],
)
async def test_who_asks_about_what_is_not_there_is_told(
    bureau: Bureau, query: str, says: str
) -> None:
    """An empty answer would look as if nothing held it."""
    (issue,) = (await bureau.get(f"explain?{query}", 422))["data"]["issues"]
    assert f"{issue['path']}: {issue['message']}".startswith(says)


async def test_since_is_told_while_the_decision_is_still_the_rounds(bureau: Bureau) -> None:
    """What has changed since the last round did not stand since then."""
    read(bureau)
    before = NOW - timedelta(minutes=5)
    for result, told in ((Result.ACT, True), (Result.CLEAR, False)):
        bureau.decisions = (
            StandingDecision(Decision(Subject("heal", "prod"), result), since=before),
        )
        (found,) = (await bureau.get("explain"))["explanations"]
        assert (found["result"], found["since"] is not None) == ("act", told)


moments = st.none() | st.integers(-60, 600).map(lambda s: NOW + timedelta(seconds=s))
verdicts = st.builds(
    Verdict,
    gate=st.sampled_from(HoldReason),
    holds=st.booleans(),
    until=moments,
)


@given(st.lists(verdicts, unique_by=lambda v: v.gate, max_size=8))
def test_the_next_moment_is_when_the_last_gate_opens(asked: list[Verdict]) -> None:
    """Never before any gate that holds opens, never in the past, and not known if one is not."""
    holding = [v for v in asked if v.holds]
    first = holding[0].gate if holding else None
    decision = Decision(
        Subject("heal", "prod"),
        Result.HOLD if holding else Result.ACT,
        first,
        values={"services.missing": []},
        verdicts=tuple(asked),
    )
    found = explained(policy(name="heal"), decision, NOW)
    never = tuple(v.gate for v in holding if v.until is None)
    assert found.open_ended == never
    expected: datetime | None = None
    if not never:
        expected = max([NOW, *(v.until for v in holding if v.until is not None)])
    assert found.acts_at == expected


def test_nothing_that_looks_like_a_secret_is_told() -> None:
    """A condition is a user's text, and may compare with anything."""
    when = 'admin.version != "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijklmnop"'
    decision = Decision(Subject("heal", "prod"), Result.CLEAR, mode=Mode.ENFORCE)
    body = explanation_body(explained(policy(name="heal", when=when), decision, NOW), None)
    assert "eyJzdWIi" not in body.model_dump_json()
