"""Files of policy tests: what is wrong in them, where, and what to write instead."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exporter.policy.load import read_policies
from exporter.simulate.load import MAX_BYTES, read_tests
from exporter.simulate.scenario import Scenario
from exporter.simulate.spread import gather, spread

POLICIES = """\
policies:
  - name: heal
    mode: enforce
    for_each: workers
    when: size(item.missing) > 0
    for: 2m
    action: {force-redeploy: {}}
    cooldown: 15m
    limits: [{scope: target, max: 3, per: 24h}]
  - name: tell
    mode: enforce
    when: invocations.paused > 3
    for: 1m
    action: {notify: {message: look}}
    cooldown: 1h
"""
WHOLE = """\
policies: [../heal.yaml]
tests:
  - name: one
    target: {name: prod}
    steps:
      - for: 5m
        values: {invocations.paused: 1}
        items: {workers: {"http://w:9080/": {missing: []}}}
        components: {services: ok}
      - repeat: 2
        steps: [{for: 1m}]
    expect:
      operations: []
      decisions: [{at: 1m, policy: heal, item: "http://w:9080/", decision: clear}]
"""


def read(folder: Path, text: str | bytes) -> tuple[list[Scenario], list[str]]:
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "heal.yaml").write_text(POLICIES)
    path = folder / "tests" / "heal.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = read_tests(path, "tests/heal.yaml")
    return found.scenarios, found.problems


def test_a_file_that_is_right_gives_its_tests(tmp_path: Path) -> None:
    """Its policies are named from where it is, and everything left out has a default."""
    (scenario,), problems = read(tmp_path, WHOLE)
    assert problems == []
    assert (scenario.name, scenario.target, scenario.place) == (
        "one",
        "prod",
        "tests/heal.yaml:3:5",
    )
    assert [policy.name for policy in scenario.policies] == ["heal", "tell"]
    assert (scenario.length, scenario.interval) == (timedelta(minutes=7), timedelta(seconds=15))
    assert [state.began for state in scenario.states] == [
        timedelta(minutes=minutes) for minutes in (0, 5, 6)
    ]


@pytest.mark.parametrize(
    ("instead_of", "written", "told"),
    [
        # What it is made of
        ("policies: [../heal.yaml]\n", "", "1:1: policies: is missing; write policies: ["),
        ("policies: [../heal.yaml]\n", "policy: x\n", "1:1: policy: 'policy' is not a key here"),
        ("[../heal.yaml]", "[../heel.yaml]", "1:11: policies: "),
        ("[../heal.yaml]", "[]", "1:11: policies: is empty; write policies: ["),
        ("[../heal.yaml]", "heal.yaml", "1:11: policies: must be a list, not text"),
        ("steps:\n      - for", "stebs:\n      - for", "did you mean 'steps'?"),
        ("name: one", "name:", "3:5: tests[0].name: is empty; write a value"),
        ("name: one", "name: ''", "3:11: tests[0].name: is empty; write name: "),
        ("name: one", "name: 7", "3:11: tests[0].name: must be text, not a number (7)"),
        ("    steps:", "    mode: off\n    steps:", "5:11: tests[0].mode: 'off' is not a mode; wr"),
        ("    steps:", "    start: monday\n    steps:", "5:12: tests[0].start: 'monday' is no mom"),
        ("    steps:", "    start: 2026-01-05T22:00\n    steps:", "write one such as 2026-01-05T2"),
        ("    steps:", "    mode: approve\n    steps:", "tell changes nothing that a person could"),
        ("    steps:", "    interval: 0s\n    steps:", "5:15: tests[0].interval: '0s' is no time"),
        ("    steps:", "    interval: 1ms\n    steps:", "has more than 100000 rounds; write a lon"),
        # What is so
        ("for: 5m", "for: 5", "6:14: tests[0].steps[0].for: 5 is not a duration; write a number"),
        ("for: 5m", "for: -5m", "6:14: tests[0].steps[0].for: '-5m' is not a duration"),
        ("for: 5m\n        values", "values", "6:9: tests[0].steps[0]: says not how long; write f"),
        ("for: 5m", "for:", "6:9: tests[0].steps[0].for: is empty"),
        ("invocations.paused: 1", "invocations.pausd: 1", "7:18: tests[0].steps[0].values.invoc"),
        ("invocations.paused: 1", "invocations.pausd: 1", "did you mean 'invocations.paused'?"),
        ("invocations.paused: 1", "invocations.paused: yes", "write a whole number"),
        ("invocations.paused: 1", "invocations.paused: true", "True is not what invocations.pause"),
        ("invocations.paused: 1", "invocations.oldest_paused: 7", "write a duration such as 10m"),
        ("invocations.paused: 1", "invocations.oldest_paused: 7 m", "'7 m' is not a duration"),
        ("invocations.paused: 1", "services.missing: Billing", "write a list of text, such as ["),
        ("invocations.paused: 1", "services.missing: [1]", "write a list of text, such as ["),
        ("invocations.paused: 1", "drift.stable: yes", "write true or false"),
        ("invocations.paused: 1", "admin.version: 1.7", 'write text, such as "yes"'),
        ("invocations.paused: 1", "admin.status: ok", "write components: {admin: timeout}"),
        ("invocations.paused: 1", "target.name: x", "write target: beside steps:"),
        ("{workers:", "{worker:", "8:17: tests[0].steps[0].items.worker: 'worker' is not a kind"),
        ("{missing: []}", "{mising: []}", "did you mean 'missing'?"),
        ("{missing: []}", "{missing: x}", "'x' is not what item.missing is; write a list of text"),
        ('"http://w:9080/": {', '"w{1..2}{1..2}": {', "has two ranges; write one, such as inv_{1."),
        ('"http://w:9080/": {', '"w{2..1}": {', "runs backwards; write the smaller number first"),
        ('"http://w:9080/": {', '"w{1..9999}": {', "stands for more than 2000; write a smaller"),
        ('{"http://w:9080/": {', '{w1: {}, "w{1..2}": {', "names 'w1' again; write it once"),
        ("{services: ok}", "{servces: ok}", "'servces' is not a component; did you mean 'services"),
        ("{services: ok}", "{services: timout}", "did you mean 'timeout'?"),
        ("{services: ok}", "{services: zzz}", "9:32: tests[0].steps[0].components.services: 'zzz'"),
        ("    components:", "    others: {targets: 2, affected: 3}\n        components:", "write"),
        ("    components:", "    others: {targets: -1, affected: 0}\n        components:", "write"),
        ("    components:", "    paused: 1\n        components:", "must be true or false, not"),
        ("    components:", "    alerts: x\n        components:", "'x' are no alerts; write"),
        ("repeat: 2\n        steps: [{for: 1m}]", "repeat: 2", "says not what; write steps: and a"),
        ("repeat: 2\n", "for: 1m\n", "needs how often; write repeat: 10 beside it"),
        ("repeat: 2\n", "repeat: 2\n        for: 1m\n", "does not go with repeat; write it in one"),
        ("repeat: 2\n", "repeat: 0\n", "0 is too small; write 1 or more"),
        # What must come out
        ("operations: []", "operations:", "13:7: tests[0].expect.operations: is empty; write [] f"),
        ("operations: []", "operation: []", "did you mean 'operations'?"),
        ("operations: []", "operations: [{}]", "at: is missing; write at: 10m"),
        ("operations: []", "operations: [{at: 8m}]", "is after the last step; write 7m or less"),
        ("operations: []", "operations: [{at: 1m, policy: hel}]", "'hel' is not known here; did y"),
        ("operations: []", "operations: [{at: 1m, does: nothing}]", "'nothing' is not a does; wri"),
        ("operations: []", "operations: [{at: 1m, outcome: good}]", "'good' is not known here; wr"),
        ("operations: []", "operations: [{at: 1m, items: [w]}]", "'w' is in no step"),
        ("operations: []", "operations: [{at: 1m, items: ['w{2..1}']}]", "runs backwards"),
        ("decision: clear", "decision: cler", "14:76: tests[0].expect.decisions[0].decision: 'cle"),
        ("decision: clear", "decision: clera", "did you mean 'clear'?"),
        (", decision: clear", "", "14:19: tests[0].expect.decisions[0].decision: is missing; writ"),
        ("policy: heal, ", "", "says not which policy; write policy: heal or tell"),
        ("policy: heal, ", "policy: tell, ", "leave item out, the policy has no for_each"),
        ("policy: heal, ", "policy: heel, ", "did you mean 'heal'?"),
        ('item: "http://w:9080/"', "item: http://w:9081/", "did you mean 'http://w:9080/'?"),
        ("at: 1m,", "at: 7m15s,", "14:24: tests[0].expect.decisions[0].at: is after the last step"),
        ("at: 1m,", "at: soon,", "'soon' is not a duration; write a number with a unit"),
        ("at: 1m,", "at: 2026-01-04T00:00:00Z,", "is before the test begins; write 2026-01-05T00:"),
        ("at: 1m,", "at: 2026-01-05,", "'2026-01-05' is no moment; write one such as 2026-01-05T2"),
        # The text
        ("policies:", "policies: [", "1:"),
        ("    steps:\n      - for", "    steps:\n    steps:\n      - for", "is written twice, fir"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place_and_a_mend(
    tmp_path: Path, instead_of: str, written: str, told: str
) -> None:
    """A line for each problem, and no test is played."""
    assert instead_of in WHOLE
    scenarios, problems = read(tmp_path, WHOLE.replace(instead_of, written, 1))
    assert scenarios == []
    assert all(problem.startswith("tests/heal.yaml:") for problem in problems), problems
    assert any(told in problem for problem in problems), problems
    assert len({tuple(problem.split(": ")[:2]) for problem in problems}) == len(problems), problems


def test_a_test_that_expects_nothing_is_wrong(tmp_path: Path) -> None:
    """It could never fail."""
    text = WHOLE[: WHOLE.index("    expect:")] + "    expect: {}\n"
    _, (problem,) = read(tmp_path, text)
    assert "12:13: tests[0].expect: expects nothing; write operations: [] when none" in problem


def test_problems_of_a_policy_are_told_where_they_are(tmp_path: Path) -> None:
    """The policy's own file, line and column."""
    (tmp_path / "bad.yaml").write_text(POLICIES.replace("cooldown: 15m", "cooldown: 15"))
    _, problems = read(tmp_path, WHOLE.replace("heal.yaml", "bad.yaml"))
    assert any("bad.yaml:8:15: policies[0].cooldown: 15 is not a duration" in p for p in problems)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"policies: [\xff]", "tests/heal.yaml:1:1: is not UTF-8; save it as UTF-8"),
        (b"# " + b"x" * MAX_BYTES, "tests/heal.yaml:1:1: is larger than 1000000 bytes; write seve"),
        (b"", "tests/heal.yaml:1:1: a file of tests is a mapping; write policies: and tests:"),
        (b"- one", "tests/heal.yaml:1:1: a file of tests is a mapping; write policies: and tests:"),
        (POLICIES.encode(), "tests/heal.yaml:1:1: is a file of policies; name the file that tests"),
        (b"\tpolicies: x", "tests/heal.yaml:1:1: is not YAML: found a tab; write spaces to indent"),
        (b"a: &a [*a]", "contains itself"),
    ],
    ids=["latin", "large", "empty", "list", "policies", "tab", "loop"],
)  # fmt: skip
def test_what_is_no_file_of_tests_is_told_in_one_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    """Whatever the bytes are."""
    scenarios, (problem,) = read(tmp_path, content)
    assert scenarios == []
    assert told in problem


