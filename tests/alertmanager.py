"""What people and Prometheus do to a real Alertmanager, beyond handing in alerts."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from lab import clean_environment
from tests.e2e.watching import Alertmanager
from tests.support import ToolFinder


class Tended(Alertmanager):
    """An Alertmanager that tells nobody anything, and that a person tends with amtool."""

    def __init__(self, tool: ToolFinder, folder: Path) -> None:
        config = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        super().__init__(tool("prometheus-alertmanager"), folder / "alertmanager", config)
        self._amtool = str(tool("amtool"))

    def start(self) -> None:
        """Start it again; its silences were kept, its alerts were not."""
        self.__enter__()

    def stop(self) -> None:
        """End it, as its service would, so that it keeps its silences."""
        if self._child is not None:
            self._child.stop()

    def resolve(self, labels: dict[str, str]) -> None:
        """What fired is over."""
        now = datetime.now(UTC)
        began = (now - timedelta(minutes=1)).isoformat()
        alert = {"labels": labels, "startsAt": began, "endsAt": now.isoformat()}
        url = f"{self.url}/api/v2/alerts"
        httpx.post(url, json=[alert], timeout=10, trust_env=False).raise_for_status()

    def silence(self, *matchers: str, comment: str = "migration") -> str:
        """A person silences what fits; the id."""
        return self._ask("add", "--author=mira", f"--comment={comment}", *matchers).strip()

    def expire(self, ident: str) -> None:
        """A person ends a silence."""
        self._ask("expire", ident)

    def _ask(self, *arguments: str) -> str:
        command = [self._amtool, f"--alertmanager.url={self.url}", "silence", *arguments]
        done = subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout
