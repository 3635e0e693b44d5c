"""``restate-medic key``: what it prints where, and what it leaves behind."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from exporter.cli.root import app
from exporter.ledger.keys import digest_of
from tests.support import logging_as_it_was

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "medic.yaml"
    target = {"name": "prod", "ingress_url": NOWHERE, "admin_url": f"{NOWHERE}/admin"}
    file.write_text(json.dumps({"targets": [target]}))
    return file


def key(config: Path, *arguments: str) -> Result:
    environment = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    command = ["key", *arguments, "--config.file", str(config)]
    with logging_as_it_was():
        result = CliRunner(env=environment).invoke(app, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_new_key_is_all_there_is_on_standard_output(config: Path) -> None:
    """It can be piped into a secret store; the ledger has its hash and nothing of itself."""
    made = key(config, "new", "ci", "--role", "operator")
    assert made.exit_code == 0, made.stderr
    secret = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"rm_[A-Za-z0-9_-]{43}", secret)
    assert secret not in made.stderr
    stored = b"".join(file.read_bytes() for file in (config.parent / "data").iterdir())
    assert digest_of(secret).encode() in stored
    assert secret.encode() not in stored


def test_keys_are_listed_and_revoked(config: Path) -> None:
    """With role, maker and time; a revoked one is shown only when asked for."""
    for name, role in (("ci", "operator"), ("wall", "viewer")):
        assert key(config, "new", name, "--role", role).exit_code == 0
    assert key(config, "revoke", "ci").exit_code == 0
    (one,) = json.loads(key(config, "list", "--json").stdout)
    assert (one["name"], one["role"], one["revoked_at"]) == ("wall", "viewer", None)
    both = json.loads(key(config, "list", "--all", "--json").stdout)
    assert [row["name"] for row in both if row["revoked_at"]] == ["ci"]
    shown = key(config, "list", "--all").stdout
    assert "ci" in shown
    assert "operator" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("new", "ci", "--role", "operator"), 1, "there is a valid key named 'ci'"),
        (("new", "policy:heal", "--role", "operator"), 2, "not a name"),
        (("new", "x", "--role", "root"), 2, "operator"),
        (("new", "x"), 2, "--role"),
        (("revoke", "nobody"), 1, "no valid key named 'nobody'"),
    ],
)
def test_what_cannot_be_is_said(
    config: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """A name that is taken or misleading, an unknown role, a key that is not there."""
    assert key(config, "new", "ci", "--role", "viewer").exit_code == 0
    answer = key(config, *arguments)
    assert answer.exit_code == code
    assert said in answer.stderr
    assert answer.stdout == ""
    with sqlite3.connect(config.parent / "data" / "medic.db") as ledger:
        (count,) = ledger.execute("SELECT COUNT(*) FROM api_keys").fetchone()
    ledger.close()
    assert count == 1
