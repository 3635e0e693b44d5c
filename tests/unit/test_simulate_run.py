"""Tests of policies as they are played: what is so in each step, and what follows from it."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.duration import parse_duration
from exporter.simulate.timeline import timeline
from tests.unit.simulated import FINE, HEAL, MISSING, RESUME, TELL, differing, played

NOTHING = "expect: {operations: []}"


def test_what_a_step_does_not_say_stays_as_it_was(tmp_path: Path) -> None:
    """Values, items, components and the rest go on until a step says otherwise."""
    test = f"""
steps:
  - for: 10m
    values: {{invocations.paused: 7}}
    items: {MISSING}
    components: {{services: timeout}}
  - for: 10m
  - for: 10m
    components: {{services: ok}}
expect:
  operations: [{{at: 0s, policy: tell}}, {{at: 22m, policy: heal}}]
  decisions:
    - {{at: 15m, policy: heal, decision: component_unknown}}
    - {{at: 15m, policy: tell, decision: cooldown}}
    - {{at: 20m, policy: heal, decision: pending}}
"""
    assert differing(tmp_path, test, HEAL + TELL) == ()


def test_durations_grow_from_step_to_step(tmp_path: Path) -> None:
    """Those of items and of the target, until they are written anew."""
    items = "items: {invocations.paused: {inv_1: {service: Billing, age: %s}}}"
    test = f"""
mode: observe
steps:
  - for: 6m
    {items % "0s"}
  - for: 6m
  - for: 6m
    {items % "0s"}
expect:
  operations: [{{at: 10m15s, items: [inv_1]}}]
  decisions:
    - {{at: 10m, decision: clear}}
    - {{at: 12m, decision: clear}}
"""
    assert differing(tmp_path, test, RESUME) == ()
    old = TELL.replace("invocations.paused > 3", 'invocations.oldest_paused >= duration("1h")')
    values = "steps: [{for: 50m, values: {invocations.oldest_paused: 20m}}, {for: 9m}]"
    assert differing(tmp_path, f"{values}\nexpect: {{operations: [{{at: 40m}}]}}", old) == ()


def test_null_and_what_is_not_written_are_unknown(tmp_path: Path) -> None:
    """Never zero and never false: what then cannot be decided holds."""
    test = """
steps:
  - {for: 10m}
  - {for: 10m, values: {invocations.paused: 0}}
  - {for: 10m, values: {invocations.paused: null}}
expect:
  operations: []
  decisions:
    - {at: 5m, decision: component_unknown}
    - {at: 15m, decision: clear}
    - {at: 25m, decision: component_unknown}
"""
    assert differing(tmp_path, test, TELL) == ()


def test_a_list_is_empty_unless_a_test_says_that_it_is_unknown(tmp_path: Path) -> None:
    """No items: clear. An unknown list: held, and an item of unknown value too."""
    test = """
steps:
  - {for: 10m}
  - {for: 10m, items: {workers: null}}
  - {for: 10m, items: {workers: {"http://w:9080/": {}}}}
  - {for: 10m, items: {workers: {"http://w:9080/": {missing: null}}}}
expect:
  operations: []
  decisions:
    - {at: 5m, decision: clear}
    - {at: 15m, decision: component_unknown}
    - {at: 25m, decision: component_unknown}
    - {at: 35m, decision: component_unknown}
"""
    assert differing(tmp_path, test) == ()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("timeout", "component_unknown"),
        ("refused", "component_unknown"),
        ("unauthorized", "component_unknown"),
        ("throttled", "frozen"),
        ("query_failed", "frozen"),
        ("blocked", "frozen"),
        ("unknown", "report_stale"),
    ],
)
def test_a_component_that_is_not_ok_makes_its_values_unknown(
    tmp_path: Path, word: str, reason: str
) -> None:
    """Whatever the test says of them; and what it cannot do to Restate freezes."""
    test = f"""
