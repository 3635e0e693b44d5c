"""Every shipped policy does what its own tests say, and leaves alone what they say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from exporter.policy.load import load_policies
from exporter.simulate.judge import judge
from exporter.simulate.junit import told
from exporter.simulate.load import Tests, read_tests
from exporter.simulate.run import play
from exporter.simulate.scenario import Scenario

FOLDER = Path(__file__).parents[2] / "policies"
FILES = sorted((FOLDER / "tests").glob("*.yaml"))
SHIPPED = sorted(FOLDER.glob("*.yaml"))


@cache
def of_file(path: Path) -> Tests:
    return read_tests(path, str(path.relative_to(FOLDER.parent)))


def scenarios() -> list[Scenario]:
    return [scenario for path in FILES for scenario in of_file(path).scenarios]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_tests_can_be_read(path: Path) -> None:
    """Nothing in it is wrong."""
    assert of_file(path).problems == []


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: f"{Path(s.file).stem}: {s.name}")
def test_a_shipped_policy_does_what_its_tests_say(scenario: Scenario) -> None:
    """What differs is told as ``policy test`` tells it."""
    differences = judge(scenario, play(scenario))
    assert not differences, "\n".join(told(one) for one in differences)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_policy_is_tested_for_what_it_must_not_do(path: Path) -> None:
    """Its tests have it act, hold and stay silent, and say what it does as it is shipped."""
    found = of_file(FOLDER / "tests" / path.name)
    mine = {policy.name for policy in load_policies([path])}
    for scenario in found.scenarios:
        assert {policy.name for policy in scenario.policies} == mine
    operations = [scenario.operations for scenario in found.scenarios]
    assert operations.count(()) >= 2, "nothing begins in at least two of them"
    assert any(operations), "it begins something in one of them"
    words = {d.word for scenario in found.scenarios for d in scenario.decisions}
    assert {"clear", "component_unknown"} <= words
    assert [file.name for file in FILES] == [file.name for file in SHIPPED]
