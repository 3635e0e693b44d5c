"""Retention removes what is old, and nothing that a policy may still ask about."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from exporter.ledger import pruning
from exporter.ledger.chain import Head
from exporter.ledger.checkpoint import digest_of
from exporter.ledger.echo import Echo, scratch_ledger
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import Inspection, inspect
from exporter.ledger.journal import Journal
from exporter.ledger.resting import Needed
from exporter.ledger.standing import Standing
from exporter.ledger.store import Store
from exporter.ledger.tables import metadata
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.errors import StoppedError
from exporter.model.hold import HoldReason
from exporter.model.identity import Identity
from exporter.model.keys import Role
from exporter.model.operation import ActResult, ItemOutcome, Operation, Outcome, Phase, Window
from exporter.model.orders import BreakerName
from exporter.model.relapse import Relapse
from exporter.policy.limits import left
from exporter.policy.memory import COUNTED, Forever
from tests.contract.ledger.aging import KEEP, NOTHING, Time, empty, hold, prune, told_time
from tests.contract.ledger.making import LEASE, NOW, by_person, by_policy, plan_for

DAY = timedelta(days=1)
TARGETS, POLICIES, ITEMS = ("prod", "lab"), ("heal", "other"), ("a", "b")
REMEDIES = ("force-redeploy", "recover-stuck-workflow")
SUBJECTS = [Subject(p, t, i) for p in POLICIES for t in TARGETS for i in (None, *ITEMS)]
_OUTCOMES = (
    *(Outcome.VERIFIED, Outcome.UNVERIFIED, Outcome.PARTIAL, Outcome.FAILED),
    *(Outcome.INDETERMINATE, Outcome.REFUSED),
)


@pytest.fixture
def time() -> Iterator[Time]:
    with told_time() as time:
        yield time


def check(url: str, known: Head | None = None) -> Inspection:
    async def look() -> Inspection:
        ledger = Ledger(url)
        try:
            return await inspect(ledger, known=known, page=5)
        finally:
            await ledger.close()

    return asyncio.run(look())


def counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def standing(engine: Engine) -> Standing:
    found = Standing()
    found.apply(found.fetch(engine))
    return found


def decide(
    store: Store, subject: Subject, at: datetime, reason: HoldReason | None = None
) -> tuple[Decision, ...]:
    """Hold for this reason, or be clear."""
    result = Result.CLEAR if reason is None else Result.HOLD
    return store.note_changes([Decision(subject, result, reason)], now=at)


def run(store: Store, at: datetime, outcome: Outcome = Outcome.VERIFIED, **asked: Any) -> Operation:
    request = by_policy(**asked)
    one = store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at)
    if outcome is not Outcome.REFUSED:
        store.advance(one.id, Phase.ACTING, owner="me", lease=LEASE, now=at)
        items = tuple(ItemOutcome(key, "done") for key in request.items)
        store.mark_acted(one.id, ActResult(items=items), owner="me", lease=LEASE, now=at)
    return store.finish(one.id, outcome, owner="me", now=at)


class Life:
    """Random things that happen to a ledger, days apart."""

    def __init__(self, store: Store, time: Time, data: st.DataObject) -> None:
        self.store, self.time, self._data = store, time, data
        self._done: list[Operation] = []

    def go_on(self) -> None:
        what = self._draw([self._operation] * 3 + [self._decision] * 3 + self._rarely())
        what(self.time.pass_(self._draw([timedelta(0), timedelta(minutes=5), DAY, 20 * DAY])))

    def _rarely(self) -> list[Any]:
        orders = [self._pause, self._unpause, self._reset, self._identity, self._key]
        return [*orders, self._proposal, self._relapse, self._person, self._rehearsal, self._answer]

    def _draw(self, of: Any) -> Any:
        return self._data.draw(st.sampled_from(of))

    def _asked(self) -> dict[str, Any]:
        return {
            "target": self._draw(TARGETS),
            "policy": self._draw(POLICIES),
            "remedy": self._draw(REMEDIES),
            "items": self._draw([(), ("a",), ("a", "b")]),
        }

    def _operation(self, at: datetime) -> None:
        self._done.append(run(self.store, at, self._draw(_OUTCOMES), **self._asked()))

    def _decision(self, at: datetime) -> None:
        reasons = [None, None, HoldReason.PENDING, HoldReason.COOLDOWN]
        decide(self.store, self._draw(SUBJECTS), at, self._draw(reasons))

    def _proposal(self, at: datetime) -> None:
        request = by_policy(mode=Mode.APPROVE, **self._asked())
        waits = self.store.propose(request, plan_for(request), owner="me", now=at)
        if self._draw([True, True, False]):
            self.store.reject(waits.id, actor="mira", reason="no", now=at)

    def _relapse(self, at: datetime) -> None:
        if self._done:
            one = self._draw(self._done)
            found = Relapse(one.id, one.target, one.remedy, "heal", ("a",), seen_at=at)
            self.store.note_relapse(found, now=at)

    def _person(self, at: datetime) -> None:
        request = by_person(self._draw(TARGETS), remedy=self._draw(REMEDIES))
        one = self.store.reserve(request, plan_for(request), owner="me", lease=LEASE, now=at)
        self.store.finish(one.id, self._draw(_OUTCOMES), owner="me", now=at)

    def _rehearsal(self, at: datetime) -> None:
        request = by_policy(mode=Mode.OBSERVE, **self._asked())
        self.store.rehearse(request, plan_for(request), now=at)

    def _answer(self, at: datetime) -> None:
        self.store.record_answered(by_person(remedy="doctor"), now=at)

    def _pause(self, at: datetime) -> None:
        until = self._draw([None, at + DAY, at + 50 * DAY])
        attempt = self._draw([None, by_person(remedy="pause")])
        self.store.pause(
            "global", "", owner="mira", reason="", now=at, expires_at=until, attempt=attempt
        )

    def _unpause(self, at: datetime) -> None:
        ids = [pause.id for pause in self.store.pauses()]
        if ids:
            attempt = self._draw([None, by_person(remedy="unpause")])
            self.store.unpause([self._draw(ids)], actor="ben", now=at, attempt=attempt)

    def _reset(self, at: datetime) -> None:
        names = [BreakerName(self._draw(TARGETS), self._draw(REMEDIES))]
        names.append(BreakerName(policy=self._draw(POLICIES)))
        self.store.reset_breaker(self._draw(names), actor="mira", reason="", now=at)

    def _identity(self, at: datetime) -> None:
        known = Identity(self._draw(["c1", "c2"]), frozenset({"dp"}))
        self.store.note_identity(self._draw(TARGETS), known, now=at)

    def _key(self, at: datetime) -> None:
        if not any(key.valid for key in self.store.api_keys()):
            digest = f"digest-{at.isoformat()}-{self.store.head().seq}"
            self.store.add_key("ops", Role.OPERATOR, digest=digest, actor="mira", now=at)
        else:
            self.store.revoke_key("ops", actor="mira", now=at)


def told(found: Standing, now: datetime, rests: Forever) -> dict[object, object]:
    """Every answer that a policy whose memory is not longer than ``KEEP`` may ask for."""
    old = now - KEEP
    answers: dict[object, object] = {
        "open": dict(found.open),
        "proposals": found.proposals,
        "pauses": [pause for pause in found.orders.pauses if pause.in_force(now)],
        "resets": dict(found.orders.resets),
        "identities": dict(found.orders.identities),
    }
    for policy, target, remedy, mode in itertools.product(
        POLICIES, TARGETS, REMEDIES, (Mode.ENFORCE, Mode.OBSERVE)
    ):
        where = policy, target, remedy, mode
        usage = found.usage(target=target, remedy=remedy, policy=policy, items=ITEMS, mode=mode)
        scopes = {
            "target": (usage.target, remedy in rests.targets),
            "policy": (usage.policy, policy in rests.policies),
            "global": (usage.everything, rests.everything),
            **{item: (usage.item[item], remedy in rests.items) for item in ITEMS},
        }
        for scope, (stamps, counted) in scopes.items():
            spans = [DAY, KEEP, *([None] if counted else [])]
            windows = [Window("target", most, per) for per in spans for most in (1, 5)]
            answers[where, scope] = [left(window, stamps, now=now) for window in windows]
        last = [at if at and at > old else None for at in (usage.last, usage.own)]
        answers[where, "last"] = last
        answers[where, "failures"] = sorted(found.failures(target, remedy))
        answers[where, "failures_of"] = sorted(found.failures_of(policy))
        helped = [found.helped(target, remedy, item) for item in ITEMS]
        answers[where, "helped"] = [h if h and h.finished_at > old else None for h in helped]
        if remedy in COUNTED.values():
            answers[where, "counts"] = dict(found.item_counts(target, remedy))
        manual = found.last_manual(target)
        answers[where, "manual"] = manual if manual and manual.at > old else None
    for one in SUBJECTS:
        answers[one, "rejection"] = found.rejection(one.policy, one.target, one.item)
    return answers


def on_record(store: Store, now: datetime) -> tuple[object, ...]:
    """What stands of decisions, who may come in, and what a report about the last days is of."""
    period = store.period(now - 20 * DAY)
    runs = tuple(pause for pause in period.pauses if pause.in_force(now))
    period = replace(period, first_entry_at=None, pauses=runs, leases=())
    decided = [d for d in store.latest_decisions() if d.result != Result.CLEAR]
    valid = [key for key in store.api_keys() if key.valid]
    return period, decided, valid


def some(examples: int) -> settings:
    """Shrinking such a story takes minutes and says little: the draws are printed as they were."""
    return settings(
        max_examples=examples,
        deadline=None,
        phases=[Stage.explicit, Stage.reuse, Stage.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@some(8)
@given(data=st.data())
def test_nothing_is_forgotten_that_is_still_asked(
    url: str, engine: Engine, data: st.DataObject
) -> None:
    """On either database."""
    empty(engine)
    live_and_forget(url, engine, data)


@some(40)
@given(data=st.data())
def test_nothing_is_forgotten_in_many_lives(data: st.DataObject) -> None:
    """The same where nobody waits for the disk, so that there are more of them."""
    with scratch_ledger() as engine:
        live_and_forget(f"sqlite:///{engine.url.database}", engine, data)


def live_and_forget(url: str, engine: Engine, data: st.DataObject) -> None:
    """After every step, so after a crash, too: all answers are the same, and the ledger is whole.

    What is young is as it was, to the last entry; a second time removes nothing.
    """
    with told_time() as time:
        store = Store(engine)
        life = Life(store, time, data)
        hold(store)
        for _ in range(data.draw(st.integers(5, 40), label="events")):
            life.go_on()
        now = time.pass_(data.draw(st.sampled_from([timedelta(minutes=1), DAY, 40 * DAY])))
        remedies = st.frozensets(st.sampled_from(REMEDIES))
        rests = Forever(
            data.draw(remedies),
            data.draw(remedies),
            data.draw(st.frozensets(st.just("heal"))),
            data.draw(st.booleans()),
        )
        before, record = told(standing(engine), now, rests), on_record(store, now)
        young = [e for e in store.chain() if e.at >= now - KEEP]
        at_once, most = data.draw(st.integers(1, 8)), data.draw(st.sampled_from([7, 10_000]))
        for done in prune(store, engine, now, rests=rests, at_once=at_once, most=most):
            assert done.seq == store.head().seq
            assert told(standing(engine), now, rests) == before
        after = Store(engine)
        assert on_record(after, now) == record
        assert [e for e in after.chain() if e.at >= now - KEEP and e.kind != "pruned"] == young
        assert check(url).flaw is None
        assert list(prune(store, engine, now, rests=rests, most=10_000)) == []
        with scratch_ledger() as scratch:
            Echo(engine, scratch).advance(after.head().seq)
            echoed = told(standing(scratch), now, rests)
            same = ("failures", "last", "counts", "target", "policy", "global", *ITEMS)
            keys = [key for key in before if isinstance(key, tuple) and key[1] in same]
            assert {key: echoed[key] for key in keys} == {key: before[key] for key in keys}
        if "prod" not in standing(engine).open:
            run(after, now)


def test_what_is_old_goes_with_all_its_rows(
    url: str, store: Store, engine: Engine, time: Time
) -> None:
    """Operations, their items and entries, decisions, lifted pauses, ended keys and identities."""
    fence = hold(store)
    for cluster in ("c1", "c2"):
        store.note_identity("prod", Identity(cluster, frozenset()), now=time.at)
    lifted = store.pause("global", "", owner="mira", reason="", now=time.at)
    store.unpause([lifted.id], actor="mira", now=time.at)
    store.pause("global", "", owner="mira", reason="", now=time.at, expires_at=time.at + DAY)
    store.add_key("old", Role.OPERATOR, digest="d", actor="mira", now=time.at)
    store.revoke_key("old", actor="mira", now=time.at)
    for number in range(20):
        at = time.pass_(timedelta(minutes=10))
        run(store, at, items=("a",))
        reason = HoldReason.PENDING if number % 2 == 0 else None
        decide(store, Subject("heal", "prod"), at, reason)
    store.reserve(by_policy(), plan_for(by_policy()), owner="me", lease=LEASE, now=time.at)
    before = counts(engine)
    now = time.pass_(100 * DAY)
    assert fence == hold(store)
    removed: dict[str, int] = {}
    for done in prune(store, engine, now, at_once=10):
        for name, count in done.removed.items():
            removed[name] = removed.get(name, 0) + count
    assert removed | {"entries": 0} == {
        "operations": 20,
        "operation_items": 20,
        "decisions": 20,
        "pauses": 2,
        "api_keys": 1,
        "identities": 1,
        "entries": 0,
    }
    after = counts(engine)
    steps = sum(1 for entry in store.chain() if entry.kind == "pruned")
    assert after["entries"] == before["entries"] - removed["entries"] + steps == 3 + steps
    assert {row.outcome for row in store.operations()} == {None}
    found = check(url)
    assert found.flaw is None
    assert found.begins is not None
    assert (found.begins.kept, found.begins.at) == (3, now)


def test_without_anything_old_nothing_is_written(store: Store, engine: Engine, time: Time) -> None:
    """Also in an empty ledger."""
    assert list(prune(store, engine, time.at)) == []
    hold(store)
    run(store, time.at)
    assert list(prune(store, engine, time.pass_(KEEP))) == []
    assert [one.removed for one in prune(store, engine, time.pass_(timedelta(seconds=1)))]


def test_both_clocks_must_call_it_old(store: Store, engine: Engine, time: Time) -> None:
    """A clock that runs years ahead, ours or the database's, removes nothing; nor one set back."""
    hold(store)
    run(store, time.at)
    assert list(prune(store, engine, time.at + 1_000 * DAY)) == []
    time.pass_(1_000 * DAY)
    assert list(prune(store, engine, NOW)) == []