steps: [{{for: 10m, items: {MISSING}, components: {{services: {word}}}}}]
expect: {{operations: [], decisions: [{{at: 9m, decision: {reason}}}]}}
"""
    assert differing(tmp_path, test) == ()


@pytest.mark.parametrize("word", ["timeout", "bad_body"])
def test_values_of_a_target_are_as_unknown_as_their_component(tmp_path: Path, word: str) -> None:
    """Not what was read before, and not what the test says; ok again, they are known."""
    test = f"""
steps:
  - {{for: 10m, values: {{invocations.paused: 7}}, components: {{invocations: {word}}}}}
  - {{for: 10m, components: {{invocations: ok}}}}
expect:
  operations: [{{at: 10m}}]
  decisions: [{{at: 5m, decision: component_unknown}}]
"""
    assert differing(tmp_path, test, TELL) == ()


def test_a_condition_may_ask_for_the_status_itself(tmp_path: Path) -> None:
    """``ok``, ``unreachable`` or ``degraded``, with the reason."""
    down = TELL.replace("invocations.paused > 3", 'ingress.reason == "refused"').replace(
        "cooldown", "for: 1m\n    cooldown"
    )
    test = """
steps:
  - {for: 10m}
  - {for: 10m, components: {ingress: refused}}
  - {for: 10m, components: {ingress: ok}}
expect:
  operations: [{at: 11m}]
  decisions: [{at: 9m, decision: clear}, {at: 25m, decision: clear}]
"""
    assert differing(tmp_path, test, down) == ()


def test_alerts_others_and_pauses_hold(tmp_path: Path) -> None:
    """Each as in the daemon, and all pass again afterwards."""
    blocked = HEAL + "    block_on_alerts: ['severity=\"critical\"']\n"
    test = f"""
steps:
  - {{for: 10m, items: {MISSING}, alerts: [{{alertname: Down, severity: critical}}]}}
  - {{for: 10m, alerts: unknown}}
  - for: 10m
    alerts: [{{alertname: Slow, severity: warning}}]
    others: {{targets: 3, affected: 3}}
  - {{for: 10m, others: {{targets: 3, affected: 0}}, paused: true}}
  - {{for: 1m, paused: false}}
expect:
  operations: [{{at: 40m}}]
  decisions:
    - {{at: 9m, decision: alert_firing}}
    - {{at: 19m, decision: alerts_unknown}}
    - {{at: 29m, decision: storm}}
    - {{at: 39m, decision: paused}}
"""
    assert differing(tmp_path, test, blocked) == ()


@pytest.mark.parametrize(
    ("mode", "does", "outcome"),
    [
        ("observe", "rehearse", None),
        ("approve", "propose", "withdrawn"),
        ("enforce", "act", "verified"),
    ],
)
def test_a_mode_stands_for_that_of_the_policy(
    tmp_path: Path, mode: str, does: str, outcome: str | None
) -> None:
    """Whatever is written in the policy."""
    ends = f", outcome: {outcome}" if outcome else ""
    test = f"""
mode: {mode}
steps: [{{for: 3m, items: {MISSING}}}, {{for: 5m, items: {FINE}}}]
expect: {{operations: [{{at: 2m, does: {does}{ends}}}]}}
"""
    assert differing(tmp_path, test) == ()


def test_a_policy_for_other_targets_stays_out(tmp_path: Path) -> None:
    """Names and labels are those that the test gives."""
    only = HEAL + "    targets: {labels: {tier: critical}}\n"
    steps = f"steps: [{{for: 5m, items: {MISSING}}}]"
    assert differing(tmp_path, f"{steps}\n{NOTHING}", only) == ()
    critical = f"target: {{name: eu, labels: {{tier: critical}}}}\n{steps}"
    (begun, *_) = played(tmp_path, f"{critical}\n{NOTHING}", only).deeds
    assert begun[1].target == "eu"


@pytest.mark.parametrize(
    ("start", "opens"),
    [
        ("2026-01-05T20:00:00Z", "2026-01-05T21:00:00Z"),  # 22:00 in Berlin in winter
        ("2026-03-28T20:00:00Z", "2026-03-28T21:00:00Z"),  # the night of the change to summer
        ("2026-03-29T18:00:00Z", "2026-03-29T20:00:00Z"),  # and the one after it
        ("2026-10-24T19:00:00Z", "2026-10-24T20:00:00Z"),  # the night of the change to winter
        ("2026-10-25T19:00:00Z", "2026-10-25T21:00:00Z"),  # and the one after it
    ],
)
def test_windows_are_read_off_the_clock_where_they_are(
    tmp_path: Path, start: str, opens: str
) -> None:
    """A test begins when it says, and its moments are those of the world."""
    window = "{days: [mon, sat, sun], start: '22:00', end: '05:00', timezone: Europe/Berlin}"
    nightly = HEAL + f"    windows: [{window}]\n"
    test = f"""
