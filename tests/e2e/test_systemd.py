"""The unit and its companions, checked by systemd's own tools, and the command that it starts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli.output import Exit
from exporter.settings.load import load
from lab import Child, clean_environment, free_ports
from tests.e2e.sandbox import NOBODY, ROOT, UNIT, confined, directives, let_others_through
from tests.medic import target_of
from tests.support import ServerFactory, ToolFinder

FOLDER = UNIT.parent
PROGRAM = "/opt/restate-medic/bin/restate-medic"
WORST_EXPOSURE = 15
"""Of 100, as ``--threshold`` counts; what systemd calls OK begins below 50."""


def ran(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_every_line_of_the_unit(tool: ToolFinder, tmp_path: Path) -> None:
    """No key, section or value that systemd would ignore; only the program is another one."""
    stand_in = tmp_path / "restate-medic"
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, str(stand_in)))
    assert str(stand_in) in unit.read_text()
    told = ran(tool("systemd-analyze"), "verify", "--man=no", unit)
    assert UNIT.name not in told


def test_the_unit_is_hardened(tool: ToolFinder) -> None:
    """systemd's own judgement of what the service could do if it were taken over."""
    threshold = f"--threshold={WORST_EXPOSURE}"
    ran(tool("systemd-analyze"), "security", "--offline=true", threshold, UNIT)


def test_the_user_and_the_folders_are_made(tool: ToolFinder, tmp_path: Path) -> None:
    """The service may read its configuration, and only root may write it."""
    for name, kind in (("sysusers", "sysusers.d"), ("tmpfiles", "tmpfiles.d")):
        folder = tmp_path / "usr" / "lib" / kind
        folder.mkdir(parents=True)
        shutil.copy(FOLDER / f"restate-medic.{name}.conf", folder / "restate-medic.conf")
    if os.geteuid() != 0:
        pytest.skip("making users and other people's folders takes root")
    (tmp_path / "etc").mkdir()
    ran(tool("systemd-sysusers"), f"--root={tmp_path}")
    ran(tool("systemd-tmpfiles"), f"--root={tmp_path}", "--create")
    user = (tmp_path / "etc" / "passwd").read_text().split(":")
    assert (user[0], user[5]) == ("restate-medic", "/var/lib/restate-medic")
    group = int(user[3])
    for name in (".", "policies", "secrets"):
        made = (tmp_path / "etc" / "restate-medic" / name).stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (0, group, 0o750)


def test_the_example_configuration_fits_the_unit() -> None:
    """It loads, writes nothing to Restate, and keeps its ledger where the unit may write."""
    configuration = load(FOLDER / "restate-medic.yaml")
    assert configuration.settings.max_mode == "observe"
    (state,) = directives()["StateDirectory"]
    assert configuration.ledger_file == Path("/var/lib") / state / "medic.db"
    (command,) = directives()["ExecStart"]
    assert "--config.file=/etc/restate-medic/restate-medic.yaml" in shlex.split(command)


def test_systemd_hears_reloads_and_restarts_the_service() -> None:
    """It waits for the daemon's word, misses it when it is silent, reloads by the signal that the
    daemon takes for that, and tries again whatever happened, but for a bad configuration."""
    said = directives()
    assert said["Type"] == ["notify"]
    assert said["WatchdogSec"] == ["60s"]
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert said["Restart"] == ["always"]
    assert said["RestartPreventExitStatus"] == [str(int(Exit.USAGE))]


def test_the_service_is_the_user_who_may_read_its_configuration() -> None:
    """The one that sysusers makes, in the group that tmpfiles gives the folders to; it can write
    its state folder only."""
    said = directives()
    (user,) = (
        line.split()[1]
        for line in (FOLDER / "restate-medic.sysusers.conf").read_text().splitlines()
        if line.startswith("u ")
    )
    assert said["User"] == said["Group"] == [user]
    folders = [
        line.split()
        for line in (FOLDER / "restate-medic.tmpfiles.conf").read_text().splitlines()
        if line.startswith("d ")
    ]
    assert {line[4] for line in folders} == {user}
    assert said["ProtectSystem"] == ["strict"]
    assert not said.keys() & {"ReadWritePaths", "ConfigurationDirectory"}


def test_stopping_waits_for_running_operations() -> None:
    """systemd kills only after the daemon's own patience has ended."""
    drain = load(FOLDER / "restate-medic.yaml").settings.drain_timeout.total_seconds()
    (patience,) = directives()["TimeoutStopSec"]
    assert float(patience.removesuffix("s")) > drain


def test_the_command_runs_in_its_sandbox(fresh_restate: ServerFactory, tmp_path: Path) -> None:
    """As another user who may write the state folder only: it says when it is ready, reloads by
    SIGHUP, feeds the watchdog, and stops."""
    restate = fresh_restate()
    etc, state = tmp_path / "etc", tmp_path / "state"
    state.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(state, NOBODY, NOBODY)
        let_others_through(tmp_path)
    etc.mkdir()
    config = etc / "restate-medic.yaml"
    ledger = {"url": f"sqlite:///{state}/medic.db"}
    body = {"max_mode": "observe", "storage": ledger, "targets": [target_of(restate)]}
    config.write_text(json.dumps(body))
    (port,) = free_ports(1)
    (written,) = directives()["ExecStart"]
    arguments = [
        f"--config.file={config}" if argument.startswith("--config.file=") else argument
        for argument in shlex.split(written)
    ]
    assert arguments[0] == PROGRAM
    command = [sys.executable, "-m", "exporter", *arguments[1:]]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(30)
        name = f"restate-medic-{port}"
        listener.bind(f"\0{name}")

        def heard(wanted: str) -> str:
            while True:
                message = listener.recv(4096).decode()
                if message.startswith(wanted):
                    return message
                assert message.startswith("WATCHDOG=1"), message

        child = Child(
            confined(command, writable=state),
            env=clean_environment(
                PYTHONPATH=str(ROOT),
                PYTHONDONTWRITEBYTECODE="1",
                NOTIFY_SOCKET=f"@{name}",
                WATCHDOG_USEC="1500000",
            ),
            cwd=state,
            log=tmp_path / "medic.log",
        )
        try:
            assert "STATUS=watching 1 targets" in heard("READY=1"), child.log_tail()
            heard("WATCHDOG=1")
            child.signal(signal.SIGHUP)
            heard("RELOADING=1")
            heard("READY=1")
            child.signal(signal.SIGTERM)
            heard("STOPPING=1")
            assert child.wait(30) == 0
        except TimeoutError:
            pytest.fail(child.log_tail())
        finally:
            child.kill()
    made = (state / "medic.db").stat()
    assert made.st_uid == (NOBODY if os.geteuid() == 0 else os.geteuid())