@pytest.mark.parametrize("keep", ["an item", "a target", "a policy", "everything"])
def test_limits_for_ever_keep_what_they_count(
    store: Store, engine: Engine, time: Time, keep: str
) -> None:
    """Their operations stay, however old; those of other policies and remedies go."""
    hold(store)
    counted = run(store, time.at, items=("a",))
    run(store, time.at, remedy="notify-nobody", policy="other", items=("a",))
    rests = {
        "an item": Forever(items=frozenset({"force-redeploy"})),
        "a target": Forever(targets=frozenset({"force-redeploy"})),
        "a policy": Forever(policies=frozenset({"heal"})),
        "everything": Forever(everything=True),
    }[keep]
    list(prune(store, engine, time.pass_(100 * DAY), rests=rests))
    left_ = {row.id for row in store.operations()}
    assert counted.id in left_
    assert len(left_) == (2 if keep == "everything" else 1)


@pytest.mark.parametrize("remedy", sorted(COUNTED.values()))
def test_what_conditions_count_of_an_item_stays(
    store: Store, engine: Engine, time: Time, remedy: str
) -> None:
    """Such as ``item.recoveries``, which has no window; what did nothing to an item goes."""
    hold(store)
    run(store, time.at, remedy=remedy, items=("a",))
    run(store, time.at, Outcome.REFUSED, remedy=remedy, items=("a",))
    list(prune(store, engine, time.pass_(400 * DAY)))
    assert dict(standing(engine).item_counts("prod", remedy)) == {"a": 1}
    assert len(store.operations()) == 1


