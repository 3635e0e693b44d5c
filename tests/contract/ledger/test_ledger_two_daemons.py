"""Two daemons on one ledger: one acts, the other stands by and takes over when it falls silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import ServiceSpec
from tests.integration.rolled import re_register
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

GREETER = ServiceSpec("Greeter", handlers=("hello",))
BILLING = ServiceSpec("Billing", handlers=("charge",))
SIGNUP = ServiceSpec("Signup", "workflow")


@pytest.mark.integration
def test_the_second_takes_over_when_the_first_is_killed(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path, url: str
) -> None:
    """SIGKILL of the one that acts: after its lease the other one heals, and once."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    target = target_of(restate, service_url=worker.url, expected_services=["Greeter"])
    policy = re_register(when="size(item.added) > 0", cooldown="1s")
    first, second = (
        Medic(tmp_path / n, targets=[target], policies=[policy], storage={"url": url}, lease="5s")
        for n in ("first", "second")
    )
    with first:
        first.wait_for(lambda: first.sample("target_owned", target="prod") == 1, "it to act")
        with second:
            assert second.sample("target_owned", target="prod") == 0
            assert second.sample("up", target="prod") == 1
            worker.roll([GREETER, BILLING])
            second.wait_for(lambda: second.holds("re-register") == {"not_owner"}, "the hold")
            first.wait_for(lambda: "Billing" in restate.exposed(), "the first heal")
            first.wait_for(lambda: first.events("operation.closed"), "its end")
            assert second.events("operation.reserved") == []
            first.kill()
            worker.roll([GREETER, BILLING, SIGNUP])
            second.wait_for(lambda: "Signup" in restate.exposed(), "the other one to heal")
            second.wait_for(lambda: second.sample("target_owned", target="prod") == 1, "the metric")
            done = [len(medic.events("operation.reserved")) for medic in (first, second)]
            assert done == [1, 1]
