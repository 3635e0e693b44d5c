"""What commands print where people look: a terminal, a narrow one, without colour, or a pipe."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab import clean_environment
from tests.unit.fake_restate import FakeRestate
from tests.unit.test_cli import POLICY, Folder, fill, serving

COMMANDS = [
    ("doctor",),
    ("why", "Greeter"),
    ("why", "Greetre"),
    ("redeploy", "--dry-run"),
    ("cleanup", "--dry-run"),
    ("audit", "list"),
    ("audit", "show", "ID"),
    ("approvals",),
    ("pauses",),
    ("breaker", "list"),
    ("policy", "check"),
    ("key", "list"),
]
ROOT = Path(__file__).parents[2]
_COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])(?:;\d+)*m")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_ERASED = re.compile(r"[^\n]*\n?\r?(?:\x1b\[\?25h)?\r?(?:\x1b\[1A)?\x1b\[2K")
"""A line that is drawn over; what is over goes up one line and clears it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Folder, str]]:
    """A target that answers, a policy, a pause, and a ledger; the id of an operation in it."""
    made = Folder(tmp_path_factory.mktemp("people"))
    with serving(FakeRestate()) as url:
        made.configure(url)
        made.policies(POLICY.replace("name: heal", "name: a-policy-with-quite-a-long-name"))
        ids = asyncio.run(fill(made))
        pause = ("pause", "--all", "--reason", "migration of the database " * 3, "--for", "2h")
        assert made.run(*pause).exit_code == 0
        yield made, ids[1]


def words_of(command: tuple[str, ...], folder: tuple[Folder, str]) -> list[str]:
    made, id_ = folder
    words = [id_ if word == "ID" else word for word in command]
    return [*words, "--config.file", str(made.file)]


def at_a_terminal(words: list[str], *, columns: int, **variables: str) -> str:
    """Run a command in a pseudo terminal of that width; returns what it left on the screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = clean_environment(PYTHONPATH=str(ROOT), TERM="xterm-256color", **variables)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        if name not in variables:
            environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", *words],
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        written = b""
        with suppress(OSError):  # how the end of a terminal is told
            while chunk := os.read(ours, 65536):
                written += chunk
    os.close(ours)
    return _ERASED.sub("", written.decode().replace("\r\n", "\n"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_gets_plain_text(folder: tuple[Folder, str], command: tuple[str, ...]) -> None:
    """No codes, no blanks at the ends of lines, at most 80 columns but for what is to be copied."""
    made, _ = folder
    words = words_of(command, folder)
    result = made.run(*words[:-2])
    assert result.exit_code in {0, 1}, result.output
    assert "\x1b" not in result.output
    lines = result.stdout.splitlines()
    headings = [line for line in lines if line.strip()][:1]
    assert not [line for line in lines if line != line.rstrip() and line not in headings]
    to_copy = [line for line in lines if line.startswith("restate-medic ")]
    assert not [line for line in lines if len(line) > 80 and line not in to_copy]


@pytest.mark.parametrize("command", [("doctor",), ("why", "Greetre"), ("audit", "list")])
@pytest.mark.parametrize(("columns", "variables"), [(80, {}), (160, {}), (80, {"NO_COLOR": "1"})])
def test_a_terminal_gets_colours_unless_it_wants_none(
    folder: tuple[Folder, str], command: tuple[str, ...], columns: int, variables: dict[str, str]
) -> None:
    """And as much text on a line as it is wide; a spinner leaves nothing behind."""
    screen = at_a_terminal(words_of(command, folder), columns=columns, **variables)
    assert bool(_COLOUR.search(screen)) is not bool(variables)
    lines = _ESCAPE.sub("", screen).splitlines()
    assert "looking" not in "".join(lines)
    to_copy = [line for line in lines if line.startswith("restate-medic ")]
    assert not [line for line in lines if len(line) > columns and line not in to_copy]


def test_json_is_plain_at_a_terminal_too(folder: tuple[Folder, str]) -> None:
    """It is selected and copied from there."""
    words = words_of(("why", "Greetre", "--json"), folder)
    screen = at_a_terminal(words, columns=80)
    body = screen[screen.index("{") :]
    assert "\x1b" not in body
    assert '"broken": "registered"' in body
