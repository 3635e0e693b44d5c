"""``policy explain`` at a terminal, without a daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.fake_restate import FakeRestate
from tests.unit.test_cli import POLICY, Folder, no_variables, serving

__all__ = ["no_variables"]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.configure()
    return made


def test_it_fits_into_a_terminal_and_leaves_no_ledger(folder: Folder) -> None:
    """Read once, at 80 columns: what it sees, which gates hold and why; nothing is made."""
    folder.policies(POLICY.replace("> 0", "== 0"))
    with serving(FakeRestate()) as url:
        folder.configure(url)
        result = folder.run("policy", "explain")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "heal on prod" in text
    assert "services.missing = none" in text
    assert "pending holds: true for 0s of 2m, waiting for a second reading of services" in text
    assert "There is no ledger at" in text
    assert "Everything was read once" in text
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not folder.ledger_exists


def test_what_cannot_be_read_is_unknown(folder: Folder) -> None:
    """No value is made up for it, and nobody can say when that ends."""
    folder.policies()
    (one,) = json.loads(folder.run("policy", "explain", "--json").stdout)["explanations"]
    assert one["unknown"] == ["services.missing"]
    assert one["reason"] == "component_unknown"
    assert one["actsAt"] is None
    shown = " ".join(folder.run("policy", "explain").stdout.split())
    assert "services.missing is unknown" in shown
    assert "nobody can say when component_unknown" in shown


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--policy", "heel"), "there is no policy 'heel'; did you mean 'heal'?"),
        (("--target", "prd"), "prod"),
        (("--item", "nowhere"), "there is no item 'nowhere'"),
    ],
)
def test_names_that_are_not_there_are_told(
    folder: Folder, option: tuple[str, str], says: str
) -> None:
    """An empty answer would look as if nothing held it."""
    folder.policies()
    result = folder.run("policy", "explain", *option)
    assert result.exit_code == 2
    assert says in result.output
