"""The scene most tests begin with: a worker is registered, and later rolled with a new service."""

from __future__ import annotations

from lab import RestateServer, ServiceSpec, Worker
from tests.medic import target_of
from tests.support import WorkerFactory

GREETER = ServiceSpec("Greeter", handlers=("hello",))
BILLING = ServiceSpec("Billing", handlers=("charge",))
SIGNUP = ServiceSpec("Signup", "workflow")
EXPECTED = ("Greeter", "Billing")


def registered(
    restate: RestateServer, workers: WorkerFactory, *, expects: tuple[str, ...] = EXPECTED
) -> tuple[RestateServer, Worker, dict[str, object]]:
    """A registered worker that serves Greeter, and the target that expects more of it."""
    worker = workers(GREETER)
    restate.register(worker.url)
    target = target_of(restate, service_url=worker.url, expected_services=list(expects))
    return restate, worker, target


def re_register(**changes: object) -> dict[str, object]:
    """A quick form of the policy that registers a worker again when a service is missing."""
    return {
        "name": "re-register",
        "mode": "enforce",
        "for_each": "workers",
        "when": 'size(item.missing) > 0 && item.reachable == "yes"',
        "for": "1s",
        "action": {"force-redeploy": {"stable_for": "1s"}},
        "cooldown": "15m",
        "limits": [{"scope": "target", "max": 3, "per": "24h"}],
        "verify": {"within": "30s", "healthy_for": "1s"},
        **changes,
    }
