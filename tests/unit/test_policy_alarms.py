"""Alerts and silences as gates: what holds, what does not, and that nothing acts on a guess."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.decision import Decision, Result
from exporter.model.hold import HoldReason
from exporter.model.target import Target
from exporter.policy.alarms import OWN_LABEL, OWN_VALUE, Alarms, Alert, Heard, Silence
from exporter.policy.circumstances import forbidden
from exporter.policy.conflicts import problems_against
from exporter.policy.matchers import Matcher, Sign, parse_matchers
from exporter.policy.policy import Policy
from exporter.policy.served import Served
from tests.unit.policy_scenes import NOW, ONE, decision, policy, report, views, world
from tests.unit.test_policy_matchers import simply

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BROKEN = report(views(missing=["Counter"]))
OWN = {OWN_LABEL: OWN_VALUE, "target": "prod", "alertname": "RestateServiceMissing"}
UNKNOWN, FIRING, SILENCED = (
    HoldReason.ALERTS_UNKNOWN,
    HoldReason.ALERT_FIRING,
    HoldReason.SILENCED,
)
TIERED = replace(ONE, labels={"tier": "critical", "cluster": "eu.1"})


def blocked_by(*entries: str, **changes: str) -> Policy:
    """The usual policy with these entries."""
    said = ", ".join("'" + entry.replace("'", "''") + "'" for entry in entries)
    return policy(more=f"block_on_alerts: [{said}]", **changes)


def alert(*silenced_by: str, **labels: str) -> Alert:
    return Alert({"alertname": "X", **labels}, NOW - HOUR, silenced_by, "X")


def silence(text: str, ident: str = "s1") -> Silence:
    matchers = tuple(placed.matcher for placed in parse_matchers(text))
    return Silence(ident, matchers, "mira", "migration", NOW + HOUR)


def decided(
    rule: Policy,
    alerts: Iterable[Alert] = (),
    silences: Iterable[Silence] = (),
    *,
    target: Target = ONE,
    silences_count: bool = True,
) -> Decision:
    heard = Heard(NOW, tuple(alerts), tuple(silences))
    alarms = Alarms(MINUTE, heard, silences_count=silences_count)
    return decision(rule, BROKEN, world(alarms=alarms), target=target)


@pytest.mark.parametrize(
    ("entry", "labels", "holds"),
    [
        ('severity="critical"', {"severity": "critical"}, True),
        ('severity="critical"', {"severity": "warning"}, False),
        ('severity="critical", target="$target"', {"severity": "critical", "target": "prod"}, True),
        ('severity="critical", target="$target"', {"severity": "critical", "target": "lab"}, False),
        ('severity="critical", target="$target"', {"severity": "critical"}, False),
        ('host=~"$target-.+"', {"host": "prod-7"}, True),
        ('host=~"${target}db"', {"host": "proddb"}, True),
        ('cluster="$labels.cluster"', {"cluster": "eu.1"}, True),
        ('cluster=~"$labels.cluster"', {"cluster": "eu-1"}, False),
        ('cluster="${labels.cluster}"', {"cluster": "eu.1"}, True),
        ('alertname=~"X$"', {}, True),
        ('severity!="info", team=""', {}, True),
        ('severity!="info", team=""', {"team": "db"}, False),
    ],
)
def test_an_alert_that_fits_all_of_an_entry_holds(
    entry: str, labels: dict[str, str], holds: bool
) -> None:
    """With the target's name and labels put in; in a pattern they are text, not patterns."""
    found = decided(blocked_by(entry), [alert(**labels)], target=TIERED)
    assert (found.reason is FIRING) is holds, found.detail
    assert found.result is (Result.HOLD if holds else Result.ACT)


def test_one_entry_is_enough() -> None:
    """Entries are alternatives; the detail says which fired."""
    rule = blocked_by('severity="page"', 'team="db"')
    found = decided(rule, [alert(team="db")])
    assert found.reason is FIRING
    assert found.detail == 'X fires since 2026-11-02 02:00:00Z (team="db")'


def test_own_alerts_do_not_block() -> None:
    """Else the fault that a policy repairs would keep it from repairing."""
    rule = blocked_by('target="$target"', 'alertname=~".*"')
    assert decided(rule, [Alert(OWN, NOW)]).result is Result.ACT
    other = {**OWN, OWN_LABEL: "somebody-else"}
    assert decided(rule, [Alert(other, NOW)]).reason is FIRING


