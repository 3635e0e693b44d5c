"""What reading a backlog of 300,000 invocations costs the server, beside the command line's way.

Restate's own command line (``restate services status`` and ``restate deployments list --extra``,
1.7.12, as seen on the wire) asks a question a table, a status and a deployment; the doctor's one
grouped scan answers the same: unfinished invocations by service, status and deployment, with the
age of the oldest. Both go through the same endpoint in alternating rounds of one run; measured are
the CPU time of the server and the time until the answer.
By hand: ``python -m tests.benchmarks.backlog [COUNT]``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

import httpx

from exporter.doctor import PROBES, ProbeContext
from exporter.model.component import Component
from exporter.model.target import Target
from exporter.model.views import InvocationsView
from exporter.restate_api import RestateApi, connect
from exporter.transport import Transport
from lab import RestateServer, ScriptWorker, wait_until

STORED = 300_000
ROUNDS = 7
AIM = 0.5
_PATIENCE_SECONDS = 900.0
_AT_ONCE = 4
_EACH = 500
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_CROWD = Path(__file__).with_name("crowd.py")
Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians of one round, in milliseconds: the server's CPU, and until the last answer."""

    cpu_ms: float
    wall_ms: float


@dataclass(frozen=True, slots=True)
class BacklogResult:
    """``stored`` invocations, seeded in ``seeded_seconds``; each way's cost."""

    stored: int
    seeded_seconds: float
    scan: Cost
    probe: Cost
    command_line: Cost

    @property
    def ratio(self) -> float:
        """The server's CPU for all that the doctor asks of invocations, over the command line's."""
        return self.probe.cpu_ms / self.command_line.cpu_ms


def measure(count: int = STORED, rounds: int = ROUNDS) -> BacklogResult:
    """Fill a server, and read it in both ways."""
    with RestateServer("1.7") as restate, ScriptWorker(_CROWD) as worker:
        restate.register(worker.url)
        began = time.monotonic()
        _seed(restate, count)
        seeded = time.monotonic() - began
        found = asyncio.run(_compare(restate, rounds))
    stored, costs = found
    return BacklogResult(stored, seeded, costs["scan"], costs["probe"], costs["cli"])


def _seed(restate: RestateServer, count: int) -> None:
    """Have the invocations handed in, and wait until those that run at once are through."""

    def spread(number: int) -> None:
        answer = httpx.post(
            f"{restate.ingress_url}/Crowd/spread",
            json=min(_EACH, count - number),
            timeout=_PATIENCE_SECONDS,
            trust_env=False,
        )
        answer.raise_for_status()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(spread, range(0, count, _EACH)))
    wait_until(
        lambda: (
            not restate.query(
                "SELECT 1 FROM sys_invocation_status "
                "WHERE status NOT IN ('completed', 'scheduled') LIMIT 1"
            )
        ),
        what="the invocations that run at once",
        timeout_seconds=_PATIENCE_SECONDS,
        poll_seconds=1.0,
    )


async def _compare(restate: RestateServer, rounds: int) -> tuple[int, dict[str, Cost]]:
    deployments = [str(one["id"]) for one in restate.deployments()]
    services = sorted(str(one["name"]) for one in restate.services())
    asked = _command_line(services, deployments)
    pid = restate.pid
    if pid is None:
        raise RuntimeError("the server has ended")
    async with Transport() as transport:
        api = connect(
            transport,
            ingress_url=restate.ingress_url,
            admin_url=restate.admin_url,
            query_timeout=timedelta(minutes=2),
        )
        context = ProbeContext(api, Target("measured"))

        async def probe() -> object:
            return await PROBES[Component.INVOCATIONS](context)

        async def command_line() -> object:
            return [await _ask(transport, restate.admin_url, statement) for statement in asked]

        ways: dict[str, Ask] = {"scan": api.invocations.scan, "probe": probe, "cli": command_line}
        stored = await _stored(api)
        spent: dict[str, list[Cost]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name in list(ways) if number % 2 else reversed(ways):
                cost = await _cost(pid, ways[name])
                if number:  # the first round warms both up
                    spent[name].append(cost)
    return stored, {
        name: Cost(median(c.cpu_ms for c in costs), median(c.wall_ms for c in costs))
        for name, costs in spent.items()
    }


async def _stored(api: RestateApi) -> int:
    return sum(group.count for group in (await api.invocations.scan()).groups)


async def _cost(pid: int, ask: Ask) -> Cost:
    cpu, wall = _cpu_ms(pid), time.perf_counter()
    answer = await ask()
    took = Cost(_cpu_ms(pid) - cpu, (time.perf_counter() - wall) * 1000)
    if isinstance(answer, InvocationsView) and not answer.by_status:
        raise RuntimeError("nothing was counted")
    return took


async def _ask(transport: Transport, admin_url: str, statement: str) -> object:
    client = transport.client(admin_url, timeout=timedelta(minutes=2))
    answer = await client.request(
        "POST", "/query", json={"query": statement}, headers={"accept": "application/json"}
    )
    return answer.json()["rows"]


def _command_line(services: list[str], deployments: list[str]) -> list[str]:
    """The questions of ``services status`` and ``deployments list --extra``, in their order."""
    names = ", ".join(f"'{name}'" for name in services)
    oldest = (
        "COUNT(1) AS num_invocations, MIN(created_at) AS oldest_at, "
        "FIRST_VALUE(id ORDER BY created_at ASC) AS oldest_invocation"
    )
    of_services = f"target_service_name IN ({names})"
    handlers = "target_service_name, target_handler_name"
    pending = (
        f"SELECT {handlers}, 'pending' AS status, {oldest} FROM sys_invocation_status "
        f"WHERE status = 'inboxed' AND {of_services} GROUP BY {handlers}"
    )
    by_status = (
        f"SELECT {handlers}, status, {oldest} FROM sys_invocation "
        f"WHERE {of_services} GROUP BY {handlers}, status ORDER BY target_handler_name"
    )
    pinned = "SELECT COUNT(1) AS inv_count FROM sys_invocation_status WHERE status != 'completed' "
    of_each = (f"{pinned} AND pinned_deployment_id = '{id_}'" for id_ in deployments)
    return [pending, by_status, *of_each]


def _cpu_ms(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS_PER_SECOND


def main(count: int = STORED) -> None:
    """Print the result."""
    result = measure(count)
    print(f"Reading {result.stored:,} invocations (stored in {result.seeded_seconds:.0f} s)")
    for name, cost in (
        ("one grouped scan", result.scan),
        ("a whole probe", result.probe),
        ("the command line", result.command_line),
    ):
        print(f"  {name:17}  server {cost.cpu_ms:7.0f} ms CPU, {cost.wall_ms:7.0f} ms until done")
    print(f"  ratio              {result.ratio:14.2f} (aim: at most {AIM:g})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
