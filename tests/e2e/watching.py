"""Prometheus and Alertmanager as real processes, on configurations that a test writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import httpx

from lab import Child, clean_environment, free_ports, wait_until

PATIENCE_SECONDS = 30.0


class _Watcher:
    """A process with a configuration in a folder of its own; JSON is YAML too."""

    _storage: str
    _flags: tuple[str, ...] = ()

    def __init__(self, binary: Path, folder: Path, config: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self._binary, self._folder = binary, folder
        self._config = folder / "config.yml"
        self._config.write_text(json.dumps(config))
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """host:port, as scrape configurations want it."""
        return self.url.removeprefix("http://")

    def __enter__(self) -> Self:
        flags = [
            f"--config.file={self._config}",
            f"--{self._storage}={self._folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
            *self._flags,
        ]
        log = self._folder / "log"
        self._child = Child([str(self._binary), *flags], env=clean_environment(), log=log)
        try:
            wait_until(self._ready, what=self._binary.name, timeout_seconds=PATIENCE_SECONDS)
        except BaseException as error:
            tail = self._child.log_tail()
            self._child.kill()
            raise AssertionError(f"{self._binary.name} does not start\n{tail}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.kill()

    def _ready(self) -> bool:
        assert self._child is not None
        assert self._child.exit_code is None, self._child.log_tail()
        try:
            return self.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def get(self, path: str, **parameters: str) -> httpx.Response:
        return httpx.get(self.url + path, params=parameters, timeout=10, trust_env=False)


class Prometheus(_Watcher):
    """Prometheus; the query interface of a person who looks."""

    _storage = "storage.tsdb.path"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's rows."""
        answer = self.get("/api/v1/query", query=expression).json()
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        rows = self.query('ALERTS{alertstate="firing"}')
        return {row["metric"]["alertname"] for row in rows}

    def scraped(self, jobs: int) -> bool:
        """Whether so many jobs were scraped; AssertionError when one was refused."""
        up = self.query("up == 1")
        targets = self.get("/api/v1/targets").json()["data"]["activeTargets"]
        failed = [target["lastError"] for target in targets if target["health"] == "down"]
        assert not failed
        return len(up) == jobs


class Alertmanager(_Watcher):
    """Alertmanager, alone: without the port for others of a cluster."""

    _storage = "storage.path"
    _flags = ("--cluster.listen-address=",)

    def fire(self, *alerts: dict[str, str]) -> None:
        """Hand in alerts as Prometheus does, by their labels."""
        body = [{"labels": labels, "annotations": {"summary": "x"}} for labels in alerts]
        url = f"{self.url}/api/v2/alerts"
        httpx.post(url, json=body, timeout=10, trust_env=False).raise_for_status()

    def states(self) -> dict[tuple[str, str], str]:
        """The state of each alert, by name and target: unprocessed, active or suppressed."""
        rows: list[dict[str, Any]] = self.get("/api/v2/alerts").json()
        return {
            (row["labels"]["alertname"], row["labels"].get("target", "")): row["status"]["state"]
            for row in rows
        }
