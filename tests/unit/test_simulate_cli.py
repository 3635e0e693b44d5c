"""``policy test``: what it says, its exit codes, and what build servers get."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from exporter.cli.root import app
from exporter.model.operation import Outcome
from exporter.simulate.judge import judge
from exporter.simulate.junit import Verdict, junit
from exporter.simulate.run import play
from exporter.simulate.scenario import ExpectedOperation, Scenario
from tests.support import logging_as_it_was
from tests.unit.simulated import FINE, HEAL, MISSING, TELL, differing, scenario, written

HEALED = f"""
steps:
  - {{for: 1m, items: {FINE}}}
  - {{for: 150s, items: {MISSING}}}
  - {{for: 20m, items: {FINE}}}
expect:
  operations: [{{at: 3m, policy: heal, does: act, items: ["http://w:9080/"], outcome: verified}}]
  decisions:
    - {{at: 30s, decision: clear}}
    - {{at: 2m, item: "http://w:9080/", decision: pending}}
    - {{at: 3m, decision: act}}
"""


def run(*arguments: str | Path, columns: int = 80) -> Result:
    with logging_as_it_was():
        return CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"}).invoke(
            app, ["policy", "test", *map(str, arguments)]
        )


@pytest.fixture
def healed(tmp_path: Path) -> Scenario:
    return scenario(tmp_path, HEALED)


def test_what_is_as_expected_does_not_differ(healed: Scenario) -> None:
    """Operations and decisions."""
    assert judge(healed, play(healed)) == ()


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        ({"at": timedelta(minutes=4)}, "4m heal act on http://w:9080/ (verified)", "3m heal act"),
        ({"does": "propose"}, "3m heal propose on http://w:9080/ (verified)", "3m heal act"),
        ({"items": ("http://x/",)}, "3m heal act on http://x/ (verified)", "3m heal act"),
        ({"outcome": Outcome.FAILED}, "3m heal act on http://w:9080/ (failed)", "(verified)"),
        ({"policy": "other"}, "3m other act on http://w:9080/ (verified)", "3m heal act"),
    ],
    ids=["at", "does", "items", "outcome", "policy"],
)  # fmt: skip
def test_each_part_of_an_operation_may_differ(
    healed: Scenario, change: dict[str, object], expected: str, found: str
) -> None:
    """It is told as it was written, and as it was."""
    (operation,) = healed.operations or ()
    wrong = replace(operation, **change)  # type: ignore[arg-type]  # of the parametrized kinds
    (one,) = judge(replace(healed, operations=(wrong,)), play(healed))
    assert (one.about, one.expected) == ("operation 1", expected)
    assert found in one.found
    assert one.place == operation.place


def test_what_an_expectation_leaves_out_may_be_anything(healed: Scenario) -> None:
    """Only when it begins must be said."""
    (operation,) = healed.operations or ()
    loose = ExpectedOperation(operation.at, "x:1:1", None, None, None, None)
    assert judge(replace(healed, operations=(loose,)), play(healed)) == ()
    assert judge(replace(healed, operations=None), play(healed)) == ()


def test_an_operation_too_many_or_too_few_differs(healed: Scenario) -> None:
    """Each is told with the place of what was expected."""
    (operation,) = healed.operations or ()
    (none,) = judge(replace(healed, operations=()), play(healed))
    assert (none.expected, none.place) == ("none", healed.operations_place)
    twice = replace(healed, operations=(operation, replace(operation, place="x:9:9")))
    (more,) = judge(twice, play(healed))
    assert (more.about, more.found, more.place) == ("operation 2", "none", "x:9:9")


@pytest.mark.parametrize("word", ["clear", "act", "cooldown"])
def test_a_decision_that_differs_is_told_with_why(healed: Scenario, word: str) -> None:
    """The reason's detail too."""
    second = replace(healed.decisions[1], word=word)
    (one,) = judge(replace(healed, decisions=(second,)), play(healed))
    assert (one.about, one.expected) == ("heal, http://w:9080/ at 2m", word)
    assert one.found == "pending: true for 1m of 2m"


