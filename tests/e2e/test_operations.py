"""docs/operations.md, typed line by line against a running daemon and its ledger."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import create_engine, text

from exporter.ledger.engine import ledger_url
from lab import clean_environment
from tests.documents import DOCS, ROOT, moved, run, section, typed
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, ToolFinder, WorkerFactory

PAGE = (DOCS / "operations.md").read_text()
POSTGRESQL = ("pg_dump ", "createdb ", "pg_restore ")


class Shell:
    """Types commands below a folder that stands for the root; systemd's are done to the daemon."""

    def __init__(self, root: Path, medic: Medic, **variables: str) -> None:
        self._root, self._medic = root, medic
        program = root / "opt" / "restate-medic"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m exporter "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        self._environment = clean_environment(PYTHONPATH=str(ROOT), PATH=path, **variables)
        self._systemctl: Mapping[str, Callable[[], object]] = {
            "stop": medic.terminate,
            "start": medic.start,
            "restart": lambda: (medic.terminate(), medic.start()),
            "reload": lambda: medic.child.signal(signal.SIGHUP),
        }

    def type(self, command: str) -> str:
        """What it says; AssertionError when it fails."""
        if command.startswith("systemctl "):
            _, verb, unit = command.split()
            assert unit == "restate-medic"
            self._systemctl[verb]()
            return ""
        here = moved(command, self._root)
        if here.startswith("export "):
            name, _, value = here.removeprefix("export ").partition("=")
            self._environment[name] = value
            return ""
        done = run(here, env=self._environment, cwd=self._root)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A root with the folders that an installation makes."""
    for folder in ("etc/restate-medic", "var/lib/restate-medic"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def healed(
    places: Path, fresh_restate: ServerFactory, worker_factory: WorkerFactory
) -> Iterator[Callable[[str], Medic]]:
    """Starts a daemon on the ledger of that URL and waits until it has repaired something."""
    started: list[Medic] = []

    def start(url: str) -> Medic:
        restate, worker, target = registered(fresh_restate(), worker_factory)
        folder = places / "etc" / "restate-medic"
        medic = Medic(folder, targets=[target], policies=[re_register()], storage={"url": url})
        started.append(medic.start())
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal")
        medic.wait_for(lambda: medic.operations()[0]["outcome"] == "verified", "verification")
        return medic

    yield start
    for medic in started:
        medic.kill()


def head(said: str) -> str:
    """The head that ``audit verify`` ends with."""
    return said.rsplit(maxsplit=1)[-1]


@pytest.mark.timeout(240)
def test_the_page_can_be_typed_from_start_to_end(
    places: Path, healed: Callable[[str], Medic]
) -> None:
    """On SQLite, with the daemon running but where the page stops it. What was repaired before the
    backup is in the restored ledger, what was done after it is not, and the daemon goes on."""
    medic = healed(f"sqlite:///{places}/var/lib/restate-medic/medic.db")
    shell = Shell(places, medic)
    lines = [line for line in typed(PAGE) if not line.startswith(POSTGRESQL)]
    lines = [line for line in lines if "postgresql:" not in line]
    assert len(lines) > 25
    shell.type(lines[0])
    shell.type("restate-medic key new pipeline --role operator")
    heads: list[str] = []
    for line in lines[1:]:
        if line == "systemctl stop restate-medic":
            shell.type("restate-medic pause --target prod --reason 'after the backup'")
        said = shell.type(line)
        if line.endswith("audit verify"):
            heads.append(head(said))
        if line == "systemctl start restate-medic":
            assert "after the backup" not in shell.type("restate-medic pauses")
    assert heads[0] == heads[1], "the restored ledger ends where the backup does"
    assert [o["outcome"] for o in medic.operations("--policy", "re-register")] == ["verified"]
    medic.await_ready()
    exported = (places / "var/lib/restate-medic/audit.jsonl").read_text().splitlines()
    written = [json.loads(line)["seq"] for line in exported]
    assert written == list(range(1, len(written) + 1))
    assert len(written) >= int(heads[-1].partition(":")[0]), "the daemon may have gone on meanwhile"


@pytest.mark.timeout(240)
def test_a_backup_of_postgresql_is_restored(
    places: Path, healed: Callable[[str], Medic], postgresql: str, tool: ToolFinder
) -> None:
    """With the page's commands, made while the daemon runs; chain and rows are whole, and a daemon
    on the restored database knows what was done."""
    for name in POSTGRESQL:
        tool(name.strip())
    engine = create_engine(ledger_url(postgresql), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE medic"))
    engine.dispose()
    medic = healed(postgresql.replace("/postgres?", "/medic?"))
    (host,) = parse_qs(urlsplit(postgresql).query)["host"]
    shell = Shell(places, medic, PGHOST=host, PGUSER="medic")
    shell.type(typed(PAGE)[0])
    before = head(shell.type("restate-medic audit verify"))
    (dump,) = (line for line in typed(section(PAGE, "Backup")) if line.startswith(POSTGRESQL))
    shell.type(dump)
    shell.type("restate-medic pause --all --reason 'after the backup'")
    medic.terminate()
    restore = [line for line in typed(section(PAGE, "Restore")) if "medic_restored" in line]
    said = [shell.type(line) for line in restore]
    assert len(said) == 3
    assert head(said[-1]) == before
    url = postgresql.replace("/postgres?", "/medic_restored?")
    medic.config.write_text(medic.config.read_text().replace("/medic?", "/medic_restored?"))
    assert url in medic.config.read_text()
    medic.start()
    assert [o["outcome"] for o in medic.operations("--policy", "re-register")] == ["verified"]
