"""The image: linted, and its steps carried out in a folder, since no engine may be here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from exporter import __version__
from lab import Child, clean_environment, free_ports, wait_until
from tests.e2e.dockerfile import FILE, carry_out, moved, sent, stages
from tests.e2e.sandbox import ROOT, confined, let_others_through
from tests.medic import Medic, target_of
from tests.support import ServerFactory

BUILD, FINAL = stages()
USER = 65532
PORT = "9970"


def test_the_linter_has_nothing_to_say() -> None:
    """hadolint, and the shellcheck within it for the commands."""
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, FILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_build_sees_only_what_it_needs() -> None:
    """No ledger, key or configuration that lies about gets into an image."""
    needed = {s for copy in BUILD.all("COPY") for s in copy.split()[:-1]}
    assert sent() == needed
    assert all((ROOT / name).exists() for name in needed)


def test_the_image_runs_as_nobody_in_particular() -> None:
    """Not root, by number, so that Kubernetes can tell; nothing is installed in the last stage."""
    assert FINAL.all("USER") == [f"{USER}:{USER}"]
    assert FINAL.all("RUN") == []
    assert BUILD.base == FINAL.base


def test_the_image_has_what_was_built_where_it_was_built() -> None:
    """A virtual environment works only in its place; the program is in it, listens for other
    containers, and may write to the ledger's place, from which a new volume takes its owner."""
    copied = {}
    for copy in FINAL.all("COPY"):
        *options, source, target = copy.split()
        assert "--from=build" in options
        copied[target] = (source, options)
    program, state = Path("/opt/restate-medic"), "/var/lib/restate-medic"
    assert copied.keys() == {str(program), state}
    assert copied[str(program)][0] == str(program)
    assert f"--chown={USER}:{USER}" in copied[state][1]
    assert f"mkdir {copied[state][0]}" in BUILD.all("RUN")[-1]
    assert FINAL.form("ENTRYPOINT") == [str(program / "bin" / "restate-medic")]
    assert f"--web.listen-address=0.0.0.0:{PORT}" in FINAL.form("CMD")
    assert FINAL.all("EXPOSE") == [PORT]
    (variables,) = FINAL.all("ENV")
    assert {f"PATH={program}/bin:$PATH", f"HOME={state}"} <= set(variables.split())


@pytest.mark.timeout(400)
def test_the_steps_make_a_daemon_that_is_healthy(
    fresh_restate: ServerFactory, tmp_path: Path
) -> None:
    """Built as the file says, started as it says, with all but its state read-only, and found
    healthy by its own health check."""
    carry_out(BUILD, tmp_path)
    etc, state = tmp_path / "etc/restate-medic", tmp_path / "var/lib/restate-medic"
    etc.mkdir(parents=True)
    state.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(state, USER, USER)
        let_others_through(tmp_path)
    (port,) = free_ports(1)

    def here(word: str) -> list[str]:
        return [moved(part, tmp_path).replace(PORT, str(port)) for part in FINAL.form(word)]

    medic = Medic(tmp_path / "looks", targets=[])
    medic.port = port
    ledger = {"url": f"sqlite:///{state}/medic.db"}
    body = {"max_mode": "observe", "storage": ledger, "targets": [target_of(fresh_restate())]}
    (etc / "restate-medic.yaml").write_text(json.dumps(body))
    environment = clean_environment(PYTHONDONTWRITEBYTECODE="1", HOME=str(state))
    program = here("ENTRYPOINT")
    told = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert __version__ in told.stdout
    command = confined([*program, *here("CMD")], writable=state, user=USER)
    child = Child(command, env=environment, cwd=state, log=tmp_path / "medic.log")
    try:
        wait_until(  # nothing of it was ever compiled, so that its first start takes a while
            lambda: medic.status("/-/ready") == httpx.codes.OK,
            what="readiness",
            timeout_seconds=60,
        )
        assert medic.sample("up", target="prod") == 1
        proxied = environment | {"http_proxy": "http://127.0.0.1:1"}  # as a client may set for all
        check = subprocess.run(here("HEALTHCHECK"), env=proxied, check=False)
        assert check.returncode == 0
        assert (state / "medic.db").is_file()
    finally:
        child.kill()
    gone = subprocess.run(here("HEALTHCHECK"), env=environment, capture_output=True, check=False)
    assert gone.returncode == 1
