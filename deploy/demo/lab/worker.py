"""Runs real restate-sdk workers, among them one whose services change under the same address.

They register nothing: that is for the test, the demo or the daemon to do, or to forget.
"""

from __future__ import annotations

import sys
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from lab.managed import Managed
from lab.ports import LOOPBACK, free_ports
from lab.process import Child, clean_environment
from lab.spec import ServiceSpec, WorkerSpec

_LAB_PARENT = Path(__file__).resolve().parent.parent


class WorkerProcess(Managed):
    """A worker on loopback, over HTTP/2, in a process of its own; a context manager.

    `url` is what to register; the server shows it with a slash at the end. Its output goes to
    `log`, or to a temporary file that `close` removes.
    """

    def __init__(self, *, port: int | None = None, log: Path | None = None) -> None:
        self.port = free_ports(1)[0] if port is None else port
        super().__init__(title=f"the worker on port {self.port}", ports=[self.port])
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._cleanup = ExitStack()
        if log is None:
            folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lab-worker-"))
            log = Path(folder) / "worker.log"
        self._log = log

    @abstractmethod
    def _arguments(self) -> Sequence[str]:
        """Return what follows `python` on its command line."""

    def close(self) -> None:
        """Kill it and remove its log if that is temporary."""
        super().close()
        self._cleanup.close()

    def _launch(self) -> Child:
        return Child(
            [sys.executable, *self._arguments()],
            env=clean_environment(PYTHONPATH=str(_LAB_PARENT)),
            log=self._log,
        )

    def _answers(self) -> bool:
        # The SDK's health check: unlike a discovery it leaves a flapping worker where it is.
        try:
            return httpx.get(f"{self.url}/health", timeout=1, trust_env=False).is_success
        except httpx.TransportError:
            return False


class Worker(WorkerProcess):
    """A worker that serves what it is told to; see `lab.behaviour` for what its handlers do.

    With `alternate`, every second discovery lists these services instead; invocations always
    reach `services`.
    """

    def __init__(
        self,
        services: Iterable[ServiceSpec],
        *,
        alternate: Iterable[ServiceSpec] | None = None,
        port: int | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(port=port, log=log)
        self.spec = _spec(services, alternate)

    def roll(
        self, services: Iterable[ServiceSpec], *, alternate: Iterable[ServiceSpec] | None = None
    ) -> None:
        """Replace it by a worker with other services on the same address, as a rollout does."""
        self.spec = _spec(services, alternate)
        self.restart()

    def _arguments(self) -> Sequence[str]:
        return ["-m", "lab.endpoint", str(self.port), self.spec.to_json()]


class ScriptWorker(WorkerProcess):
    """A worker that is a Python script, run as `python SCRIPT PORT`."""

    def __init__(self, script: Path, *, port: int | None = None, log: Path | None = None) -> None:
        super().__init__(port=port, log=log)
        self._script = script

    def _arguments(self) -> Sequence[str]:
        return [str(self._script), str(self.port)]


def _spec(services: Iterable[ServiceSpec], alternate: Iterable[ServiceSpec] | None) -> WorkerSpec:
    return WorkerSpec(tuple(services), None if alternate is None else tuple(alternate))
