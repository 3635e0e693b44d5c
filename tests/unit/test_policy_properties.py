"""What holds for every policy, report and world, not only for the ones somebody thought of."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result, Subject, Waiting
from exporter.model.derive import derive
from exporter.model.hold import HoldReason
from exporter.model.operation import Usage, Window
from exporter.model.orders import Pause
from exporter.model.report import Report
from exporter.policy.alarms import Alarms, Heard, Silence
from exporter.policy.breaker import Failure
from exporter.policy.cel import evaluate
from exporter.policy.circumstances import MANUAL_HOLD
from exporter.policy.clock import Suspicion
from exporter.policy.decide import decide
from exporter.policy.document import DocumentError, read_document
from exporter.policy.matchers import Matcher, Sign
from exporter.policy.parse import parse
from exporter.policy.policy import Policy
from exporter.policy.sight import item_of, see
from exporter.policy.storm import Others
from exporter.policy.submit import first_act
from exporter.policy.world import LastManual, OpenOperation, Refusal, World, waiting_of
from exporter.policy.written import line
from tests.unit.policy_scenes import (
    NOW,
    OTHER_URL,
    TWO,
    URL,
    decision,
    policy,
    report,
    views,
    world,
)

HOUR = timedelta(hours=1)
CONDITIONS = (
    (None, "size(services.missing) > 0"),
    (None, 'ingress.status != "ok" || size(workers.unregistered) > 0'),
    (None, "size(services.missing) > 0 || invocations.paused > 0"),
    (None, "size(drift.added) > 0 && size(services.missing) > 0"),
    (None, 'services.missing[1] == "Mailer"'),
    (None, 'drift.status == "unreachable"'),
    ("workers", 'size(item.missing) > 0 && item.reachable == "yes"'),
    ("workers", "!item.registered || size(item.added) > 0"),
)
RULES = tuple(
    policy(when.replace("'", "''"), **({"for_each": each} if each else {}))
    for each, when in CONDITIONS
)
T = TypeVar("T")
PAUSE = Pause(1, "policy", "a", "mira", "rollout", NOW)
QUIET = Alarms(HOUR, Heard(NOW))
IN_MAINTENANCE = Silence("s", (Matcher("target", Sign.EQUAL, "prod"),), "mira", "", NOW)
ALARMS = (
    *(None, None, None, QUIET, QUIET),
    Alarms(HOUR),
    Alarms(HOUR, Heard(NOW - 2 * HOUR)),
    Alarms(HOUR, Heard(NOW, silences=(IN_MAINTENANCE,))),
)
moments = st.integers(-3 * 86_400, 60).map(lambda s: NOW + timedelta(seconds=s))
stamps = st.lists(moments, max_size=4).map(lambda rows: tuple(sorted(rows)))


@st.composite
def rules(draw: st.DrawFn) -> Policy:
    rule = draw(st.sampled_from(RULES))
    scopes = ("item", "target", "policy", "global")
    window = st.builds(
        Window, st.sampled_from(scopes), st.integers(0, 3), st.sampled_from([None, HOUR, 24 * HOUR])
    )
    budget = replace(
        rule.budget,
        cooldown=draw(st.sampled_from([timedelta(minutes=1), HOUR])),
        windows=tuple(draw(st.lists(window, max_size=3))),
    )
    for_ = draw(st.sampled_from([timedelta(0), timedelta(seconds=30), HOUR]))
    name, mode = draw(st.sampled_from("abc")), draw(st.sampled_from(Mode))
    return replace(rule, name=name, mode=mode, for_=for_, budget=budget)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    names = [s for w in TWO.workers for s in w.services]
    seen = views(
        TWO,
        missing=draw(st.lists(st.sampled_from(names))),
        reachable=draw(st.sampled_from(["yes", "no", "unknown"])),
    )
    kept = draw(st.lists(st.sampled_from(list(TWO.intervals)), unique=True, min_size=3))
    ages = st.sampled_from([0, 0, 0, 10, 50, 400, 5000, -30, -5000])
    return report(
        {c: seen[c] for c in kept},
        read_at={c: NOW - timedelta(seconds=draw(ages)) for c in kept},
        failed=draw(st.dictionaries(st.sampled_from(kept), st.sampled_from(Reason), max_size=2)),
        target=TWO,
    )


failures = st.builds(Failure, moments, st.sampled_from("abc"), st.sampled_from(["prod", "lab"]))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    subjects = st.builds(
        Subject, st.sampled_from("abc"), st.just("prod"), st.sampled_from([None, URL, OTHER_URL])
    )
    counted = st.tuples(moments, st.integers(1, 3))
    waiting = st.builds(
        Waiting, moments, st.dictionaries(st.sampled_from([str(c) for c in Component]), counted)
    )
    refusal = st.builds(Refusal, st.just("not-latest"), st.just("why"), moments)
    usage = st.builds(
        Usage,
        item=st.dictionaries(st.sampled_from([URL, OTHER_URL]), stamps),
        target=stamps,
        policy=stamps,
        everything=stamps,
        last=st.none() | moments,
    )
    return world(
        ledger_ok=draw(st.sampled_from([True, True, True, False])),
        usage=draw(usage),
        max_mode=draw(st.sampled_from([Mode.ENFORCE, *Mode])),
        open_operations=draw(
            st.sampled_from(
                [{}, {}, {"prod": OpenOperation("op", "x")}, {"other": OpenOperation("o", "x")}]
            )
        ),
        waiting=draw(st.dictionaries(subjects, waiting, max_size=4)),
        refusals=draw(st.dictionaries(subjects, refusal, max_size=2)),
        pauses=draw(st.sampled_from([(), (), (), (PAUSE,)])),
        manual=draw(rarely(st.builds(LastManual, moments, st.just("mira"), st.just("x")))),
        clock=draw(rarely(st.just(Suspicion("the clock was set back by 1h", NOW)))),
        identity=draw(rarely(st.just("the cluster was a and is now b"))),
        others=draw(rarely(st.builds(Others, st.integers(1, 9), st.integers(0, 9)))),
        holder=draw(rarely(st.sampled_from(["", "there:1:abc"]))),
        failures=draw(st.lists(failures, max_size=2)),
        alarms=draw(st.sampled_from(ALARMS)),
    )


def rarely(value: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """Mostly nothing: most things that hold are not there most of the time."""
    return st.one_of(st.none(), st.none(), st.none(), value)


def held(found: Decision) -> list[HoldReason]:
    return [v.gate for v in found.verdicts if v.holds]


@given(st.lists(rules(), max_size=4, unique_by=lambda r: r.name), reports(), worlds())
def test_every_hold_has_exactly_one_reason_and_it_is_the_first_gate_that_holds(
    some: list[Policy], seen: Report, around: World
) -> None:
    """A hold names its first gate; an act has none; a clear one asked none.

    Explaining asks every gate and decides the same; a round stops at the first that holds.
    """
    findings = derive(seen, TWO, now=NOW)
    found = decide(some, TWO, seen, findings, around, now=NOW, explain=True)
    for quick, one in zip(decide(some, TWO, seen, findings, around, now=NOW), found, strict=True):
        assert replace(quick, verdicts=()) == replace(one, verdicts=())
        assert quick.verdicts == one.verdicts[: len(quick.verdicts)]
        if quick.result is Result.HOLD and quick.reason is not HoldReason.IN_FLIGHT:
            assert quick.verdicts[-1].gate is quick.reason
    for one in found:
        match one.result:
            case Result.HOLD:
                assert one.reason is held(one)[0]
                assert one.detail
            case Result.ACT:
                assert (one.reason, held(one)) == (None, [])
            case Result.CLEAR:
                assert (one.reason, one.verdicts) == (None, ())
    acts = [one for one in found if one.result is Result.ACT]
    assert len(acts) <= 1
    assert (first_act(found) is None) is not any(one.ready for one in found)
    if acts:
        assert first_act(found) is acts[0]


@given(st.lists(rules(), max_size=4, unique_by=lambda r: r.name), reports(), worlds())
def test_nothing_acts_on_what_is_not_known(some: list[Policy], seen: Report, around: World) -> None:
    """An act needs the ledger, enforce, fresh readings, and a condition CEL itself finds true."""
    findings = derive(seen, TWO, now=NOW)
    by_name = {rule.name: rule for rule in some}
    for one in decide(some, TWO, seen, findings, around, now=NOW):
        rule = by_name[one.subject.policy]
        item = item_of(rule, findings, one.subject.item)
        known = see(rule.condition, findings, item)
        if one.result is Result.ACT:
            assert around.ledger_ok
            assert {one.mode, rule.mode, around.max_mode} == {Mode.ENFORCE}
            assert all(seen.readings[c].fresh(NOW) for c in rule.condition.components)
            assert evaluate(rule.condition, known) is True
            assert "prod" not in around.open_operations
            assert around.owned
            assert not any(pause.covers(policy=rule.name, target="prod") for pause in around.pauses)
            assert (around.clock, around.identity) == (None, None)
            assert around.alarms in (None, QUIET)
            assert around.manual is None or NOW - around.manual.at >= MANUAL_HOLD
            others = around.others(rule.name)
            assert others.affected + 1 <= rule.storm.allowed(others.matched)
            assert len(around.failures("prod", rule.action)) < rule.breaker.failed or not any(
                later.at - earlier.at < rule.breaker.per
                for earlier, later in pairwise(sorted(around.failures("prod", rule.action)))
            )
        if one.result is Result.CLEAR:
            assert not known or evaluate(rule.condition, known) is False


@given(st.sampled_from(RULES), reports())
def test_an_unknown_value_only_ever_makes_a_decision_more_careful(
    rule: Policy, seen: Report
) -> None:
    """Taking a variable away may turn an answer into unknown, never into the other answer."""
    findings = derive(seen, TWO, now=NOW)
    item = item_of(rule, findings, URL)
    known = see(rule.condition, findings, item)
    whole = evaluate(rule.condition, known)
    for name in known:
        less = evaluate(rule.condition, {n: v for n, v in known.items() if n != name})
        assert less is whole or less not in (True, False)


@st.composite
def timelines(draw: st.DrawFn) -> list[tuple[int, bool, bool]]:
    """Rounds as (seconds since the one before, whether it read anew, whether it was broken)."""
    row = st.tuples(st.integers(1, 60), st.booleans(), st.sampled_from([True, True, True, False]))
    return draw(st.lists(row, min_size=1, max_size=30))


@given(timelines(), st.sampled_from([30, 90]))
def test_for_is_never_cut_short(timeline: list[tuple[int, bool, bool]], seconds: int) -> None:
    """It acts only when two readings, and every round for that long, have seen it true."""
    rule = replace(policy(), for_=timedelta(seconds=seconds))
    now, read_at, around = NOW, NOW, world()
    seen = report(views(), at=NOW)
    true_since: datetime | None = None
    starts: set[datetime] = set()
    for step, anew, broken in timeline:
        now += timedelta(seconds=step)
        if anew:
            read_at = now
            seen = report(views(missing=["Counter"] if broken else []), at=read_at)
        found = decision(rule, seen, around, now=now)
        around = world(waiting=waiting_of([found]))
        if found.result is Result.CLEAR or found.reason is HoldReason.REPORT_STALE:
            true_since, starts = None, set()
            continue
        true_since = true_since or now
        starts.add(read_at)
        enough = now - true_since >= rule.for_ and len(starts) >= 2
        assert (found.result is Result.ACT) is enough


@given(st.lists(st.integers(1, 4 * 3600), max_size=60), st.integers(1, 3), st.integers(1, 60))
def test_limits_and_cooldown_are_never_exceeded(steps: list[int], most: int, cool: int) -> None:
    """Whatever the times of the rounds, no window holds more, and no two acts are closer."""
    rule = policy()
    per, cooldown = timedelta(hours=6), timedelta(minutes=cool)
    budget = replace(rule.budget, cooldown=cooldown, windows=(Window("target", most, per),))
    rule = replace(rule, budget=budget)
    now, acts = NOW, list[datetime]()
    for step in steps:
        now += timedelta(seconds=step)
        usage = Usage(target=tuple(acts), last=acts[-1] if acts else None)
        seen = report(views(missing=["Counter"]), at=now)
        if decision(rule, seen, world(usage=usage), now=now).result is Result.ACT:
            acts.append(now)
    assert all(later - earlier >= cooldown for earlier, later in pairwise(acts))
    assert all(sum(at - per < other <= at for other in acts) <= most for at in acts)


GOOD = """\
policies:
  - name: a
    mode: enforce
    targets: {names: [prod], labels: {tier: "1"}}
    for_each: workers
    when: |
      size(item.missing) > 0
        && item.reachable == "yes"
    for: 2m
    action: {force-redeploy: {stable_for: 30s}}
    cooldown: &wait 15m
    limits:
      - {scope: item, max: 3, per: forever}
      - scope: policy
        max: 10
        per: *wait
    verify: {within: 10m, healthy_for: 30s}
