"""A real Alertmanager, and what a person or Prometheus tells it."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx

from lab import Child, clean_environment, free_ports, wait_until
from tests.support import ToolFinder

_PATIENCE_SECONDS = 30.0


class Alertmanager:
    """One process on loopback, alone in its cluster; it tells nobody anything."""

    def __init__(self, tool: ToolFinder, folder: Path) -> None:
        self._binary, self._amtool = tool("prometheus-alertmanager"), tool("amtool")
        self._folder = folder / "alertmanager"
        self._folder.mkdir()
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        config = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        (self._folder / "config.yml").write_text(json.dumps(config))
        self._child: Child | None = None

    def start(self) -> Self:
        """Start it and wait until it answers. Its silences outlive it, its alerts do not."""
        self._child = Child(
            [
                str(self._binary),
                f"--config.file={self._folder / 'config.yml'}",
                f"--storage.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--cluster.listen-address=",
            ],
            env=clean_environment(),
            cwd=self._folder,
            log=self._folder / "log",
        )
        wait_until(self._answers, what="Alertmanager", timeout_seconds=_PATIENCE_SECONDS)
        return self

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fire(self, **labels: str) -> None:
        """An alert fires, as Prometheus tells it."""
        self._tell(labels, ends=datetime.now(UTC) + timedelta(hours=1))

    def resolve(self, **labels: str) -> None:
        """The same alert is over."""
        self._tell(labels, ends=datetime.now(UTC))

    def silence(self, *matchers: str, author: str = "mira", comment: str = "migration") -> str:
        """A person silences what fits, with amtool; its id."""
        told = self._ask("add", f"--author={author}", f"--comment={comment}", *matchers)
        return told.strip()

    def expire(self, ident: str) -> None:
        """A person ends a silence."""
        self._ask("expire", ident)

    def _tell(self, labels: dict[str, str], *, ends: datetime) -> None:
        began = datetime.now(UTC) - timedelta(minutes=1)
        alert: dict[str, Any] = {"labels": labels}
        alert |= {"startsAt": began.isoformat(), "endsAt": ends.isoformat()}
        url = f"{self.url}/api/v2/alerts"
        httpx.post(url, json=[alert], trust_env=False).raise_for_status()

    def _ask(self, *arguments: str) -> str:
        command = [str(self._amtool), f"--alertmanager.url={self.url}", "silence", *arguments]
        done = subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).is_success
        except httpx.TransportError:
            return False