def test_an_open_breaker_stays_open(store: Store, engine: Engine, time: Time) -> None:
    """However old its failures are, until a person resets it; then they go."""
    hold(store)
    for _ in range(2):
        run(store, time.pass_(timedelta(hours=1)), Outcome.FAILED)
    list(prune(store, engine, time.pass_(400 * DAY)))
    assert len(standing(engine).failures("prod", "force-redeploy")) == 2
    store.reset_breaker(BreakerName("prod", "force-redeploy"), actor="mira", reason="", now=time.at)
    assert list(prune(store, engine, time.at))
    assert standing(engine).failures("prod", "force-redeploy") == ()
    assert store.operations() == ()


def test_what_somebody_said_no_to_stays_so(store: Store, engine: Engine, time: Time) -> None:
    """Until its cause was seen to be over; then the plan and that record go together."""
    hold(store)
    request = by_policy(mode=Mode.APPROVE, items=("a",))
    waits = store.propose(request, plan_for(request), owner="me", now=time.at)
    store.reject(waits.id, actor="mira", reason="no", now=time.at)
    decide(store, Subject("heal", "prod", "a"), time.at, HoldReason.PENDING)
    list(prune(store, engine, time.pass_(400 * DAY)))
    assert standing(engine).rejection("heal", "prod", "a") is not None
    decide(store, Subject("heal", "prod", "a"), time.at)
    list(prune(store, engine, time.pass_(400 * DAY)))
    assert standing(engine).rejection("heal", "prod", "a") is None
    assert store.operations() == ()
    assert store.decisions() == ()


