"""restate-medic as its users meet it: a process, commands, and what it answers over HTTP.

The daemon and every command run as they do in earnest, in a folder with a configuration, policies
and a ledger of its own. Nothing here imports the program.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from lab import Child, Restate, clean_environment, free_ports
from lab.ports import LOOPBACK

TARGET = "shop"
_ROOT = Path(__file__).resolve().parents[3]
_POLICIES = _ROOT / "deploy" / "demo" / "policies"
_TIMEOUT_SECONDS = 10.0
_COMMAND_SECONDS = 60.0
_PATIENCE_SECONDS = 15.0
_LOG_LINES = 15
_FARTHEST_EAST = 14
"""Hours that a zone may be ahead of UTC."""
_PREFIX = "restate_medic_"
_CONFIGURATION = """\
# Read once a second, so that the story is soon told; leave these out and it is 15s, 1m and 5m.
interval: 1s
invocations_interval: 1s
drift_interval: 1s
drain_timeout: 5s
web_listen_address: {listen}
targets:
  - name: {target}
    ingress_url: {ingress}
    admin_url: {admin}
    service_url: {service}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command of restate-medic printed, and how it ended."""

    command: str
    exit_code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its message in one line."""
        return ". ".join((self.err or self.out).splitlines())


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of /metrics."""

    line: str
    value: float


class Medic:
    """One daemon over one target, and the commands a person types beside it."""

    def __init__(self, folder: Path, *, restate: Restate, service_url: str) -> None:
        self._folder = folder
        self._restate = restate
        self._listen = f"{LOOPBACK}:{free_ports(1)[0]}"
        self.url = f"http://{self._listen}"
        self.config = folder / "restate-medic.yaml"
        self._log = folder / "restate-medic.log"
        self._daemon: Child | None = None
        _copy_policies(folder / "policies", it_is_night_in(datetime.now(UTC)))
        self.configure(service_url)

    # The process

    def configure(self, service_url: str) -> None:
        """Write the configuration; a running daemon takes it when it reloads."""
        text = _CONFIGURATION.format(
            listen=self._listen,
            target=TARGET,
            ingress=self._restate.ingress_url,
            admin=self._restate.admin_url,
            service=service_url,
        )
        self.config.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start the daemon; it answers a moment later."""
        self._daemon = Child(
            [*self._program("run"), "--log.format=json"],
            env=clean_environment(PYTHONPATH=str(_ROOT)),
            cwd=self._folder,
            log=self._log,
        )

    def stop(self) -> None:
        """Stop it as a person would, and insist if need be; nothing if it does not run."""
        if self._daemon is not None:
            self._daemon.stop(patience_seconds=_PATIENCE_SECONDS)
            self._daemon = None

    @property
    def exit_code(self) -> int | None:
        """How the daemon ended; None while it runs, and before."""
        return None if self._daemon is None else self._daemon.exit_code

    def last_lines(self) -> list[str]:
        """The end of the daemon's log."""
        if not self._log.exists():
            return []
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return [_shorter(line) for line in text.splitlines()[-_LOG_LINES:]]

    # Looks over HTTP

    def is_ready(self) -> bool:
        """Whether it says that it has read the target."""
        return self._get("/-/ready").is_success

    def has_page(self) -> bool:
        """Whether the page for people is there."""
        return self._get("/").is_success

    def reload(self) -> httpx.Response:
        """Ask for the configuration to be read again."""
        return httpx.post(f"{self.url}/-/reload", timeout=_TIMEOUT_SECONDS, trust_env=False)

    def sample(self, name: str, **labels: str) -> Sample | None:
        """The line of /metrics with this name, without prefix, and these labels of the target."""
        wanted = {f'{key}="{value}"' for key, value in {"target": TARGET, **labels}.items()}
        for line in self._get("/metrics").text.splitlines():
            found = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
            if found and found[1] == _PREFIX + name and wanted <= set(found[2].split(",")):
                return Sample(line, float(found[3]))
        return None

    def probes(self, component: str) -> int:
        """How often it has read a component."""
        sample = self.sample("probes_total", component=component)
        return 0 if sample is None else int(sample.value)

    def hold(self, policy: str) -> tuple[str, str] | None:
        """The reason why a policy is held at present, and its sentence; None when it is not."""
        body = self._get(f"/api/v1/decisions?policy={policy}&result=hold").json()
        held = [(str(d["reason"]), str(d["detail"])) for d in body["decisions"]]
        return held[0] if held else None

    # Commands

    def command(self, *arguments: str, columns: int | None = None) -> Answer:
        """Run a command. With `columns` it prints as it does on a colour terminal that wide."""
        terminal = {} if columns is None else {"COLUMNS": str(columns), "FORCE_COLOR": "1"}
        done = subprocess.run(
            self._program(*arguments),
            env=clean_environment(PYTHONPATH=str(_ROOT), **terminal),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        shown = shlex.join(["restate-medic", *arguments])
        return Answer(shown, done.returncode, done.stdout, done.stderr)

    def operations(self) -> list[dict[str, Any]]:
        """The operations in the ledger, newest first, as `audit list --json` tells them."""
        answer = self.command("audit", "list", "--json")
        if answer.exit_code != 0:
            message = f"`{answer.command}` ended with {answer.exit_code}: {answer.said}"
            raise RuntimeError(message)
        return list(json.loads(answer.out))

    def _program(self, command: str, *arguments: str) -> list[str]:
        # As a module, which needs no installed command.
        start = [sys.executable, "-m", "exporter", command, *arguments]
        return [*start, f"--config.file={self.config}"]

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=_TIMEOUT_SECONDS, trust_env=False)


def it_is_night_in(now: datetime) -> str:
    """A time zone whose clocks show between two and three at night: there always is one."""
    east = (2 - now.hour) % 24
    if east > _FARTHEST_EAST:
        east -= 24
    return "UTC" if east == 0 else f"Etc/GMT{-east:+d}"  # POSIX: minus is east


def _copy_policies(folder: Path, zone: str) -> None:
    """The policies of the demonstration, with windows that are open now."""
    folder.mkdir()
    for file in _POLICIES.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        (folder / file.name).write_text(text.replace("timezone: UTC", f"timezone: {zone}"))


def _shorter(line: str) -> str:
    """A line of the log without what repeats; unchanged when it is none of the program's own."""
    try:
        fields = json.loads(line)
        known = [fields.pop(name) for name in ("timestamp", "level", "event")]
    except (ValueError, AttributeError, KeyError, TypeError):
        return line
    rest = (f"{k}={v}" for k, v in fields.items() if k != "logger" and v not in {None, ""})
    return " ".join([*map(str, known), *rest])