def test_silenced_alerts_do_not_block() -> None:
    """Who silences an alert of something else knows of it: policies go on beside it."""
    rule = blocked_by('alertname="X"')
    assert decided(rule, [alert("s1")], [silence("alertname=X")]).result is Result.ACT
    assert decided(rule, [alert("s1"), alert(host="b")]).reason is FIRING


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("target=prod", True),
        ('target=~"prod|lab"', True),
        ('target=~".+"', True),
        ("target=lab", False),
        ('target=~"pro"', False),
        ("generated_by=restate-medic", True),
        ("target=prod, generated_by=restate-medic", True),
        ("tier=critical", True),
        ("tier=critical, target=lab", False),
        ("tier=low", False),
        ('target=prod, severity!="info"', True),
        ("target=prod, severity=warning", False),
        ("target=prod, alertname=RestateServiceMissing", False),
        ("cluster=eu", False),
        ("alertname=DiskFull", False),
        ("env=prod", False),
        ('target=prod, alertname=~"("', True),
        ('target=lab, alertname=~"("', False),
    ],
)
def test_which_silences_cover_a_target(text: str, holds: bool) -> None:
    """Those that would match whatever restate-medic's rules say of it; unreadable counts as met."""
    found = decided(policy(), silences=[silence(text)], target=TIERED)
    assert (found.reason is SILENCED) is holds, found.detail


def test_a_silence_on_an_own_alert_that_names_the_target_holds() -> None:
    """What a click on Silence makes: a person is at work on what fires about this target."""
    click = silence("alertname=RestateServiceMissing, target=prod, generated_by=restate-medic")
    fires = Alert(OWN, NOW, ("s1",))
    assert decided(policy(), [fires], [click]).reason is SILENCED
    assert decided(policy(), [Alert(OWN, NOW)], [click]).result is Result.ACT
    elsewhere = Alert({**OWN, "target": "lab"}, NOW, ("s1",))
    assert decided(policy(), [elsewhere], [click]).result is Result.ACT
    noise = silence("alertname=RestateServiceMissing")
    assert decided(policy(), [fires], [noise]).result is Result.ACT
    foreign = Alert({"alertname": "X", "target": "prod"}, NOW, ("s1",))
    assert decided(policy(), [foreign], [silence("alertname=X, target=prod")]).result is Result.ACT


def test_silences_can_be_left_out_of_it() -> None:
    """Then only policies that ask for alerts depend on Alertmanager."""
    assert decided(policy(), silences=[silence("target=prod")], silences_count=False).result is (
        Result.ACT
    )
    away = world(alarms=Alarms(MINUTE, silences_count=False))
    assert decision(policy(), BROKEN, away).result is Result.ACT
    assert decision(blocked_by("a=b"), BROKEN, away).reason is UNKNOWN


def test_what_is_unknown_holds_every_policy_while_silences_count() -> None:
    """Nobody can tell that there is no silence."""
    away = world(alarms=Alarms(MINUTE, trouble="connection refused"))
    found = decision(policy(), BROKEN, away)
    assert found.reason is UNKNOWN
    assert {v.gate for v in found.verdicts if v.holds} == {UNKNOWN, SILENCED}


def test_without_an_alertmanager_nothing_is_asked() -> None:
    """None configured: no gate holds, but for a policy that asks for alerts all the same."""
    assert decision(policy(), BROKEN).result is Result.ACT
    assert decision(blocked_by("a=b"), BROKEN).reason is UNKNOWN


def test_a_message_is_held_by_none_of_it() -> None:
    """All the more to tell; and to write block_on_alerts beside it is refused."""
    tells = policy(action="{notify: {}}", limits="")
    for alarms in (Alarms(MINUTE), Alarms(MINUTE, Heard(NOW, (), (silence("target=prod"),)))):
        around = world(alarms=alarms)
        assert decision(tells, BROKEN, around).result is Result.ACT
        assert forbidden(tells, ONE, around, now=NOW) is None


