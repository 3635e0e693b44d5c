"""Somebody at a terminal: commands run in this process, and what they print is read."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from exporter.cli.root import app
from lab import Restate
from tests.medic import target_of
from tests.support import logging_as_it_was


@dataclass
class Person:
    """Somebody at a terminal, 80 columns wide, with one configuration."""

    folder: Path
    restate: Restate
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "medic.yaml"

    def configure(self, **target: Any) -> None:
        written = target_of(self.restate, **target)
        self.file.write_text(json.dumps({"targets": [written], "timeout": "5s"}))

    def run(self, *words: str) -> Result:
        """In this process: a command takes a second to start, and there are many."""
        environment = {"COLUMNS": "80", "RESTATE_MEDIC_CONFIG_FILE": str(self.file)}
        environment |= self.variables
        with logging_as_it_was():
            return CliRunner(env=environment).invoke(app, list(words))

    def why(self, *words: str, code: int, says: str = "") -> str:
        """Ask; returns the last line, which is the command where there is one."""
        answer = self.run("why", *words)
        assert answer.stderr == ""
        assert answer.exit_code == code, answer.output
        flat = " ".join(answer.stdout.split())
        assert says in flat, answer.stdout
        *lines, last = answer.stdout.splitlines()
        assert all(len(line) <= 80 for line in lines), answer.stdout
        assert "\x1b" not in answer.stdout
        return last

    def mend(self, command: str) -> None:
        """Do what was printed, as it was printed."""
        program, *words = shlex.split(command)
        assert program == "restate-medic"
        done = self.run(*words, "--yes")
        assert done.exit_code == 0, done.output

    def rows(self) -> list[dict[str, Any]]:
        """The ledger, newest first."""
        rows: list[dict[str, Any]] = json.loads(self.run("audit", "list", "--json").stdout)
        return rows

    def told(self, *words: str) -> dict[str, Any]:
        answer = self.run("why", *words, "--json")
        told: dict[str, Any] = json.loads(answer.stdout)
        return told
