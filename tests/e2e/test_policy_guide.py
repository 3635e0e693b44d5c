"""docs/policy-guide.md, typed line by line against a real Restate and a daemon on its files."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Child, ServiceSpec, clean_environment, free_ports, is_listening, wait_until
from tests.documents import ROOT, run
from tests.support import ServerFactory, WorkerFactory
from tests.unit.test_policy_guide import PAGE, files

STORY = PAGE.partition("\n# Recipes\n")[0]
LATER = {
    "restate-medic policy explain --url http://127.0.0.1:9970": "observing holds",
    "restate-medic audit list --outcome observed": "re-register",
    "restate-medic policy replay policies/heal.yaml --since 7d --mode enforce": "force-redeploy on",
    "restate-medic approvals": "re-register",
    "restate-medic audit list --outcome verified": "re-register",
    "restate-medic why Greeter": "Nothing is broken",
}
"""What the page waits for: words that the command says at last."""
PATIENCE_SECONDS = 150.0


def blocks() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each file with its text, and each command with the output that is shown, in order."""
    pattern = r"`([\w./-]+\.yaml)`:\n\n```yaml\n(.*?)```|```console\n(.*?)```"
    for name, text, shown in re.findall(pattern, STORY, re.DOTALL):
        if name:
            yield name, [("", text)]
        else:
            parts = re.split(r"^\$ ", shown, flags=re.MULTILINE)[1:]
            rows = (part.partition("\n") for part in parts)
            yield "", [(command, output) for command, _, output in rows]


class Desk:
    """A person's folder and shell; what the page says of this machine is moved to free ports."""

    def __init__(self, folder: Path, moved: dict[str, str]) -> None:
        self.folder = folder
        self._moved = moved
        self._daemon: Child | None = None
        program = folder.parent / "bin" / "restate-medic"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m exporter "$@"\n')
        program.chmod(0o755)
        self.program = program
        listen = moved["127.0.0.1:9970"]
        self._environment = clean_environment(
            PYTHONPATH=str(ROOT),
            PATH=f"{program.parent}:{os.environ['PATH']}",
            RESTATE_MEDIC_WEB_LISTEN_ADDRESS=listen,
        )

    def here(self, text: str) -> str:
        for there, here in self._moved.items():
            text = text.replace(there, here)
        return text

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        assert path.parent.is_dir(), f"nothing on the page makes {path.parent.name}"
        path.write_text(self.here(text))

    def type(self, command: str) -> str:
        """What it says, once it says what the page waits for; AssertionError when it fails."""
        if command == "restate-medic run":
            self._start()
            return ""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self._environment[name] = value.replace("$PWD", str(self.folder))
            return ""
        if command in LATER and self._daemon is None:
            done = run(self.here(command), env=self._environment, cwd=self.folder)
            assert done.returncode == 1, done.stdout + done.stderr  # what the policy is to mend
            return done.stdout
        wanted = LATER.get(command)
        began = time.monotonic()
        while True:
            done = run(self.here(command), env=self._environment, cwd=self.folder)
            told = f"{command}\n{done.stdout}{done.stderr}"
            if done.returncode == 0 and (wanted or "") in done.stdout:
                return done.stdout
            assert wanted is not None, told
            assert time.monotonic() - began < PATIENCE_SECONDS, told
            time.sleep(2)  # a person looks again

    def _start(self) -> None:
        log = self.folder.parent / "medic.log"
        arguments = [str(self.program), "run"]
        self._daemon = Child(arguments, env=self._environment, cwd=self.folder, log=log)
        port = int(self._moved["127.0.0.1:9970"].rpartition(":")[2])
        wait_until(lambda: is_listening(port, "127.0.0.1"), what="the daemon", timeout_seconds=30)

    def leave(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()


@pytest.fixture
def desk(
    tmp_path: Path, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> Iterator[Desk]:
    """An empty folder beside a Restate and a worker that nobody registered."""
    restate, worker = fresh_restate(), worker_factory(ServiceSpec("Greeter"))
    (port,) = free_ports(1)
    moved = {
        "http://localhost:8080": restate.ingress_url,
        "http://localhost:9070": restate.admin_url,
        "http://localhost:9080": worker.url,
        "127.0.0.1:9970": f"127.0.0.1:{port}",
        "{force-redeploy: {}}": "{force-redeploy: {stable_for: 1s}}",  # 30s if left out
        "    cooldown: 15m\n": (
            "    cooldown: 15m\n    verify: {within: 10m, healthy_for: 2s}\n"  # 30s, too
        ),
    }
    folder = tmp_path / "empty"
    folder.mkdir()
    made = Desk(folder, moved)
    yield made
    made.leave()


@pytest.mark.timeout(500)
def test_the_page_leads_from_nothing_to_a_repair(desk: Desk) -> None:
    """Every command works in its order, says what is shown, and the policy mends the fault."""
    said: dict[str, str] = {}
    before = ""
    for name, rows in blocks():
        for line, shown in rows:
            if name:
                desk.write(name, shown)
                continue
            command = re.sub(r"\s+# .*$", "", line)
            before = before or said.get("restate-medic why Greeter", "")
            said[command] = desk.type(command)
            assert shown in {"", desk.here(shown) and said[command]}, command
    assert (desk.folder / "results.xml").exists()
    assert "force-redeploy" in said["restate-medic audit list --outcome verified"]
    (desk.folder / "said.txt").write_text("\n".join(f"$ {c}\n{t}" for c, t in said.items()))
    ((replayed, told),) = [(c, t) for c, t in said.items() if " replay " in c]
    assert "--mode enforce" in replayed
    assert "force-redeploy on" in told
    assert "Greeter is not registered" in before


def test_every_file_of_the_story_is_written_by_it() -> None:
    """The two ways to read the page find the same."""
    written = [name for name, _ in blocks() if name]
    assert written == ["restate-medic.yaml", "policies/heal.yaml", "policies/tests/heal.yaml"]
    assert set(written) <= set(files())
