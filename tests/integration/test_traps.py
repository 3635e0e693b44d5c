"""Everything that would make an outage worse, at once, before a daemon whose policies want to act.

What each trap alone does to a remedy is with that remedy's tests; here nothing may be written.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab import ServiceSpec
from tests.integration.engine import nothing_changes
from tests.integration.proxy import Proxy
from tests.integration.surgery import send, until
from tests.medic import Medic
from tests.support import ServerFactory, WorkerFactory

GREETER = ServiceSpec("Greeter", handlers=("hello",))
LOST = ServiceSpec("Lost")
KEPT = ServiceSpec("Kept")
PLAIN = ServiceSpec("Shape")
SHAPED = ServiceSpec("Shape", "object")
STEADY = ServiceSpec("Steady")
CART = ServiceSpec("Cart", "object")

EAGER: dict[str, object] = {
    "mode": "enforce",
    "cooldown": "1s",
    "limits": [{"scope": "target", "max": 50, "per": "1h"}],
    "storm": {"max_unhealthy": "100%", "at_least": 1, "max_items": 100},
    "verify": {"within": "10s", "healthy_for": "1s"},
}
REGISTER = EAGER | {
    "name": "register",
    "for_each": "workers",
    "when": "!item.latest || size(item.added) > 0 || size(item.changed) > 0"
    " || size(item.dropped) > 0 || size(item.type_changed) > 0",
    "action": {"force-redeploy": {"stable_for": "300ms"}},
}
RECOVER = EAGER | {
    "name": "recover",
    "for_each": "workflows.failed",
    "when": "item.age >= duration('0s')",
    "action": {"recover-stuck-workflow": {"service": "Cart", "max_items": 10}},
}


async def test_no_trap_makes_an_eager_daemon_write(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A stale URL, a worker that lost a service, one of another type, one that flaps.

    And the failed key of a virtual object. Each worker is refused by name, and the server is never
    asked to change anything.
    """
    restate = fresh_restate()
    stale, lossy, shaped = (
        worker_factory(*services) for services in ((GREETER,), (LOST, KEPT), (PLAIN,))
    )
    flapping = worker_factory(STEADY, alternate=[STEADY, ServiceSpec("Extra")])
    carts = worker_factory(CART)
    for url in (stale.url, f"{stale.url}/v2", lossy.url, shaped.url, flapping.url, carts.url):
        restate.register(url)
    until(restate, send(restate, "Cart", "fail", "k1"), "completed")
    lossy.roll([KEPT])
    shaped.roll([SHAPED])
    reasons = {
        stale.url: {"not-latest"},
        lossy.url: {"drop-service"},
        shaped.url: {"change-type"},
        flapping.url: {"unstable", "would-not-help"},  # whichever of its answers came first
    }
    async with Proxy(restate.admin_url) as door:
        target: dict[str, object] = {
            "name": "prod",
            "ingress_url": restate.ingress_url,
            "admin_url": door.url,
            "workers": [{"url": url} for url in reasons],
        }
        medic = Medic(tmp_path, targets=[target], policies=[REGISTER, RECOVER])
        try:
            with nothing_changes(restate):
                medic.start(ready=False)
                await asyncio.to_thread(
                    medic.wait_for, lambda: refusals(medic).keys() >= reasons.keys(), "all refusals"
                )
        finally:
            medic.kill()
        assert door.writes == []
    for url, reason in reasons.items():
        assert refusals(medic)[url] <= reason
    decided = {e["policy"] for e in medic.events("decision.changed")}
    assert decided == {"register"}
    assert medic.operations() == []


def refusals(medic: Medic) -> dict[str, set[str]]:
    """By worker, the words with which its registration was refused so far."""
    found: dict[str, set[str]] = {}
    for event in medic.events("preflight.refused") if medic.log.exists() else ():
        found.setdefault(str(event["item"]).rstrip("/"), set()).add(event["reason"])
    return found
