"""What `make run` does without CONFIG: the daemon, and something for it to watch if need be.

A Restate that listens on localhost already is watched as it is. If there is none, a real
restate-server and the sample worker are started first, and stopped after the daemon. All of the
watching is left to `restate-medic run`, which gets the arguments of this script.

For tests, `MEDIC_DEMO_PORTS` (ingress,admin,node,worker) and `MEDIC_DEMO_DIR` move everything
elsewhere. `--needs-server` only answers, by its exit code, whether a server would be started.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lab import Child, RestateServer, ScriptWorker, is_listening

_ROOT = Path(__file__).resolve().parents[2]
_SAMPLE_WORKER = Path(__file__).with_name("sample_worker.py")
_MEDIC = Path(sys.executable).with_name("restate-medic")

# The daemon lets a running operation end; it bounds that itself, this is only the last resort.
_DAEMON_PATIENCE_SECONDS = 90.0
_FAILURE = 1


class StopRequested(BaseException):
    """A signal asked us to stop: its number."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Where everything listens and keeps its data."""

    ingress: int = 8080
    admin: int = 9070
    node: int = 5122
    worker: int = 9080
    folder: Path = _ROOT / ".local" / "run"

    @classmethod
    def from_environment(cls) -> Setup:
        """Read the two variables; the defaults are those of Restate."""
        folder = Path(os.environ.get("MEDIC_DEMO_DIR", cls().folder))
        if ports := os.environ.get("MEDIC_DEMO_PORTS"):
            ingress, admin, node, worker = map(int, ports.split(","))
            return cls(ingress, admin, node, worker, folder)
        return cls(folder=folder)

    def listening(self) -> list[int]:
        """Return which of the two ports that the daemon watches are in use."""
        return [port for port in (self.ingress, self.admin) if is_listening(port, "localhost")]

    def arguments(self) -> list[str]:
        """Return what tells the daemon where to look; nothing for the default ports."""
        if (self.ingress, self.admin) == (Setup().ingress, Setup().admin):
            return []
        config = self.folder / "restate-medic.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            "max_mode: observe\n"
            "targets:\n"
            "  - name: local\n"
            f"    ingress_url: http://localhost:{self.ingress}\n"
            f"    admin_url: http://localhost:{self.admin}\n",
            encoding="utf-8",
        )
        return [f"--config.file={config}"]


def main(arguments: list[str]) -> int:
    """Run until the daemon ends or a signal asks to stop; return the daemon's exit code."""
    setup = Setup.from_environment()
    listening = setup.listening()
    if arguments == ["--needs-server"]:
        return _FAILURE if listening else 0
    command = [str(_MEDIC), "run", *setup.arguments(), *arguments]
    if len(listening) == 1:
        return _explain_half(setup, listening[0])
    if listening:
        _say(f"Watching the Restate on localhost:{setup.ingress} and :{setup.admin}.")
        os.execv(command[0], command)  # noqa: S606 - nothing else is left to do here

    signal.signal(signal.SIGINT, _raise_stop)
    signal.signal(signal.SIGTERM, _raise_stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # it is, under nohup
        signal.signal(signal.SIGHUP, _raise_stop)
    try:
        return _run_all(setup, command)
    except StopRequested as stop:
        return 128 + int(stop.args[0])
    except (OSError, RuntimeError) as error:
        return _fail(str(error))


def _run_all(setup: Setup, command: list[str]) -> int:
    """Start server, worker and daemon; stop them in the opposite order."""
    setup.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        ports = (setup.ingress, setup.admin, setup.node)
        server = RestateServer("1.7", base_dir=setup.folder / "restate", ports=ports)
        _say(f"Nothing listens on localhost:{setup.ingress} and :{setup.admin}: starting Restate.")
        stack.enter_context(server)
        stack.callback(server.stop)  # before its close, which kills
        worker = ScriptWorker(_SAMPLE_WORKER, port=setup.worker, log=setup.folder / "worker.log")
        stack.enter_context(worker)
        stack.callback(worker.stop)
        if not server.deployments():
            server.register(worker.url)
        _introduce(setup, server, worker)
        daemon = Child(command, env=os.environ, death_signal=signal.SIGTERM)
        stack.callback(daemon.kill)
        return _wait_for(daemon)


def _wait_for(daemon: Child) -> int:
    try:
        exit_code = daemon.wait()
    except StopRequested:
        _say("\nStopping the daemon, the sample worker and Restate.")
        exit_code = daemon.stop(patience_seconds=_DAEMON_PATIENCE_SECONDS)
    return exit_code if exit_code >= 0 else 128 - exit_code


def _introduce(setup: Setup, server: RestateServer, worker: ScriptWorker) -> None:
    services = ", ".join(server.exposed())
    _say(
        f"  restate-server {server.version()}: ingress {server.ingress_url}, "
        f"admin and its UI {server.admin_url}\n"
        f"  sample worker: {worker.url}, registered: {services}\n"
        f"  data and logs: {setup.folder}\n"
        "Ctrl-C stops all of it. `make run CONFIG=file` watches something else."
    )


def _explain_half(setup: Setup, taken: int) -> int:
    other = setup.admin if taken == setup.ingress else setup.ingress
    return _fail(
        f"something listens on localhost:{taken}, but nothing on localhost:{other}, so "
        "it is not a whole Restate, and one cannot be started beside it. Start the missing half, "
        f"or free port {taken}, or say what to watch: make run CONFIG=file"
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _fail(text: str) -> int:
    print(f"make run: {text}", file=sys.stderr)
    return _FAILURE


def _raise_stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise StopRequested(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
