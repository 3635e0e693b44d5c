"""docs/policies.md and README: every key, remedy and hold is there, and their policy is good."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exporter.cli.root import app
from exporter.model.hold import HoldReason
from exporter.policy.actions import ACTIONS
from exporter.policy.schema import PolicyModel
from tests.documents import DOCS, ROOT, section
from tests.support import logging_as_it_was

PAGE = (DOCS / "policies.md").read_text()
README = (ROOT / "README.md").read_text()
_POLICY = re.compile(r"```yaml\n(policies:\n.*?)```", re.DOTALL)


def first_cells(text: str) -> list[str]:
    """What stands in code in the first column of a text's tables, in order."""
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([\w-]+)`", row)]


def test_every_key_is_there() -> None:
    """All that a policy may have, and nothing that it may not."""
    keys = {info.alias or name for name, info in PolicyModel.model_fields.items()} - {"name"}
    assert set(first_cells(PAGE.partition("\n## ")[0])) == keys


def test_every_remedy_is_there() -> None:
    """All that a policy may do; telling people has a chapter of its own."""
    assert set(first_cells(section(PAGE, "Remedies"))) == set(ACTIONS) - {"notify"}
    assert "`notify: {" in section(PAGE, "Telling people")


def test_every_hold_is_there_in_its_order() -> None:
    """The first that applies names the hold, so people can read what was looked at before."""
    assert first_cells(section(PAGE, "What holds a policy")) == [str(one) for one in HoldReason]


@pytest.mark.parametrize("text", [PAGE, README], ids=["page", "README"])
def test_the_policy_is_good(text: str, tmp_path: Path) -> None:
    """It loads as it stands, with a worker to register and an Alertmanager to ask."""
    (shown,) = _POLICY.findall(text)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "one.yaml").write_text(shown)
    config = tmp_path / "restate-medic.yaml"
    config.write_text(
        "targets:\n"
        "  - name: prod\n"
        "    ingress_url: http://restate:8080\n"
        "    admin_url: http://restate:9070\n"
        "    service_url: http://worker:9080\n"
        "    expected_services: [Billing]\n"
        "alertmanager: {url: http://alertmanager:9093}\n"
    )
    with logging_as_it_was():
        told = CliRunner().invoke(app, ["policy", "check", f"--config.file={config}"])
    assert (told.exit_code, told.stderr) == (0, "")