def test_a_policy_over_many_must_be_clear_on_all(tmp_path: Path) -> None:
    """Without an item, one that is not clear is enough to differ; any word is found on any."""
    test = """
steps:
  - for: 1m
    items: {workers: {http://a/: {missing: []}, http://b/: {missing: [B]}, http://c/: {}}}
expect:
  decisions:
    - {at: 1m, decision: clear}
    - {at: 1m, decision: pending}
    - {at: 1m, decision: component_unknown}
"""
    (one,) = differing(tmp_path, test)
    assert (one.expected, one.found.split(":")[0]) == ("clear", "pending")


def test_moments_more_than_a_day_apart_are_told_to_the_second(tmp_path: Path) -> None:
    """What differs must look different."""
    test = f"""
steps: [{{for: 25h, items: {FINE}}}, {{for: 3m, items: {MISSING}}}]
expect: {{operations: [{{at: 25h2m15s}}]}}
"""
    (one,) = differing(tmp_path, test)
    assert one.expected.startswith("1d1h2m15s ")
    assert one.found.startswith("1d1h2m heal")


def test_a_file_that_passes_is_fine(tmp_path: Path) -> None:
    """Exit 0 and one line."""
    told = run(written(tmp_path, HEALED))
    assert (told.exit_code, told.stdout, told.stderr) == (0, "1 passed, 0 failed\n", "")


def test_a_failing_test_shows_where_and_what(tmp_path: Path) -> None:
    """Exit 1; a line is never broken, whatever the width, so that it can be searched."""
    path = written(tmp_path, HEALED.replace("at: 3m, policy", "at: 4m, policy"))
    told = run(path, columns=40)
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [
        "FAIL  one",
        f"      {path}:3:5",
        f"      {path}:9:20: operation 1",
        "        expected  4m heal act on http://w:9080/ (verified)",
        "        found     3m heal act on http://w:9080/ (verified)",
        "0 passed, 1 failed",
    ]


def test_what_happened_is_told_when_asked(tmp_path: Path) -> None:
    """Each change in its order, and what began and ended: also of a test that passes."""
    told = run("-v", written(tmp_path, HEALED))
    assert [" ".join(line.split()) for line in told.stdout.splitlines()][2:-1] == [
        "0s heal: clear",
        "1m heal: pending (http://w:9080/)",
        "3m heal: act (http://w:9080/)",
        "3m heal begins to act on http://w:9080/",
        "3m15s heal: in_flight (http://w:9080/)",
        "3m30s heal: clear",
        "4m heal ends on http://w:9080/: verified",
    ]


def test_only_some_tests_are_played(tmp_path: Path) -> None:
    """Those whose name contains a text; none is a slip."""
    path = written(tmp_path, HEALED)
    assert run(path, "--only", "on").stdout == "1 passed, 0 failed\n"
    told = run(path, "--only", "two")
    assert (told.exit_code, "no test has this in its name" in told.stderr) == (2, True)


def test_a_wrong_file_is_told_and_the_others_are_played(tmp_path: Path) -> None:
    """Exit 2, even when all others pass; problems go to stderr."""
    right = written(tmp_path, HEALED)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("tests: []\n")
    told = run(right, wrong)
    assert told.exit_code == 2
    assert told.stdout == "1 passed, 0 failed; wrong: 1 of the files\n"
    assert f"{wrong}:1:1: policies: is missing; write policies: [" in told.stderr


def test_a_folder_stands_for_its_files_of_tests(tmp_path: Path) -> None:
    """Other files are left alone; without one the folder is a slip."""
    inside = tmp_path / "tests"
    inside.mkdir()
    assert run(inside).exit_code == 2
    written(tmp_path, HEALED).rename(inside / "one.yml")
    (inside / "one.yml").write_text((inside / "one.yml").read_text().replace("[r", "[../r"))
    (inside / "notes.txt").write_text("not one")
    assert run(inside).stdout == "1 passed, 0 failed\n"
    told = run(tmp_path / "nowhere")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "is not there; write the path of a file of tests" in told.stderr


