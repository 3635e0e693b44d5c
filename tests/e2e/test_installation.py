"""docs/installation.md, followed line by line in a folder that stands for the machine's root."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import httpx
import pytest

from exporter import __version__
from lab import Child, clean_environment, wait_until
from tests.documents import files, moved, run, typed
from tests.e2e.sandbox import ROOT
from tests.e2e.test_systemd import FOLDER
from tests.medic import Medic
from tests.support import ServerFactory

GUIDE = ROOT / "docs" / "installation.md"
ELSEWHERE = ("docker ", "kubectl ", "sudo ", "systemctl ")
"""They need an engine, a cluster or a systemd that runs; kubectl kustomize has its own test."""
FOR_ROOT = ("systemd-sysusers", "systemd-tmpfiles")


def rooted(command: str, root: Path) -> str:
    """The same below ``root``, without names of this machine."""
    here = moved(command, root).replace("-g restate-medic ", "")
    return re.sub(r"^(systemd-(?:sysusers|tmpfiles))", rf"\1 --root={root}", here)


def watches(command: str, root: Path) -> None:
    """Start the daemon that the command is, on a port of its own, and see that it reads."""
    medic = Medic(root / "looks", targets=[])
    here = shlex.split(rooted(command, root))
    here.append(f"--web.listen-address=127.0.0.1:{medic.port}")
    child = Child(here, env=clean_environment(), cwd=ROOT, log=root / "medic.log")
    try:
        wait_until(
            lambda: medic.status("/-/ready") == httpx.codes.OK,
            what="readiness",
            timeout_seconds=60,
        )
        assert medic.sample("up", target="prod") == 1
    finally:
        child.kill()


@pytest.mark.timeout(400)
def test_the_guide_leads_to_an_installation_that_is_good(
    fresh_restate: ServerFactory, tmp_path: Path
) -> None:
    """Its commands work as they stand, but for those that need what is not here; what they start
    watches a real Restate, on ports of its own."""
    restate = fresh_restate()
    for place, content in files(GUIDE.read_text()).items():
        written = tmp_path / place.removeprefix("/")
        written.parent.mkdir(parents=True)
        here = content.replace("http://localhost:8080", restate.ingress_url)
        written.write_text(here.replace("http://localhost:9070", restate.admin_url))
    for folder in ("etc/systemd/system", "etc/restate-medic", "opt"):
        (tmp_path / folder).mkdir(parents=True)
    told = {}
    for command in typed(GUIDE.read_text()):
        if command.startswith(ELSEWHERE) or (command.startswith(FOR_ROOT) and os.geteuid() != 0):
            continue
        if re.search(r" run --config.file \S+$", command):
            watches(command, tmp_path)
            continue
        done = run(rooted(command, tmp_path), env=dict(os.environ), cwd=ROOT)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        told[command] = done.stdout
    (seen,) = (said for command, said in told.items() if " doctor " in command)
    assert re.search(r"ingress +ok", seen)
    assert any(__version__ in said for said in told.values())
    assert any(re.match(r"ok: 1 target, [1-9]\d* policies", said) for said in told.values())
    for name in ("restate-medic.service", "restate-medic.yaml"):
        (made,) = tmp_path.glob(f"etc/**/{name}")
        assert made.read_text() == (FOLDER / name).read_text()


def test_every_file_that_the_guide_names_is_there() -> None:
    """Paths of this repository, in commands and in the text."""
    named = set(re.findall(r"\b(?:deploy|docs|policies)/[\w./-]*\w", GUIDE.read_text()))
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []
