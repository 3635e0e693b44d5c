"""Daemons that a browser looks at: one on a fleet with every kind of trouble, one on a crowd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import RestateServer, ServiceSpec, Worker, free_ports
from tests.integration.rolled import BILLING, GREETER, re_register
from tests.integration.surgery import send
from tests.medic import Medic, target_of
from tests.unit import hostile
from tests.unit.fake_restate import FakeRestate, deployment, service

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TRICK = "\u202egnp.exe"
LONG = "x" * 400
CROWD = 500
LOOSE = {"max_unhealthy": "100%", "at_least": 10, "at_most": 10}
MAILER = ServiceSpec("Mailer", handlers=("send",), pause_after=2)
EXPECTED = ["Greeter", "Billing", "Mailer"]


def asking(**changes: object) -> dict[str, object]:
    """Waits for a yes on whichever target a service is missing."""
    return re_register(mode="approve", storm=LOOSE, **changes)


RESUME: dict[str, object] = {
    "name": "resume-paused",
    "mode": "enforce",
    "for_each": "invocations.paused",
    "when": "item.paused_by == 'retries'",
    "for": "1s",
    "action": {"resume-invocations": {"service": "Mailer", "max_items": 5}},
    "cooldown": "15m",
    "limits": [{"scope": "target", "max": 3, "per": "24h"}],
    "storm": LOOSE,
}
TIDY: dict[str, object] = {
    "name": "clean-up-drained",
    "mode": "enforce",
    "targets": {"labels": {"tier": "critical"}},
    "when": "size(deployments.drained) > 0",
    "for": "1h",
    "action": {"cleanup-stale-deployments": {}},
    "cooldown": "24h",
    "limits": [{"scope": "target", "max": 2, "per": "24h"}],
    "windows": [{"days": ["mon", "tue"], "start": "22:00", "end": "05:00", "timezone": "UTC"}],
}


@asynccontextmanager
async def running(medic: Medic) -> AsyncIterator[Medic]:
    """Start it while the event loop runs on, on which other servers of a scene may stand."""
    try:
        medic.start(ready=False)
        await asyncio.to_thread(medic.await_ready)
        yield medic
    finally:
        medic.__exit__()


@dataclass(frozen=True, slots=True)
class Ward:
    """A daemon that several tests look at, and the key of its operator."""

    medic: Medic
    key: str


def worst_restate() -> FakeRestate:
    """A Restate whose every name and error is an attack, or longer than a line."""
    names = [HOSTILE, TRICK, LONG, "Ünïcödé 🦀", '"><b>bold</b>']
    services = [service(name, handlers=[(HOSTILE, None)]) for name in names]
    listed = deployment(uri=f"http://127.0.0.1:9/{LONG}", metadata={HOSTILE: HOSTILE})
    broken = hostile.json_answer({"message": f"{HOSTILE} {LONG} http://u:pass@h/"}, 500)
    fake = FakeRestate()
    fake.routes |= {
        ("GET", "/restate/health"): hostile.json_answer({"services": names}),
        ("GET", "/version"): hostile.json_answer({"version": HOSTILE}),
        ("GET", "/services"): hostile.json_answer({"services": services}),
        ("GET", "/deployments"): hostile.json_answer(
            {"deployments": [listed | {"services": [{"name": n, "revision": 1} for n in names]}]}
        ),
        ("POST", "/deployments"): broken,
        ("POST", "/query"): broken,
    }
    return fake


@asynccontextmanager
async def ward(folder: Path, *, attacked: bool = True) -> AsyncIterator[Ward]:
    """A healthy target, one that waits for a yes, one that is gone, and one full of attacks."""
    async with AsyncExitStack() as stack:
        well, sick = RestateServer("1.7"), RestateServer("1.7")
        for server in (well, sick):
            await stack.enter_async_context(server)
        everything = await stack.enter_async_context(Worker((GREETER, BILLING, MAILER)))
        old = await stack.enter_async_context(Worker((GREETER,)))
        rolled = await stack.enter_async_context(Worker((GREETER, MAILER)))
        _register(well, sick, everything, old, rolled)
        bad = await stack.enter_async_context(hostile.serving(worst_restate().reply))
        (closed,) = free_ports(1)
        attack = {
            **gone("attacked", closed),
            "ingress_url": bad.url,
            "admin_url": bad.url,
            "labels": {"team": f"Zoë & {HOSTILE}", "note": TRICK},
        }
        medic = Medic(
            folder,
            targets=[
                _target(well, "eu-central", everything),
                _target(sick, "us-east", rolled),
                gone("staging", closed),
                *([attack] if attacked else []),
            ],
            policies=[asking(), RESUME, TIDY],
        )
        await stack.enter_async_context(running(medic))
        await asyncio.to_thread(medic.wait_for, lambda: _all_told(medic), "every trouble to show")
        yield Ward(medic, medic.key())


@asynccontextmanager
async def crowd(folder: Path) -> AsyncIterator[Medic]:
    """Five hundred targets behind a port that is closed: every one of them is unreachable."""
    (closed,) = free_ports(1)
    medic = Medic(
        folder,
        targets=[
            gone(f"shop-{number:03}", closed, host=f"127.1.{number // 200}.{number % 200 + 1}")
            for number in range(CROWD)
        ],
        policies=[asking(verify={"within": "10m", "healthy_for": "1s"})],
        interval="15s",
        invocations_interval="60s",
        drift_interval="60s",
    )
    async with running(medic):
        yield medic


def gone(name: str, port: int, *, host: str = "127.0.0.1") -> dict[str, object]:
    """A target behind a closed port."""
    url = f"http://{host}:{port}"
    return {
        "name": name,
        "ingress_url": url,
        "admin_url": url,
        "service_url": "http://127.0.0.1:9",
        "labels": {"tier": "test"},
    }


def _all_told(medic: Medic) -> bool:
    """A plan waits, and what was resumed has paused again."""
    failed = medic.samples("operations_total")
    return medic.sample("approvals_pending") == 1 and any(
        ("outcome", "failed") in labels for labels in failed
    )


def _target(restate: RestateServer, name: str, worker: Worker) -> dict[str, object]:
    labels = {"tier": "critical"}
    return target_of(
        restate, name, service_url=worker.url, expected_services=EXPECTED, labels=labels
    )


def _register(
    well: RestateServer, sick: RestateServer, everything: Worker, old: Worker, rolled: Worker
) -> None:
    """On the second one a service is not registered, a deployment drained, and calls pause."""
    well.register(everything.url)
    for worker in (old, rolled):
        sick.register(worker.url)
    for _ in range(3):
        send(sick, "Mailer", "crash", handler="send")
    rolled.roll([GREETER, BILLING, MAILER])