"""
PLACED = re.compile(r"x\.yaml:\d+:\d+: .+")
WORDS = (
    *("policies", "null", "&a", "*a", "<<: ", "!!set ", "2001-01-01", "0x", "1e999", "-0", "0b"),
    *("0o8", "\x00", "é", "\U0001f600", "\u2028", "%YAML 1.1\n---\n", "...", "[" * 300),
)
snippets = st.sampled_from([*"{}[]:,&*!|>-'\"#%@`?~\n\t ", *WORDS]) | st.text(max_size=5)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    text = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(snippets) + text[end:]
    return text


def problems_of(text: str) -> list[str]:
    """What is wrong with a file of this text."""
    try:
        return parse(read_document(text), "x.yaml").problems
    except DocumentError as error:
        return [line("x.yaml", error.problem)]


@given(mutations())
@settings(max_examples=300, deadline=None)
@example(GOOD)
@example("%YAML 1.1\n---\n" + GOOD)
def test_no_file_crashes_the_loader(text: str) -> None:
    """Whatever is in it: policies, or problems of one line each with a place."""
    for problem in problems_of(text):
        assert PLACED.fullmatch(problem), problem


@settings(deadline=None)
@given(st.text(alphabet="abc.:{}[]\n -'\"|>&*!0", max_size=60))
def test_no_text_crashes_the_loader(text: str) -> None:
    """Not even one that never was a policy file."""
    for problem in problems_of(text):
        assert PLACED.fullmatch(problem), problem