start: {start}
interval: 1m
mode: observe
steps: [{{for: 3h, items: {MISSING}}}]
expect: {{operations: [{{at: {opens}}}], decisions: [{{at: 30m, decision: outside_window}}]}}
"""
    found = differing(tmp_path, test, nightly.replace("15m", "24h"))
    assert found == ()


def test_what_the_test_itself_did_counts(tmp_path: Path) -> None:
    """``resumes`` and the like grow with its operations, and begin with what is written."""
    item = "{service: Billing, age: 1h%s}"
    steps = """
steps: [{for: 1h, items: {invocations.paused: {inv_1: %s}}}]
expect:
  operations: [%s]
  decisions: [{at: 30m, decision: clear}]
"""
    ops = "{at: 0s, outcome: unverified}, {at: 6m, outcome: unverified}"
    assert differing(tmp_path, steps % (item % "", ops), RESUME) == ()
    ops = "{at: 0s, outcome: unverified}"
    assert differing(tmp_path, steps % (item % ", resumes: 1", ops), RESUME) == ()


def test_steps_are_repeated_as_if_they_were_written_out(tmp_path: Path) -> None:
    """Also within each other, and durations go on growing."""
    inner = f"{{repeat: 2, steps: [{{for: 8m, items: {FINE}}}]}}"
    short = f"steps: [{{repeat: 2, steps: [{{for: 3m, items: {MISSING}}}, {inner}]}}]"
    long = f"{{for: 3m, items: {MISSING}}}, {{for: 8m, items: {FINE}}}, {{for: 8m, items: {FINE}}}"
    one = played(tmp_path, f"{short}\n{NOTHING}")
    two = played(tmp_path, f"steps: [{long}, {long}]\n{NOTHING}")
    assert timeline(one) == timeline(two)
    assert one.rounds == 38 * 4 + 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["15s", "1m", "130s", "20m"]),
        st.sampled_from([MISSING, FINE, "{workers: null}", "{}"]),
        st.sampled_from(["ok", "timeout", "throttled", "unknown"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(STEPS)
@settings(max_examples=40)
def test_playing_is_deterministic_and_blind_to_what_nobody_knows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str, bool]]
) -> None:
    """The same test gives the same decisions, operations and outcomes at the same moments.

    And nothing begins in a round that does not know the services, or is paused.
    """
    folder = tmp_path_factory.mktemp("twice")
    rows = ", ".join(
        f"{{for: {length}, items: {items}, components: {{services: {how}}}, paused: {paused}}}"
        for length, items, how, paused in steps
    )
    rows = rows.replace("True", "true").replace("False", "false")
    test = f"interval: 1m\nsteps: [{rows}]\n{NOTHING}"
    one, two = (played(folder, test) for _ in range(2))
    assert timeline(one) == timeline(two)
    assert one.rounds == two.rounds
    ends = list(accumulate(parse_duration(length) for length, *_ in steps))
    for at, deed in one.deeds:
        if deed.outcome is None:
            number = min(bisect_right(ends, at), len(steps) - 1)
            assert steps[number][2:] == ("ok", False)
