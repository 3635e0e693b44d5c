"""Reads a Dockerfile, as far as ours go, and carries its first stage out in a folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.sandbox import ROOT

FILE = ROOT / "deploy" / "docker" / "Dockerfile"
IGNORED = ROOT / ".dockerignore"
PLACES = ("/opt/restate-medic", "/var/lib/restate-medic", "/etc/restate-medic", "/src")
"""Absolute paths of the image that stand elsewhere when its steps are carried out here."""


@dataclass(frozen=True)
class Stage:
    """One FROM, and what follows it in order."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """The arguments of every such instruction."""
        return [argument for name, argument in self.steps if name == word]

    def form(self, word: str) -> list[str]:
        """The only one of these, written as a JSON list."""
        (argument,) = self.all(word)
        parsed: list[str] = json.loads(argument[argument.index("[") :])
        return parsed


def stages(file: Path = FILE) -> list[Stage]:
    """The stages of a Dockerfile."""
    text = re.sub(r"(?m)^\s*#.*\n", "", file.read_text()).replace("\\\n", " ")
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, argument = line.partition(" ")
        if word == "FROM":
            found.append(Stage(argument.split()[0]))
        elif found:
            found[-1].steps.append((word, argument.strip()))
    return found


def moved(text: str, root: Path) -> str:
    """The text with the image's paths below ``root``."""
    return re.sub("|".join(PLACES), lambda found: f"{root}{found.group()}", text)


def sent(ignored: Path = IGNORED) -> set[str]:
    """What of its context, the folder of that file, the build may see."""
    lines = ignored.read_text().splitlines()
    assert "*" in lines, "everything is left out but what is named"
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


def carry_out(stage: Stage, root: Path) -> None:
    """Do what the stage does, in order, with this Python as the base image's."""
    here = Path()
    programs = root / "base"
    subprocess.run([sys.executable, "-m", "venv", programs], check=True)
    environment = {"PATH": f"{programs}/bin:{os.environ['PATH']}", "HOME": str(root)}
    kept = ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")
    environment |= {name: os.environ[name] for name in kept if name in os.environ}
    for word, argument in stage.steps:
        if word == "WORKDIR":
            here = Path(moved(argument, root))
            here.mkdir(parents=True)
        elif word == "ENV":
            environment |= dict(pair.split("=", 1) for pair in shlex.split(argument))
        elif word == "COPY":
            *sources, target = shlex.split(argument)
            for source in sources:
                _copy(source, here / target)
        elif word == "RUN":
            command: Any = ["sh", "-ec", moved(argument, root)]
            done = subprocess.run(
                command, cwd=here, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{argument}\n{done.stdout}{done.stderr}"
        else:
            raise AssertionError(f"the build stage uses {word}, which this does not know")


def _copy(source: str, target: Path) -> None:
    assert source in sent(), f"{source} is left out by .dockerignore"
    path = ROOT / source
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, target)
