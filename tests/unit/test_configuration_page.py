"""docs/configuration.md: made from the settings, complete, and its examples are good ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from exporter.cli.root import app
from exporter.model.errors import ConfigurationError
from exporter.settings.document import configuration_text
from exporter.settings.examples import EXAMPLE, WEB_EXAMPLE
from exporter.settings.load import Configuration, load
from exporter.settings.schema import NEEDS_RESTART, Settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
SECRETS = ("admin-token", "platform-key", "alertmanager-password", "slack")


def rows() -> list[list[str]]:
    """The cells of every key in every table."""
    lines = configuration_text().splitlines()
    return [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in lines if line.startswith("| `")]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configuration:
    """What the page shows, with the files and variables that it names."""
    for folder in ("secrets", "tls"):
        (tmp_path / folder).mkdir()
    for name in SECRETS:
        (tmp_path / "secrets" / name).write_text(f"https://hooks.internal/{name}\n")
    monkeypatch.setenv("RESTATE_AUTH_TOKEN", "key_made-up")
    monkeypatch.setenv("RELAY_URL", "https://relay.internal/in")
    for name in ("medic.crt", "medic.key"):
        (tmp_path / "tls" / name).write_text("")
    (tmp_path / "web.yaml").write_text(WEB_EXAMPLE)
    (tmp_path / "restate-medic.yaml").write_text(EXAMPLE)
    return load(tmp_path / "restate-medic.yaml")


def test_the_page_is_current() -> None:
    """What people read is what is accepted: see the page itself for how it is made."""
    assert PAGE.read_text(encoding="utf-8") == configuration_text(), "run make docs"


def test_every_key_says_what_it_means() -> None:
    """No row without words, and no key of the file without a row."""
    assert [cells[0] for cells in rows() if not cells[-1]] == []
    keys = {cells[0].strip("`") for cells in rows()}
    assert keys >= Settings.model_fields.keys()


def test_the_example_is_good(example: Configuration) -> None:
    """It loads as it stands, together with the web configuration that it names."""
    assert [target.name for target in example.targets] == ["prod-eu", "platform"]
    assert example.web.basic_auth_users.keys() == {"prometheus"}
    assert example.web.tls_server_config is not None
    assert EXAMPLE in configuration_text()
    assert WEB_EXAMPLE in configuration_text()


def test_every_section_is_in_an_example() -> None:
    """Nobody has to guess how a nested mapping is written."""
    headings = re.findall(r"^### `(\S+)`$", configuration_text(), flags=re.MULTILINE)
    last = {heading.removesuffix(".NAME").replace("[]", "").split(".")[-1] for heading in headings}
    assert len(last) > 8
    assert [key for key in sorted(last) if f"{key}:" not in EXAMPLE + WEB_EXAMPLE] == []


def test_what_needs_a_restart_is_marked() -> None:
    """The keys that a reload only warns about, and no others."""
    marked = {cells[0].strip("`") for cells in rows() if cells[-1].endswith("*restart*")}
    assert marked == set(NEEDS_RESTART)


def test_every_flag_is_one_of_the_daemon() -> None:
    """A flag that the page names is an option of ``run``."""
    named = set(re.findall(r"`(--[a-z.-]+)`", configuration_text())) - {"--url"}
    (run,) = (c for name, c in get_command(app).commands.items() if name == "run")  # type: ignore[attr-defined]  # it is a group
    assert {"--max-mode", "--config.file"} < named
    assert named <= {option for parameter in run.params for option in parameter.opts}


VARIABLES = sorted({cell.strip("`") for row in rows() for cell in row if "RESTATE_MEDIC_" in cell})


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_is_read(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds reaches the key of its row: seen in the value, or in what is said about it."""
    file = tmp_path / "restate-medic.yaml"
    file.write_text(
        'targets: [{name: a, ingress_url: "http://h:1", admin_url: "http://h:2"}]\n'
        'alertmanager: {url: "http://h:3", basic_auth: {username: a, password: {env: PATH}}}\n'
    )
    value = "NOWHERE:0"
    monkeypatch.setenv(variable, value)
    try:
        said = load(file).settings.model_dump_json()
    except ConfigurationError as error:
        said = "".join(line for line in error.problems if line.startswith(f"{variable}: "))
    assert value in said or variable in said
