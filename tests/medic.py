"""The daemon as a real process, and the looks a person takes at it from outside."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter.ledger.engine import connect, ledger_url
from exporter.ledger.keys import digest_of, new_key
from exporter.ledger.store import Store
from exporter.model.keys import Role
from lab import Child, Restate, clean_environment, free_ports, wait_until

PATIENCE_SECONDS = 30.0
_ROOT = Path(__file__).parents[1]
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading certificates for each look would take 20 ms, and none is ever shown on loopback."""
_T = TypeVar("_T")


def target_of(restate: Restate, name: str = "prod", **expectations: object) -> dict[str, object]:
    """A target's entry in the configuration."""
    urls = {"ingress_url": restate.ingress_url, "admin_url": restate.admin_url}
    return {"name": name, **urls, **expectations}


class Medic:
    """One folder with a configuration, policies and a ledger, and the daemon on them.

    JSON is YAML too, which is how the files are written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        targets: list[dict[str, object]],
        policies: list[dict[str, object]] | None = None,
        program: tuple[str, ...] = (sys.executable, "-m", "exporter"),
        checkout: bool = True,
        **settings: object,
    ) -> None:
        self.folder = folder
        self._program = program
        self._environment = {"PYTHONPATH": str(_ROOT)} if checkout else {}
        (self.port,) = free_ports(1)
        self.config = folder / "restate-medic.yaml"
        self.log = folder / "medic.log"
        self._quick = {"interval": "1s", "invocations_interval": "1s", "drift_interval": "1s"}
        self.write(targets=targets, policies=policies, **settings)
        self._child: Child | None = None

    def write(
        self,
        *,
        targets: list[dict[str, object]],
        policies: list[dict[str, object]] | None = None,
        **settings: object,
    ) -> None:
        """Write configuration and policies; a running daemon takes them when it reloads."""
        self.folder.mkdir(parents=True, exist_ok=True)
        body = {"targets": targets, "policies": ["policies.yaml"], **self._quick, **settings}
        self.config.write_text(json.dumps(body))
        (self.folder / "policies.yaml").write_text(json.dumps({"policies": policies or []}))

    # The process

    def start(self, *, ready: bool = True) -> Self:
        """Start the daemon and wait until every target was read once."""
        self._child = Child(
            [
                *self._program,
                "run",
                f"--config.file={self.config}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.format=json",
            ],
            env=clean_environment(**self._environment),
            cwd=self.folder,
            log=self.log,
        )
        if ready:
            self.await_ready()
        return self

    def await_ready(self) -> None:
        """Wait until every target was read once."""
        self.wait_for(lambda: self.status("/-/ready") == httpx.codes.OK, "readiness")

    @property
    def child(self) -> Child:
        """The running process."""
        assert self._child is not None, "not started"
        return self._child

    def kill(self) -> None:
        """SIGKILL: nothing gets to finish."""
        self.child.kill()

    def terminate(self) -> int:
        """SIGTERM, and the exit code once it has ended."""
        self.child.signal(signal.SIGTERM)
        return self.child.wait(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.kill()

    # Looks from outside

    def wait_for(
        self, condition: Callable[[], _T], what: str, seconds: float = PATIENCE_SECONDS
    ) -> _T:
        """Wait until the condition is true; on failure show the end of the log."""

        def look() -> _T:
            ended = self.child.exit_code
            assert ended is None, f"the daemon ended with {ended}\n{self.child.log_tail()}"
            return condition()

        try:
            return wait_until(look, what=what, timeout_seconds=seconds, poll_seconds=0.05)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.child.log_tail()}") from error

    def status(self, path: str) -> int | None:
        """The HTTP status of a GET; None while nothing answers."""
        try:
            return self.get(path).status_code
        except httpx.TransportError:
            return None

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A GET as a browser or Prometheus sends it."""
        return httpx.get(self.url(path), headers=headers, timeout=10, trust_env=False, verify=_TLS)

    def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        """A POST, of JSON if there is a body; ``x_api_key`` is the header ``X-Api-Key``."""
        return self.ask("POST", path, body, **headers)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """The same with any method."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        json_body = {} if body is None else {"json": body}
        return httpx.request(
            method,
            self.url(path),
            headers=sent,
            timeout=60,
            trust_env=False,
            verify=_TLS,
            **json_body,  # type: ignore[arg-type]
        )

    def url(self, path: str) -> str:
        """Where a path is."""
        return f"http://127.0.0.1:{self.port}{path}"

    def key(self, name: str = "ops", role: str = "operator") -> str:
        """A new key for the HTTP interface, put into the ledger as ``key new`` does."""
        secret, engine = new_key(), connect(ledger_url(f"sqlite:///{self.folder}/data/medic.db"))
        now = datetime.now(UTC)
        Store(engine).add_key(name, Role(role), digest=digest_of(secret), actor="mira", now=now)
        engine.dispose()
        return secret

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The samples of one metric, without its prefix: sorted labels to value."""
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name == f"restate_medic_{name}"
        }

    def sample(self, name: str, **labels: str) -> float | None:
        """One sample's value; None when it is absent."""
        return self.samples(name).get(tuple(sorted(labels.items())))

    def decisions(self) -> list[dict[str, Any]]:
        """What every policy decides at present."""
        body: dict[str, list[dict[str, Any]]] = self.get("/api/v1/decisions").json()
        return body["decisions"]

    def holds(self, policy: str) -> set[str | None]:
        """The present hold reasons of a policy."""
        return {d["reason"] for d in self.decisions() if d["policy"] == policy}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the program on the same configuration."""
        return subprocess.run(
            [*self._program, *arguments, f"--config.file={self.config}"],
            env=clean_environment(**self._environment, COLUMNS="200"),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def operations(self, *options: str) -> list[dict[str, Any]]:
        """The ledger's operations, newest first, as ``audit list`` tells them."""
        answer = self.command("audit", "list", "--json", *options)
        assert answer.returncode == 0, answer.stderr
        rows: list[dict[str, Any]] = json.loads(answer.stdout)
        return rows

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of one name, oldest first."""
        lines = self.log.read_text().splitlines()
        parsed = (json.loads(line) for line in lines if line.startswith("{"))
        return [event for event in parsed if event.get("event") == name]
