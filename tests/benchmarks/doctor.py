"""CPU of a doctor pass beside blackbox_exporter making the same checks of the same Restate.

Both are processes of their own, measured by their CPU time (user and system) in alternating
batches of one run, so that noise hits both alike. Beside the five checks our pass asks for the
cluster's name: six requests to five.
By hand: ``python -m tests.benchmarks.doctor``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from lab import Restate, RestateServer, ServiceSpec, Worker, free_ports, wait_until

AIM = 0.7
BATCHES = 10
PASSES = 40
_SCAN = (
    "SELECT pinned_deployment_id, target_service_name, target_service_ty, status, "
    "completion_result, COUNT(1) AS n, MIN(created_at) AS oldest_created, "
    "MIN(modified_at) AS oldest_modified FROM sys_invocation_status GROUP BY 1, 2, 3, 4, 5"
)
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
Run = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """Medians of CPU milliseconds a pass. ``ratio`` is ours over blackbox_exporter's five."""

    ours_ms: float
    rendered_ms: float
    blackbox_ms: float

    @property
    def ratio(self) -> float:
        """The aim is at most 0.7."""
        return self.ours_ms / self.blackbox_ms


def measure(batches: int = BATCHES, passes: int = PASSES) -> DoctorResult:
    """Measure both sides; raises when a check fails on either."""
    with ExitStack() as stack:
        restate = stack.enter_context(RestateServer("1.7"))
        worker = stack.enter_context(Worker([ServiceSpec("Orders", handlers=("place",))]))
        restate.register(worker.url)
        ours = stack.enter_context(_ours(restate))
        blackbox = stack.enter_context(_blackbox(restate))
        sides: dict[str, tuple[int, Run]] = {
            "ours": (ours[0], lambda n: ours[1]("plain", n)),
            "rendered": (ours[0], lambda n: ours[1]("render", n)),
            "blackbox": blackbox,
        }
        for _, run in sides.values():
            run(passes)
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(batches):
            order = list(sides) if number % 2 else list(reversed(sides))
            for name in order:
                pid, run = sides[name]
                before = _cpu_ms(pid)
                run(passes)
                spent[name].append((_cpu_ms(pid) - before) / passes)
    return DoctorResult(median(spent["ours"]), median(spent["rendered"]), median(spent["blackbox"]))


def _cpu_ms(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS_PER_SECOND


@contextmanager
def _ours(restate: Restate) -> Iterator[tuple[int, Callable[[str, int], None]]]:
    command = [sys.executable, "-m", "tests.benchmarks.passes"]
    child = subprocess.Popen(
        [*command, restate.ingress_url, restate.admin_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    requests, answers = child.stdin, child.stdout
    if requests is None or answers is None:
        raise RuntimeError("no pipes")

    def run(mode: str, count: int) -> None:
        requests.write(f"{mode} {count}\n")
        requests.flush()
        if answers.readline() != "done\n":
            raise RuntimeError("our side has ended")

    try:
        yield child.pid, run
    finally:
        requests.close()
        child.wait(timeout=10)


@contextmanager
def _blackbox(restate: Restate) -> Iterator[tuple[int, Run]]:
    http = {"preferred_ip_protocol": "ip4", "follow_redirects": False}
    headers = {"accept": "application/json", "content-type": "application/json"}
    query = http | {"method": "POST", "headers": headers, "body": json.dumps({"query": _SCAN})}
    modules = {
        "get": {"prober": "http", "http": http},
        "query": {"prober": "http", "http": query},
    }
    checks = [
        ("get", f"{restate.ingress_url}/restate/health"),
        ("get", f"{restate.admin_url}/version"),
        ("get", f"{restate.admin_url}/deployments"),
        ("get", f"{restate.admin_url}/services"),
        ("query", f"{restate.admin_url}/query"),
    ]
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder, httpx.Client(trust_env=False) as client:
        config = Path(folder, "blackbox.yml")
        config.write_text(json.dumps({"modules": modules}))
        address = f"127.0.0.1:{port}"
        child = subprocess.Popen(
            [
                "prometheus-blackbox-exporter",
                f"--config.file={config}",
                f"--web.listen-address={address}",
            ],
            stderr=subprocess.DEVNULL,
        )

        def answers() -> bool:
            try:
                return client.get(f"http://{address}/-/healthy").is_success
            except httpx.TransportError:
                return False

        def run(count: int) -> None:
            for _ in range(count):
                for module, url in checks:
                    params = {"module": module, "target": url}
                    body = client.get(f"http://{address}/probe", params=params).text
                    if "\nprobe_success 1" not in body:
                        raise RuntimeError(f"blackbox_exporter failed on {url}")

        try:
            wait_until(answers, what="blackbox_exporter")
            yield child.pid, run
        finally:
            child.terminate()
            child.wait(timeout=10)


def main() -> None:
    """Print the result."""
    result = measure()
    print("CPU of a doctor pass")
    print(f"  restate-medic      {result.ours_ms:6.2f} ms (rendered too: {result.rendered_ms:.2f})")
    print(f"  blackbox_exporter  {result.blackbox_ms:6.2f} ms")
    print(f"  ratio              {result.ratio:6.2f} (aim: at most {AIM:g})")


if __name__ == "__main__":
    main()