def test_a_no_about_several_items_stays_for_those_that_it_stands_for(
    store: Store, engine: Engine, time: Time
) -> None:
    """What was well since may be proposed again: the record of that stays with the plan."""
    hold(store)
    request = by_policy(mode=Mode.APPROVE, items=("a", "b"))
    waits = store.propose(request, plan_for(request), owner="me", now=time.at)
    store.reject(waits.id, actor="mira", reason="no", now=time.at)
    for reason in (HoldReason.PENDING, None):
        decide(store, Subject("heal", "prod", "a"), time.pass_(DAY), reason)
    list(prune(store, engine, time.pass_(400 * DAY)))
    found = standing(engine)
    assert found.rejection("heal", "prod", "a") is None
    assert found.rejection("heal", "prod", "b") is not None
    assert [row.result for row in store.decisions()] == ["clear"]


def test_only_who_acts_removes(store: Store, engine: Engine, time: Time) -> None:
    """Another one's lease stops a step before it removes anything."""
    fence = hold(store)
    run(store, time.at)
    now = time.pass_(100 * DAY)
    plan = pruning.plan(engine, keep=KEEP, rests=NOTHING, now=now)
    before = counts(engine)
    other = replace(fence, holder="somebody")
    with pytest.raises(StoppedError):
        store.prune(plan, plan.steps[0], after=0, fence=other, now=now)
    assert counts(engine) == before


