"""docs/policy-guide.md: its policies are good, and its tests pass and fail as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from exporter.cli.root import app
from tests.documents import DOCS
from tests.support import logging_as_it_was

PAGE = (DOCS / "policy-guide.md").read_text()
_FILE = re.compile(r"`([\w./-]+\.yaml)`:\n\n```yaml\n(.*?)```", re.DOTALL)


def files() -> dict[str, str]:
    """What the page tells people to write, by path."""
    return dict(_FILE.findall(PAGE))


RECIPES = sorted(Path(name).stem for name in files() if name.startswith("policies/tests/"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all files of the page, and what the recipe about alerts asks for."""
    for name, text in files().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (alertmanager,) = re.findall(r"`(alertmanager: \{.*?\})`", PAGE)
    config = tmp_path / "restate-medic.yaml"
    config.write_text(f"{config.read_text()}{alertmanager}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    with logging_as_it_was():
        return CliRunner().invoke(app, ["policy", *arguments])


def test_every_policy_of_the_page_has_its_test() -> None:
    """And every file is found here, whatever the page calls it."""
    named = {name for name in files() if name.startswith("policies/")}
    assert len(named) == PAGE.count("$schema=") == 14
    assert {f"policies/{name}.yaml" for name in RECIPES} <= named


def test_the_policies_can_be_used_together(folder: Path) -> None:
    """They fit the configuration of the page, and each other."""
    told = run("check", f"--config.file={folder}/restate-medic.yaml")
    assert (told.exit_code, told.stderr) == (0, "")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.usefixtures("folder")
def test_the_tests_of_a_recipe_pass(name: str) -> None:
    """As they stand on the page."""
    told = run("test", f"policies/tests/{name}.yaml")
    assert told.exit_code == 0, told.output


def test_a_failing_test_looks_as_the_page_shows_it(folder: Path) -> None:
    """Line by line."""
    path = folder / "policies" / "tests" / "heal.yaml"
    path.write_text(path.read_text().replace("at: 10m30s, does", "at: 12m, does"))
    (shown,) = re.findall(r"```text\n(FAIL.*?)```", PAGE, re.DOTALL)
    told = run("test", "policies/tests/heal.yaml")
    assert (told.exit_code, told.stdout) == (1, shown)
