"""docs/installation.md, followed line by line in a folder that stands for the machine's root."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__
from exporter.ledger.engine import connect, ledger_url
from exporter.ledger.schema import prepare
from tests.e2e.sandbox import ROOT
from tests.e2e.test_systemd import FOLDER

GUIDE = ROOT / "docs" / "installation.md"
ELSEWHERE = ("docker ", "kubectl ", "sudo ", "systemctl ")
"""They need an engine, a cluster or a systemd that runs; kubectl kustomize has its own test."""
FOR_ROOT = ("systemd-sysusers", "systemd-tmpfiles")


def commands() -> list[str]:
    """Every command of the guide, in order."""
    blocks = re.findall(r"```console\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    assert all(line.startswith("$ ") for line in joined.splitlines())
    return [line.removeprefix("$ ") for line in joined.splitlines()]


def moved(command: str, root: Path) -> str:
    """The same below ``root``, by the Python that runs the tests, without names of this machine."""
    here = re.sub(r"(?<![\w.])/(opt|etc|usr/lib|var/lib)/", rf"{root}/\1/", command)
    here = re.sub(r"^python3 ", f"{sys.executable} ", here).replace("-g restate-medic ", "")
    return re.sub(r"^(systemd-(?:sysusers|tmpfiles))", rf"\1 --root={root}", here)


@pytest.mark.timeout(400)
def test_the_guide_leads_to_an_installation_that_is_good(tmp_path: Path) -> None:
    """Its commands work as they stand, but for those that need what is not here."""
    for folder in ("etc/systemd/system", "etc/restate-medic", "opt", "var/lib/restate-medic"):
        (tmp_path / folder).mkdir(parents=True)
    ledger = connect(ledger_url(f"sqlite:///{tmp_path}/var/lib/restate-medic/medic.db"))
    prepare(ledger)
    ledger.dispose()
    told = {}
    for command in commands():
        if command.startswith(ELSEWHERE) or (command.startswith(FOR_ROOT) and os.geteuid() != 0):
            continue
        done = subprocess.run(
            ["/bin/sh", "-c", moved(command, tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        told[command] = done.stdout
    assert any(__version__ in said for said in told.values())
    assert any(re.match(r"ok: 1 targets, [1-9]\d* policies", said) for said in told.values())
    assert (tmp_path / "var/lib/restate-medic/before.db").stat().st_size > 0
    for name in ("restate-medic.service", "restate-medic.yaml"):
        (made,) = tmp_path.glob(f"etc/**/{name}")
        assert made.read_text() == (FOLDER / name).read_text()


def test_every_file_that_the_guide_names_is_there() -> None:
    """Paths of this repository, in commands and in the text."""
    named = set(re.findall(r"\b(?:deploy|docs|policies)/[\w./-]*\w", GUIDE.read_text()))
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []
