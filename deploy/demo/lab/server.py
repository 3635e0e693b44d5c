"""Runs a real restate-server with ports and data of its own.

The binary is the one that `make` installs from npm; what is registered there and done to it is
left to the caller.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from lab.managed import Managed
from lab.ports import LOOPBACK, free_ports
from lab.process import Child, clean_environment
from lab.restate import Restate

Version = Literal["1.6", "1.7"]

VERSIONS: tuple[Version, ...] = ("1.6", "1.7")

_INSTALLED = Path(__file__).resolve().parents[3] / ".local" / "restate"
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class RestateServer(Managed, Restate):
    """A restate-server on loopback in a process of its own; a context manager.

    `ports` are those of ingress, admin and node; free ones if left out. Data live in `base_dir`
    and survive `stop`, `kill` and `restart`; without a `base_dir` in a temporary folder that
    `close` removes.
    """

    def __init__(
        self,
        version: Version = "1.7",
        *,
        base_dir: Path | None = None,
        ports: tuple[int, int, int] | None = None,
        partitions: int = 2,
    ) -> None:
        ingress, admin, node = free_ports(3) if ports is None else ports
        Managed.__init__(
            self,
            title=f"restate-server {version} with admin port {admin}",
            ports=(ingress, admin, node),
        )
        Restate.__init__(
            self,
            ingress_url=f"http://{LOOPBACK}:{ingress}",
            admin_url=f"http://{LOOPBACK}:{admin}",
            node_url=f"http://{LOOPBACK}:{node}",
        )
        self.series = version
        self._cleanup = ExitStack()
        if base_dir is None:
            temporary = tempfile.TemporaryDirectory(prefix="lab-restate-")
            base_dir = Path(self._cleanup.enter_context(temporary))
        self.base_dir = base_dir
        self._environment = clean_environment(
            # Its folder of data; the default, the host's name, may change under a container.
            RESTATE_NODE_NAME="lab",
            # For its invokers' folders, which it leaves behind when it is killed.
            TMPDIR=str(base_dir.absolute()),
            RESTATE_INGRESS__BIND_ADDRESS=f"{LOOPBACK}:{ingress}",
            RESTATE_ADMIN__BIND_ADDRESS=f"{LOOPBACK}:{admin}",
            RESTATE_BIND_ADDRESS=f"{LOOPBACK}:{node}",
            # Half the start-up time and memory of the default 24.
            RESTATE_DEFAULT_NUM_PARTITIONS=str(partitions),
            RESTATE_DISABLE_TELEMETRY="true",
            RESTATE_LOG_DISABLE_ANSI_CODES="true",
        )

    def close(self) -> None:
        """Kill it, give back the HTTP client, and remove its data if they are temporary."""
        Managed.close(self)
        Restate.close(self)
        self._cleanup.close()

    def _launch(self) -> Child:
        binary = find_binary(self.series)
        self.base_dir.mkdir(parents=True, exist_ok=True)
        # A relative folder: the server makes Unix sockets in it, whose paths have a short limit.
        return Child(
            [str(binary), "--base-dir", "."],
            env=self._environment,
            cwd=self.base_dir,
            log=self.base_dir / "server.log",
        )

    def _answers(self) -> bool:
        return self.is_healthy()


def find_binary(version: Version) -> Path:
    """Return the native binary of that version; FileNotFoundError says how to install it.

    Not npm's `bin/restate-server`, which is a Node script around it: one process is easier to stop
    than two.
    """
    system = sys.platform
    machine = platform.machine().lower()
    package = f"restate-server-{system}-{_ARCHITECTURES.get(machine, machine)}"
    scope = _INSTALLED / version / "node_modules" / "@restatedev"
    binary = scope / package / "bin" / "restate-server"
    if not binary.is_file():
        message = (
            f"restate-server {version} is not installed ({binary} is missing): "
            "`make test` and `make run` install it; npm has it for Linux and macOS on x64 and arm64"
        )
        raise FileNotFoundError(message)
    return binary