def test_what_is_asked_again_before_each_write() -> None:
    """The same three verdicts, for an approved plan too."""
    rule = blocked_by('alertname="X"')
    heard = Heard(NOW, (alert(),), (silence("target=prod"),))
    for alarms, reason in (
        (Alarms(MINUTE), UNKNOWN),
        (Alarms(MINUTE, heard), FIRING),
        (Alarms(MINUTE, replace(heard, alerts=())), SILENCED),
    ):
        verdict = forbidden(rule, ONE, world(alarms=alarms), now=NOW, approved=True)
        assert verdict is not None
        assert verdict.gate is reason
    assert forbidden(rule, ONE, world(alarms=Alarms(MINUTE, Heard(NOW))), now=NOW) is None


ages = st.none() | st.integers(-100, 200).map(lambda s: timedelta(seconds=s))
names = st.sampled_from(["alertname", "severity", "target", OWN_LABEL])
words = st.sampled_from(["X", "critical", "prod", "lab", OWN_VALUE, ""])
alerts = st.builds(
    Alert,
    st.dictionaries(names, words),
    st.just(NOW),
    st.lists(st.sampled_from(["s1", "s2"]), max_size=1).map(tuple),
)
matchers = st.builds(Matcher, names, st.sampled_from(Sign), words)
silences = st.builds(
    Silence,
    st.sampled_from(["s1", "s2"]),
    st.lists(matchers, min_size=1, max_size=3).map(tuple),
    st.just("mira"),
    st.just(""),
    st.just(NOW + HOUR),
)


@given(ages, st.booleans(), st.booleans(), st.lists(alerts, max_size=3))
def test_it_acts_only_on_what_was_read_lately(
    age: timedelta | None, failed: bool, silences_count: bool, fires: list[Alert]
) -> None:
    """Never read, too long ago, or by a clock ahead of ours: unknown, whatever fired then."""
    heard = None if age is None else Heard(NOW - age, tuple(fires))
    trouble = "answered 500" if failed else ""
    alarms = Alarms(MINUTE, heard, trouble, silences_count=silences_count)
    found = decision(blocked_by('alertname="X"'), BROKEN, world(alarms=alarms))
    known = age is not None and timedelta(0) <= age <= MINUTE
    assert (found.reason is UNKNOWN) is not known
    if found.result is Result.ACT:
        assert not [
            a for a in fires if a.labels.get("alertname") == "X" and not a.own and not a.silenced_by
        ]


@given(
    st.lists(st.lists(matchers, min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(alerts, max_size=6),
)
def test_firing_is_any_alert_that_fits(entries: list[list[Matcher]], fires: list[Alert]) -> None:
    """The index finds what looking at each alert finds."""
    heard = Heard(NOW, tuple(fires))
    for entry in entries:
        wanted = [
            a
            for a in fires
            if not a.own and not a.silenced_by and all(simply(m, dict(a.labels)) for m in entry)
        ]
        found = heard.firing(tuple(entry))
        assert found in wanted if wanted else found is None


@given(st.lists(alerts, max_size=4), st.lists(silences, max_size=3))
def test_silencing_follows_its_definition(fires: list[Alert], some: list[Silence]) -> None:
    """Covers the target as a whole, or names it and silences an own alert about it."""
    whole = {"target": "prod", OWN_LABEL: OWN_VALUE}
    about = {i for a in fires if a.own and a.labels.get("target") == "prod" for i in a.silenced_by}

    def counts(one: Silence) -> bool:
        named = any(
            m.name == "target" and m.sign in {Sign.EQUAL, Sign.REGEX} and simply(m, whole)
            for m in one.matchers
        )
        return all(simply(m, whole) for m in one.matchers) or (named and one.id in about)

    heard = Heard(NOW, tuple(fires), tuple(some))
    found = heard.silencing(ONE)
    assert (found is not None) is any(map(counts, some))
    assert heard.silencing(ONE) is found


def test_loading_refuses_what_no_alertmanager_or_label_can_answer() -> None:
    """With the place, and what to write."""
    rule = blocked_by('severity="critical"', 'cluster="$labels.clustr"')
    served = {"prod": Served.all_of(["force-redeploy"])}
    target = replace(TIERED, intervals=ONE.intervals)
    found = problems_against((rule,), (target,), served, alertmanager=False)
    assert [line for line in found if "no Alertmanager is configured; add" in line]
    assert [line for line in found if "has no label 'clustr'; did you mean 'cluster'?" in line]
    assert all(line.startswith("policies/test.yaml:9:") for line in found), found
    good = blocked_by('cluster="$labels.cluster"')
    assert problems_against((good,), (target,), served) == []