def test_the_folder_of_tests_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``policies/tests``, from where one stands; without it the command says what to write."""
    monkeypatch.chdir(tmp_path)
    told = run()
    assert told.exit_code == 2
    assert "policies/tests: is not there" in told.stderr


def test_build_servers_get_a_case_for_each_test(tmp_path: Path) -> None:
    """With counts, the differences, and an error for each problem of a file."""
    path = written(tmp_path, HEALED.replace("at: 3m, policy", "at: 4m, policy"))
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("tests: [{}]\n")
    to = tmp_path / "junit.xml"
    told = run(path, wrong, "--junit", to)
    assert told.exit_code == 2
    root = ET.parse(to).getroot()  # noqa: S314 - it was just written
    errors = told.stderr.count("wrong.yaml:")
    assert errors > 1
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": str(1 + errors),
        "failures": "1",
        "errors": str(errors),
    }
    first = root[0]
    assert (first.get("classname"), first.get("name")) == (str(path), "one")
    (failure,) = first
    assert failure.get("message", "").startswith("operation 1: expected 4m heal act")
    assert "found     3m heal act" in (failure.text or "")
    assert [case[0].tag for case in root[1:]] == ["error"] * errors
    assert {case.get("classname") for case in root[1:]} == {str(wrong)}


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    """Exit 2, with what the system says."""
    told = run(written(tmp_path, HEALED), "--junit", tmp_path)
    assert told.exit_code == 2
    assert "Is a directory" in told.stderr


@pytest.mark.parametrize(
    "name",
    ["<b>&\"'", "]]>", "[red]x[/]", "\x07 and \x1b[31m", "line\nline", "\U0001f680 ä \ufffe"],
)
def test_hostile_names_break_nothing(healed: Scenario, name: str) -> None:
    """The document stays what an XML parser takes, with no control characters."""
    (operation,) = healed.operations or ()
    wrong = replace(healed, name=name, file=name, operations=(replace(operation, does="propose"),))
    text = junit([Verdict(wrong, judge(wrong, play(healed)), 0.1)], [f"{name}: wrong"])
    root = ET.fromstring(text)  # noqa: S314 - it was just made
    assert len(root) == 2
    assert not any(ord(c) < 32 and c != "\n" for c in text)


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """Markup is shown as it is written, escapes are not sent."""
    path = written(tmp_path, HEALED.replace("at: 3m, policy", "at: 4m, policy"))
    path.write_text(path.read_text().replace("name: one", 'name: "[red]x[/] \\e[31m"'))
    told = run(path)
    assert told.stdout.splitlines()[0] == "FAIL  [red]x[/] ?[31m"


def test_secrets_in_a_test_are_not_printed(tmp_path: Path) -> None:
    """A URL's user and password."""
    hidden = HEALED.replace("http://w:9080/", "http://root:hunter2@w:9080/")
    secret = hidden.replace(f"{MISSING}", MISSING.replace("//w", "//root:hunter2@w"))
    secret = secret.replace("at: 3m, policy", "at: 4m, policy")
    told = run("-v", written(tmp_path, secret))
    assert told.exit_code == 1
    assert "hunter2" not in told.output


def test_a_test_of_several_policies_names_them(tmp_path: Path) -> None:
    """Each operation is told with whose it is."""
    test = f"""
steps: [{{for: 5m, items: {MISSING}, values: {{invocations.paused: 7}}}}]
expect: {{operations: [{{at: 0s, policy: tell}}, {{at: 2m, policy: heal}}]}}
"""
    assert differing(tmp_path, test, HEAL + TELL) == ()
