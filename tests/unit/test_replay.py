"""What policies would have done over made-up history, and what would have held them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from exporter.ledger.echo import scratch_ledger
from exporter.ledger.store import Store
from exporter.model.decision import Mode
from exporter.model.hold import HoldReason
from exporter.model.operation import Outcome
from exporter.model.target import Target
from exporter.policy.policy import Policy
from exporter.replay.replay import Question, Replayed, replay
from exporter.replay.simulation import Deed
from tests.contract.ledger.making import LEASE, by_person, by_policy, plan_for
from tests.unit.policy_scenes import NOW, ONE, TWO, policy, views
from tests.unit.recorded import Night, Seen, missing_during

MINUTE = timedelta(minutes=1)
BAD = missing_during((5, 30), (40, 50))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with scratch_ledger() as made:
        yield made


def heal(name: str = "heal", **changes: str) -> Policy:
    keys = {
        "for": "1m",
        "cooldown": "5m",
        "limits": "[{scope: target, max: 9, per: 24h}]",
        "verify": "{within: 10m, healthy_for: 30s}",
    }
    return policy(name=name, **(keys | changes))


def ask(engine: Engine, *policies: Policy, minutes: float = 60, **about: object) -> Replayed:
    question = Question(since=NOW, until=NOW + minutes * MINUTE, policies=policies)
    return replay(replace(question, **about), engine)  # type: ignore[arg-type]


def begun(found: Replayed) -> list[float]:
    """In which minutes something is begun."""
    return [(deed.at - NOW) / MINUTE for deed in found.deeds if deed.outcome is None]


def ends(found: Replayed) -> list[tuple[str, float]]:
    """How, and in which minutes, something ends."""
    return [
        (str(deed.outcome), (deed.at - NOW) / MINUTE)
        for deed in found.deeds
        if deed.outcome is not None
    ]


def held(found: Replayed) -> dict[HoldReason, float]:
    """For how many minutes altogether each reason held."""
    total: dict[HoldReason, timedelta] = {}
    for one in found.held:
        until = one.until or found.ended
        assert until is not None
        total[one.reason] = total.get(one.reason, timedelta(0)) + (until - one.since)
    return {reason: length / MINUTE for reason, length in total.items()}


async def test_a_repair_that_helps_is_one_for_each_time_it_was_needed(engine: Engine) -> None:
    """After `for`; then nothing, until what called for it was over in the record and came again."""
    await Night(engine).record(BAD, 60)
    found = ask(engine, heal())
    assert begun(found) == [6, 41]
    assert ends(found) == [("verified", 6.5), ("verified", 41.5)]
    assert held(found) == {HoldReason.PENDING: 2}
    assert (found.rounds, found.readings, found.targets) == (241, 241 * 6, {"prod"})
    assert set(found.policies) == {"heal"}


async def test_a_repair_that_does_not_help_is_tried_until_its_breaker_opens(engine: Engine) -> None:
    """Each is unverified after `within`, then the cooldown holds; after two nothing any more."""
    await Night(engine).record(missing_during((5, 61)), 60)
    found = ask(engine, heal(verify="{within: 3m, healthy_for: 30s}"), helps=False)
    assert begun(found) == [6, 14]
    assert ends(found) == [("unverified", 9), ("unverified", 17)]
    assert set(held(found)) == {
        *(HoldReason.PENDING, HoldReason.IN_FLIGHT, HoldReason.COOLDOWN, HoldReason.BREAKER_OPEN)
    }
    assert found.held[0].reason is HoldReason.BREAKER_OPEN
    assert found.held[0].until is None


async def test_a_repair_counts_where_the_record_shows_that_it_is_over(engine: Engine) -> None:
    """Although none is believed to help: seen well for `healthy_for`, on readings begun since."""
    await Night(engine).record(missing_during((5, 8)), 20)
    found = ask(engine, heal(), helps=False, minutes=20)
    assert begun(found) == [6]
    assert ends(found) == [("verified", 8.5)]


async def test_a_spent_limit_holds(engine: Engine) -> None:
    """As the ledger of the replay counts, over all of the record."""
    await Night(engine).record(missing_during((0, 10), (20, 30), (40, 50)), 60)
    found = ask(engine, heal(limits="[{scope: target, max: 2, per: 24h}]"))
    assert begun(found) == [1, 21]
    assert held(found)[HoldReason.LIMIT_TARGET] == 9


async def test_observing_rehearses_and_proposing_asks(engine: Engine) -> None:
    """A plan that nobody answers expires after an hour, and is made anew; a rehearsal, after its
    cooldown; one whose condition is false by then is withdrawn.
    """
    await Night(engine).record(missing_during((5, 75)), 90)
    rehearsed = ask(engine, heal(mode="observe"), minutes=90)
    assert begun(rehearsed)[:3] == [6, 11, 16]
    assert {deed.mode for deed in rehearsed.deeds} == {Mode.OBSERVE}
    proposed = ask(engine, heal(mode="approve"), minutes=90)
    assert begun(proposed)[0] == 6
    assert ends(proposed) == [("expired", 66), ("withdrawn", 75)]
    assert len(begun(proposed)) == 2
    assert held(proposed)[HoldReason.AWAITING_APPROVAL] > 60


async def test_a_mode_is_put_on_all_but_those_that_are_off(engine: Engine) -> None:
    """`--mode enforce`: as if it had been bold; what is off stays so."""
    await Night(engine).record(BAD, 60)
    observing, off = heal(mode="observe"), heal("off", mode="off")
    found = ask(engine, observing, off, mode=Mode.ENFORCE)
    assert begun(found) == [6, 41]
    assert {deed.mode for deed in found.deeds} == {Mode.ENFORCE}
    assert {one.policy for one in found.held if one.reason is HoldReason.MODE_OFF} == {"off"}


async def test_a_message_is_sent_and_mends_nothing(engine: Engine) -> None:
    """Again after its cooldown, as long as its reason lasts."""
    await Night(engine).record(missing_during((5, 30)), 30)
    tell = policy(
        name="tell",
        action="{notify: {message: look}}",
        limits="",
        cooldown="10m",
    )
    found = ask(engine, tell, minutes=30)
    assert begun(found) == [5, 15, 25]
    assert {outcome for outcome, _ in ends(found)} == {str(Outcome.VERIFIED)}


async def test_each_item_is_healed_one_at_a_time(engine: Engine) -> None:
    """One lock a target; each item has its own time of waiting."""

    def seen(target: Target, since: timedelta):  # type: ignore[no-untyped-def] # noqa: ANN202 - as Seen
        bad = timedelta(0) <= since < 20 * MINUTE
        return views(target, missing=["Greeter", "Mailer"] if bad else [])

    await Night(engine, targets=(TWO,)).record(seen, 30)
    each = heal(when="size(item.missing) > 0", for_each="workers", cooldown="1s")
    found = ask(engine, each, minutes=30)
    assert [deed.items for deed in found.deeds if deed.outcome is None] == [
        ("http://w1:9080/",),
        ("http://w2:9080/",),
    ]
    assert begun(found) == [1, 1.75]
    assert HoldReason.IN_FLIGHT in held(found)


async def test_what_people_did_then_counts(engine: Engine) -> None:
    """Their pauses and operations hold policies, as they would have; what policies did does not."""
    made = by_person()
    theirs = by_policy(policy="heal")

    def repair(store: Store, now) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - a moment
        row = store.reserve(made, plan_for(made), owner="x", lease=LEASE, now=now)
        store.finish(row.id, Outcome.VERIFIED, owner="x", now=now)

    def by_then(store: Store, now) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - a moment
        row = store.reserve(theirs, plan_for(theirs), owner="x", lease=LEASE, now=now)
        store.finish(row.id, Outcome.FAILED, owner="x", now=now)

    night = Night(
        engine,
        happens={
            timedelta(0): by_then,
            5 * MINUTE: lambda store, now: store.pause(
                "target", "prod", owner="mira", reason="migration", now=now
            ),
            10 * MINUTE: lambda store, now: store.unpause(
                [pause.id for pause in store.pauses()], actor="mira", now=now
            ),
            9 * MINUTE: repair,
        },
    )
    await night.record(missing_during((4, 40)), 40)
    found = ask(engine, heal(breaker="{failed: 1, per: 24h, reset: manual}"), minutes=40)
    assert begun(found) == [19]
    hours = held(found)
    assert hours[HoldReason.PAUSED] == 5
    assert hours[HoldReason.MANUAL_HOLD] == 9
    assert HoldReason.BREAKER_OPEN not in hours
    assert len(engine_rows(engine)) == 2


@pytest.mark.parametrize("helps", [True, False])
async def test_what_a_person_mends_while_a_repair_is_played_counts_too(
    engine: Engine, *, helps: bool
) -> None:
    """Both lock the target at once, which nobody could then: each goes on, and both are counted."""
    made = by_person()
    theirs: list[str] = []

    def begin(store: Store, now) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - a moment
        row = store.reserve(made, plan_for(made), owner="x", lease=LEASE, now=now)
        theirs.append(row.id)

    def end(store: Store, now) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - a moment
        store.finish(theirs[0], Outcome.VERIFIED, owner="x", now=now)

    night = Night(engine, happens={6.25 * MINUTE: begin, 8 * MINUTE: end})
    await night.record(missing_during((5, 9), (12, 40)), 40)
    found = ask(engine, heal(), minutes=40, helps=helps)
    assert begun(found)[:2] == [6, 18]  # ten minutes after a person's
    assert ends(found)[0][0] == "verified"
    while_missing = 0 if helps else 9 - 6.25
    assert held(found)[HoldReason.MANUAL_HOLD] == while_missing + (18 - 12)


def engine_rows(engine: Engine) -> tuple[object, ...]:
    return Store(engine).operations()


async def test_the_policies_of_then_are_replayed_when_none_are_given(engine: Engine) -> None:
    """Read from the record, also when they were changed under way."""
    one, two = heal(), policy(name="other")
    await Night(engine, policies=(one,)).record(missing_during((5, 10)), 30)
    night = Night(engine, policies=(two,), began=NOW + 31 * MINUTE)
    await night.record(missing_during((5, 10)), 30, boot="next")
    found = ask(engine, minutes=70, policies=None)
    assert [deed.policy for deed in found.deeds if deed.outcome is None] == ["heal", "other"]
    assert set(found.policies) == {"heal", "other"}


async def test_a_restart_waits_again(engine: Engine) -> None:
    """What a process kept in memory does not outlive it: half a `for` in each run is none."""
    seen = missing_during((0, 60))
    await Night(engine).record(seen, 3)
    await Night(engine, began=NOW + 4 * MINUTE).record(seen, 3, boot="next")
    found = ask(engine, heal(**{"for": "5m"}), minutes=10)
    assert begun(found) == []
    whole = ask(engine, heal(**{"for": "2m"}), minutes=10, helps=False)
    assert begun(whole) == [2]


async def test_targets_are_judged_together_and_shown_alone(engine: Engine) -> None:
    """What is asked about one target is decided on it alone: others are not even read."""
    other = replace(ONE, name="other")
    await Night(engine, targets=(ONE, other)).record(BAD, 60)
    found = ask(engine, heal(), targets=("other",))
    assert (begun(found), found.targets) == ([], {"other"})
    assert begun(ask(engine, heal(), targets=("prod",))) == [6, 41]


async def test_only_what_was_asked_for_is_told(engine: Engine) -> None:
    """What came before it is there to know how things stood."""
    seen: Seen = missing_during((5, 30))
    await Night(engine).record(seen, 60)
    found = ask(engine, heal(), since=NOW + 20 * MINUTE)
    assert found.began == NOW + 20 * MINUTE
    assert begun(found) == [20]
    progress: list[object] = []
    replay(Question(NOW, NOW + 60 * MINUTE, (heal(),)), engine, on_progress=progress.append)
    assert len(progress) == 1
    assert isinstance(found.deeds[0], Deed)