def test_a_plan_that_is_out_of_date_is_not_carried_out(
    url: str, store: Store, engine: Engine, time: Time
) -> None:
    """When something happened to one of its operations, or somebody else pruned."""
    fence = hold(store)
    done = run(store, time.at, items=("a",))
    now = time.pass_(100 * DAY)

    def try_it(plan: pruning.Plan) -> pruning.Pruned | None:
        return store.prune(plan, plan.steps[0], after=0, fence=fence, now=now)

    stale = pruning.plan(engine, keep=KEEP, rests=NOTHING, now=now)
    relapse = Relapse(done.id, "prod", done.remedy, "heal", ("a",), seen_at=now)
    store.note_relapse(relapse, now=now)
    assert try_it(stale) is None
    decide(store, Subject("heal", "prod"), NOW, HoldReason.PENDING)
    decide(store, Subject("heal", "prod"), NOW)
    assert list(prune(store, engine, now)) == []
    assert len(standing(engine).failures("prod", done.remedy)) == 1
    store.reset_breaker(BreakerName("prod", done.remedy), actor="mira", reason="", now=now)
    now = time.pass_(100 * DAY)
    one, other = (pruning.plan(engine, keep=KEEP, rests=NOTHING, now=now) for _ in range(2))
    assert try_it(one) is not None
    assert try_it(other) is None
    assert check(url).flaw is None