def test_a_file_of_tests_is_no_file_of_policies(tmp_path: Path) -> None:
    """A pattern that is too wide is told in one line, with what the file is."""
    path = tmp_path / "heal.yaml"
    path.write_text(WHOLE)
    (problem,) = read_policies([path]).problems
    assert "heal.yaml:1:1: is a file of tests; leave it out here" in problem


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """With what the system says."""
    (problem,) = read_tests(tmp_path, "a-folder").problems
    assert problem.startswith("a-folder:1:1: cannot be read: Is a directory; check")


def test_shorthand_stands_for_each_number() -> None:
    """Leading zeros give all as many digits; without a range a text stands for itself."""
    assert spread("inv_{1..3}") == ("inv_1", "inv_2", "inv_3")
    assert spread("a{08..10}/b") == ("a08/b", "a09/b", "a10/b")
    assert spread("plain {x}") == ("plain {x}",)


def test_a_row_of_items_is_told_in_shorthand() -> None:
    """Exactly those and in this order, so that what is told can be written down."""
    keys = ("a1", "a2", "a3", "b", "c7", "c9", "x08", "x09", "x10", "y8", "y9", "y10", "{z1", "{z2")
    told = gather(keys)
    assert told == ("a{1..3}", "b", "c7", "c9", "x{08..10}", "y{8..10}", "{z1", "{z2")
    assert tuple(key for text in told for key in spread(text)) == keys
