"""Reads the pages of docs for tests: their commands, their links, and whether they can be typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import typer
from typer.core import TyperGroup

from exporter.cli.root import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_COMMENT = re.compile(r"(^|\s)#\s.*$")
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_PROMPT = "$ "


def pages() -> list[Path]:
    """README and all that is in docs."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert found is not None, heading
    return found[1]


def shell_lines(text: str) -> list[str]:
    """The commands of a page's ``sh`` blocks, one a line, without comments."""
    blocks = (body for kind, body in _FENCED.findall(text) if kind == "sh")
    return [line for block in blocks for line in _lines(block) if line]


def typed(text: str) -> list[str]:
    """What a person types in a page's ``console`` blocks: the lines with a prompt, in order."""
    blocks = (body for kind, body in _FENCED.findall(text) if kind == "console")
    lines = (line for block in blocks for line in _lines(block))
    return [line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT)]


def _lines(block: str) -> list[str]:
    joined = block.replace("\\\n", " ").splitlines()
    return [_COMMENT.sub("", line).strip() for line in joined]


def files(text: str) -> dict[str, str]:
    """The files that a page shows: ``yaml`` blocks whose first line is their place."""
    blocks = (body for kind, body in _FENCED.findall(text) if kind == "yaml")
    placed = ((re.match(r"# (/\S+)\n", body), body) for body in blocks)
    return {place[1]: body for place, body in placed if place is not None}


def own_commands(text: str) -> list[list[str]]:
    """The arguments of each ``restate-medic …`` in code of a page, in blocks and within lines."""
    inline = _INLINE.findall(_FENCED.sub("", text))
    found = [re.split(r" [|>] ", line)[0] for line in (*shell_lines(text), *typed(text), *inline)]
    words = (shlex.split(line) for line in found if line.startswith("restate-medic "))
    return [argv[1:] for argv in words]


def parse(arguments: list[str]) -> None:
    """Read a command line as the program does, without running anything; an error says what."""
    if {"--help", "--version"} & set(arguments):
        return  # they end the parsing
    command, name, rest = typer.main.get_command(app), "restate-medic", list(arguments)
    while isinstance(command, TyperGroup):
        context = typer.Context(command, info_name=name)
        found, inner, rest = command.resolve_command(context, rest)
        assert found is not None
        assert inner is not None
        name, command = found, inner
    command.make_context(name, rest)


def links(page: Path) -> list[str]:
    """Where the page leads within this repository, without what is shown in code."""
    text = _INLINE.sub("", _FENCED.sub("", page.read_text()))
    found = (first or second for first, second in _LINK.findall(text))
    return [link for link in found if not re.match(r"https?:|mailto:", link)]


def moved(command: str, root: Path) -> str:
    """The same below ``root``, by the Python that runs the tests."""
    places = "opt|etc|srv|usr/lib|var/lib"
    here = re.sub(rf"(?<![\w.])/({places})/", rf"{root}/\1/", command)
    return re.sub(r"^python3 ", f"{sys.executable} ", here)


def run(command: str, *, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command as a person's shell runs it."""
    return subprocess.run(
        ["/bin/sh", "-c", command], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )
