"""Decisions on record: changes only, once, chained."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine

from exporter.ledger.chain import verify
from exporter.ledger.store import Store
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from tests.contract.ledger.making import at


def clear(policy: str = "heal", item: str | None = None) -> Decision:
    return Decision(Subject(policy, "prod", item), Result.CLEAR)


def hold(
    reason: HoldReason, policy: str = "heal", item: str | None = None, detail: str = ""
) -> Decision:
    subject = Subject(policy, "prod", item)
    return Decision(subject, Result.HOLD, reason, detail, values={"services.missing": ["A"]})


def act(policy: str = "heal", item: str | None = None) -> Decision:
    return Decision(Subject(policy, "prod", item), Result.ACT, mode=Mode.ENFORCE)


def recorded(store: Store) -> list[tuple[datetime, str, str]]:
    """Oldest first."""
    return [(d.at, d.result, d.reason) for d in reversed(store.decisions())]


def test_only_changes_are_recorded(store: Store) -> None:
    """The same result and reason, round after round, is one record; its detail may vary."""
    rounds = [
        clear(),
        hold(HoldReason.PENDING, detail="1 of 2 readings"),
        hold(HoldReason.PENDING, detail="2 of 2 readings"),
        act(),
        hold(HoldReason.IN_FLIGHT),
        clear(),
        clear(),
    ]
    noted = [store.note_changes([d], at(n)) for n, d in enumerate(rounds)]
    assert [bool(changes) for changes in noted] == [False, True, False, True, True, True, False]
    assert recorded(store) == [
        (at(1), "hold", "pending"),
        (at(3), "act", ""),
        (at(4), "hold", "in_flight"),
        (at(5), "clear", ""),
    ]
    first = store.decisions()[-1]
    assert first.detail == "1 of 2 readings"
    assert first.values == {"services.missing": ["A"]}


def test_clear_is_not_news_for_a_new_subject(store: Store) -> None:
    """A policy with nothing to do from the start leaves no record, and no entry."""
    before = store.head()
    assert store.note_changes([clear(), clear(item="a")], at(0)) == ()
    assert store.head() == before


def test_a_restart_repeats_nothing(store: Store, engine: Engine) -> None:
    """A new process takes up the record where the last one left it."""
    store.note_changes([hold(HoldReason.PENDING), act(item="a"), act("other")], at(0))
    store.note_changes([clear("other")], at(1))
    again = Store(engine)
    assert (
        again.note_changes([hold(HoldReason.PENDING), act(item="a"), clear("other")], at(2)) == ()
    )
    assert again.note_changes([hold(HoldReason.COOLDOWN)], at(3)) == (hold(HoldReason.COOLDOWN),)
    assert Store(engine).note_changes([clear()], at(4)) == (clear(),)


def test_another_process_that_takes_a_target_over_knows_the_record(
    store: Store, engine: Engine
) -> None:
    """What one process recorded the next does not repeat, even when both run all the while."""
    heir = Store(engine)
    heir.note_changes([act()], at(0))
    store.note_changes([hold(HoldReason.PENDING)], at(1))
    assert heir.note_changes([act()], at(2)) == (act(),)
    store.note_changes([hold(HoldReason.COOLDOWN)], at(3))
    assert heir.note_changes([hold(HoldReason.COOLDOWN)], at(4)) == ()


def test_the_latest_of_each_subject_and_the_history(store: Store) -> None:
    """People see where every policy and item stands, and how it came there."""
    store.note_changes([hold(HoldReason.PENDING), hold(HoldReason.PENDING, item="a")], at(0))
    store.note_changes([act(item="a")], at(1))
    latest = {d.subject: d.result for d in store.latest_decisions(target="prod")}
    assert latest == {Subject("heal", "prod"): "hold", Subject("heal", "prod", "a"): "act"}
    history = store.decisions(policy="heal", item="a")
    assert [d.result for d in history] == ["act", "hold"]
    assert store.decisions(before=history[0].seq, since=at(0), until=at(1), limit=1) == history[1:]
    assert store.latest_decisions(target="staging") == ()


def test_decisions_are_in_the_chain(store: Store) -> None:
    """Every recorded decision has its entry, so that a changed record can be noticed."""
    many = [hold(HoldReason.PENDING, policy=f"p{n}") for n in range(300)]
    store.note_changes(many, at(0))
    entries = store.chain()
    assert [e.seq for e in entries] == [d.seq for d in reversed(store.decisions(limit=1000))]
    assert {e.kind for e in entries} == {"decision"}
    assert entries[0].data["reason"] == "pending"
    assert verify(entries, store.head()) is None


def test_values_of_any_kind_can_be_recorded(store: Store) -> None:
    """Durations and moments, which conditions see, are kept as exact text."""
    values = {"item.age": timedelta(hours=1, seconds=0.5), "at": at(0), "n": float("nan")}
    decision = Decision(Subject("heal", "prod"), Result.ACT, values=values)
    store.note_changes([decision], at(0))
    (stored,) = store.decisions()
    assert stored.values == {"item.age": "3600.5s", "at": "2026-03-01T03:00:00Z", "n": "nan"}


def test_who_is_not_decided_about_any_more_is_gone_also_after_a_restart(engine: Engine) -> None:
    """Otherwise it stood on record for ever, and every report called it wrong."""
    pending, unread = hold(HoldReason.PENDING, item="a"), hold(HoldReason.COMPONENT_UNKNOWN)
    Store(engine).note_changes([pending, act(item="b")], at(0), of="prod")
    store = Store(engine)
    assert store.note_changes([unread], at(1), of="prod") == (unread,)  # nobody can tell
    later = store.note_changes([act(item="b")], at(2), of="prod")
    assert {(d.subject.item, d.result) for d in later} == {(None, "clear"), ("a", "clear")}
    assert store.note_changes([act(item="b")], at(3), of="prod") == ()
    assert [d.subject.item for d in store.note_changes([], at(4), of="prod")] == ["b"]


def test_what_stands_on_targets_that_are_not_watched_any_more_is_ended(engine: Engine) -> None:
    """Once; of targets that are watched nothing is said."""
    Store(engine).note_changes([hold(HoldReason.PENDING, item="a")], at(0), of="prod")
    store = Store(engine)
    assert store.note_unwatched({"prod"}, at(1)) == ()
    (ended,) = store.note_unwatched({"renamed"}, at(2))
    assert (ended.subject.item, ended.result) == ("a", Result.CLEAR)
    assert ended.detail == "its target is not watched any more"
    assert store.note_unwatched({"renamed"}, at(3)) == ()
    assert Store(engine).latest_decisions()[0].result == "clear"