def test_a_step_that_fails_removes_nothing(
    url: str, store: Store, engine: Engine, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows go and the checkpoint comes in one transaction."""
    fence = hold(store)
    run(store, time.at)
    now = time.pass_(100 * DAY)
    plan = pruning.plan(engine, keep=KEEP, rests=NOTHING, now=now)
    before = counts(engine)

    def crash(*_args: object, **_kwargs: object) -> int:
        raise OSError("no power")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", crash)
        with pytest.raises(OSError, match="no power"):
            store.prune(plan, plan.steps[0], after=0, fence=fence, now=now)
    assert counts(engine) == before
    assert check(url).flaw is None


def test_a_check_under_way_is_not_misled(
    url: str, store: Store, engine: Engine, time: Time
) -> None:
    """What retention removes while a check reads is no flaw."""
    hold(store)
    for _ in range(5):
        run(store, time.pass_(timedelta(minutes=10)))
    now = time.pass_(100 * DAY)
    steps = prune(store, engine, now, at_once=4)

    def go_on(_done: int, _all: int) -> None:
        next(steps, None)

    async def look() -> Inspection:
        ledger = Ledger(url)
        try:
            return await inspect(ledger, page=3, on_progress=go_on)
        finally:
            await ledger.close()

    found = asyncio.run(look())
    assert found.flaw is None
    assert found.begins is not None


def test_what_a_report_knows_begins_after_it(store: Store, engine: Engine, time: Time) -> None:
    """An entry that something rests on tells little of its time."""
    hold(store)
    store.note_identity("prod", Identity("c1", frozenset()), now=time.at)
    run(store, time.at)
    now = time.pass_(100 * DAY)
    run(store, now)
    assert store.period(NOW).first_entry_at == NOW
    list(prune(store, engine, now))
    assert store.period(NOW).first_entry_at == now


def test_pages_of_a_list_go_on(store: Store, engine: Engine, time: Time) -> None:
    """What is left is listed as before; what is gone is not there."""
    hold(store)
    gone = run(store, time.at)
    now = time.pass_(100 * DAY)
    stays = run(store, now)
    list(prune(store, engine, now))
    assert [row.id for row in store.operations()] == [stays.id]
    assert store.operation(gone.id) is None
    assert store.entries(gone.id) == ()


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_step_leaves_whole_operations(data: st.DataObject) -> None:
    """Each of an operation's entries goes in the same step, and the digest is of what is left."""
    begun = data.draw(st.integers(0, 10))
    names = st.sampled_from([None, None, "x", "y", "z"])
    seqs = [n for n in range(1, 30) if n > begun or data.draw(st.booleans())]
    old = [pruning.Old(seq, f"h{seq}", data.draw(names)) for seq in seqs]
    kept = data.draw(st.frozensets(st.sampled_from(seqs)))
    stays = Needed(kept, data.draw(st.frozensets(st.sampled_from("xyz"))))
    there, through = {one.seq: one for one in old}, begun
    steps = list(
        pruning.steps_of(
            old, stays, begun=Head(begun, "b"), at_once=data.draw(st.integers(1, 9)), more=True
        )
    )
    for step in steps:
        assert step.through.seq >= through
        through = step.through.seq
        for seq in step.entries:
            assert seq <= through
            del there[seq]
        left_ = [one for one in there.values() if one.seq <= through]
        assert step.kept == len(left_)
        assert step.digest == digest_of((one.seq, one.hash) for one in left_)
        assert not {one.operation_id for one in there.values()} & set(step.operations)
    assert not steps or through == 29
    assert stays.seqs <= there.keys()
    whole = {one.operation_id for one in old if one.seq in stays.seqs} | stays.operations
    for one in old:
        mine = one.operation_id is not None and one.operation_id in whole
        needed = one.seq in stays.seqs or mine
        assert (one.seq in there) is needed
