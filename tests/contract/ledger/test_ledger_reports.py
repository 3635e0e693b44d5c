"""A day's report is sent once, by whoever acts; and the chain tells when nobody did."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from exporter.ledger.dispatches import Dispatch
from exporter.ledger.store import Store
from exporter.model.decision import Decision, Result, Subject
from exporter.model.errors import StoppedError
from exporter.model.hold import HoldReason
from exporter.model.operation import Fence, Outcome
from tests.contract.ledger.making import LEASE, at, by_person, by_policy, plan_for

DAY = timedelta(days=1)


@pytest.fixture
def owned(store: Store) -> Store:
    store.acquire("1/1", holder="me", length=LEASE)
    return store


def begin(
    store: Store, day: str, *, owner: str = "me", now: datetime, epoch: int = 1
) -> Dispatch | None:
    return store.begin_report(
        day,
        notifier="ops",
        owner=owner,
        fence=Fence("1/1", owner, epoch),
        since=now - DAY,
        furthest=now - 2 * DAY,
        now=now,
    )


def test_a_day_is_reported_once(owned: Store) -> None:
    """Not again while it is being sent, nor when it was, by this owner or the next."""
    sent = begin(owned, "2026-03-01", now=at(0))
    assert sent is not None
    assert begin(owned, "2026-03-01", now=at(1)) is None
    owned.end_report(sent.id, "delivered", why="", now=at(2))
    assert begin(owned, "2026-03-01", now=at(3)) is None
    owned.release("1/1", holder="me")
    owned.acquire("1/1", holder="other", length=LEASE)
    assert begin(owned, "2026-03-01", owner="other", epoch=2, now=at(4)) is None
    assert begin(owned, "2026-03-02", owner="other", epoch=2, now=at(86_400)) is not None


def test_what_its_sender_did_not_end_is_sent_by_the_next(owned: Store) -> None:
    """A process that ended in between has perhaps told nobody."""
    assert begin(owned, "2026-03-01", now=at(0)) is not None
    owned.release("1/1", holder="me")
    owned.acquire("1/1", holder="other", length=LEASE)
    assert begin(owned, "2026-03-01", owner="other", epoch=2, now=at(9)) is not None


def test_only_who_acts_sends(owned: Store) -> None:
    """Two instances with one clock do not both tell of the night."""
    with pytest.raises(StoppedError):
        begin(owned, "2026-03-01", owner="other", now=at(0))
    with pytest.raises(StoppedError):
        begin(owned, "2026-03-01", epoch=7, now=at(0))


@pytest.mark.parametrize(
    ("hours", "reaches"),
    [(23, 24), (24, 24), (25, 25), (47, 47), (70, 48)],
    ids=lambda value: f"{value}h",
)
def test_nothing_falls_between_two_reports(owned: Store, hours: int, reaches: int) -> None:
    """A day of 25 hours, or one on which none was sent, is in the next; within bounds."""
    assert begin(owned, "2026-03-01", now=at(0)) is not None
    now = at(hours * 3600)
    found = begin(owned, "2026-03-02", now=now)
    assert found is not None
    assert now - found.since == timedelta(hours=reaches)


def test_the_chain_tells_since_when_nobody_acted(owned: Store, engine: Engine) -> None:
    """Whoever takes over says so, and so does the same process that comes back too late."""
    with engine.begin() as connection:
        past = (
            "datetime('now', '-1 hour')"
            if engine.dialect.name == "sqlite"
            else ("now() - interval '1 hour'")
        )
        connection.execute(text(f"UPDATE leases SET until = {past}"))
    owned.acquire("1/1", holder="me", length=LEASE)
    owned.release("1/1", holder="me")
    owned.acquire("1/1", holder="other", length=LEASE)
    owned.acquire("1/1", holder="other", length=LEASE)
    bodies = [entry.data for entry in owned.chain() if entry.kind == "owner"]
    assert [body["holder"] for body in bodies] == ["me", "me", "other"]
    assert [body["epoch"] for body in bodies] == [1, 1, 2]
    assert [body["idle_since"] is None for body in bodies] == [True, False, False]


def test_a_period_has_what_happened_in_it_and_what_stood_before(owned: Store) -> None:
    """On either database: what was not clear when it began, what was done since, who acted."""
    subject = Subject("heal", "prod")
    for seconds, reason in ((0, HoldReason.PENDING), (5, HoldReason.COOLDOWN)):
        owned.note_changes([Decision(subject, Result.HOLD, reason)], now=at(seconds))
    early = by_policy()
    done = owned.reserve(early, plan_for(early), owner="me", lease=LEASE, now=at(6))
    owned.finish(done.id, Outcome.VERIFIED, owner="me", now=at(7))
    owned.note_changes([Decision(subject, Result.CLEAR)], now=at(100))
    late = replace(by_policy(), true_since=at(90))
    open_ = owned.reserve(late, plan_for(late), owner="me", lease=LEASE, now=at(101))
    owned.record_answered(by_person(remedy="doctor"), now=at(102))
    found = owned.period(at(50))
    assert [(r.at, r.reason) for r in found.before] == [(at(0), "pending"), (at(5), "cooldown")]
    assert [(r.at, r.result) for r in found.decisions] == [(at(100), "clear")]
    assert [operation.id for operation in found.operations] == [open_.id]
    assert found.true_since == {open_.id: at(90)}
    assert [lease.holder for lease in found.leases] == ["me"]
    assert found.cut is False
    assert found.first_entry_at is not None
