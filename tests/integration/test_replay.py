"""Replay equals reality: what a live run decided on real servers comes out of its history again."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from exporter.ledger.engine import connect, ledger_url
from exporter.replay.check import Compared, compare
from lab import RestateServer, Worker
from tests.integration.rolled import BILLING, EXPECTED, GREETER, SIGNUP, re_register
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

COMMON: dict[str, Any] = {"history": {"write_every": "2s"}, "lease": "5s"}
LOST = timedelta(seconds=5)
"""So much of the history a SIGKILL may lose here: those two seconds, and what writing takes."""
HEAL = re_register(
    targets={"names": ["prod"]}, cooldown="2s", limits=[{"scope": "target", "max": 1, "per": "1h"}]
)
ASK = re_register(name="ask", mode="approve", targets={"names": ["staging"]}, cooldown="1s")
LOOK = re_register(
    name="look", mode="observe", when='item.reachable == "no"', cooldown="5s", storm={"at_least": 2}
)


@contextmanager
def ledger_of(medic: Medic) -> Iterator[Engine]:
    """The ledger that a daemon wrote."""
    engine = connect(ledger_url(f"sqlite:///{medic.folder}/data/medic.db"))
    try:
        yield engine
    finally:
        engine.dispose()


def compared(medic: Medic) -> Compared:
    """What is decided again, beside what was noted."""
    now = datetime.now(UTC)
    with ledger_of(medic) as engine:
        return compare(engine, since=now - timedelta(hours=1), until=now)


def reasons(medic: Medic) -> set[str]:
    """Why anything was ever held."""
    with closing(sqlite3.connect(medic.folder / "data" / "medic.db")) as database:
        return {row[0] for row in database.execute("SELECT reason FROM decisions")}


def told(medic: Medic, *arguments: str, code: int = 0) -> Any:
    """What a command says as JSON."""
    answer = medic.command(*arguments, "--json")
    assert answer.returncode == code, answer.stderr + answer.stdout
    return json.loads(answer.stdout)


def unregister(restate: RestateServer, worker: Worker) -> None:
    """What a careless hand does."""
    for deployment in restate.deployments():
        if deployment["uri"] == f"{worker.url}/":
            restate.delete_deployment(deployment["id"])


def change(medic: Medic, statement: str) -> None:
    """Tamper with the ledger."""
    with closing(sqlite3.connect(medic.folder / "data" / "medic.db")) as database, database:
        database.execute(statement)


@dataclass
class Night:
    """Two servers with a worker each, and what happens to them."""

    medic: Medic
    prod: RestateServer
    staging: RestateServer
    one: Worker
    two: Worker
    targets: list[dict[str, object]]

    def repair(self) -> None:
        """A worker is rolled, is registered again, and once more is too often."""
        medic = self.medic
        medic.wait_for(lambda: "Billing" in self.prod.exposed(), "the repair")
        medic.wait_for(lambda: medic.operations("--target", "prod")[0]["outcome"], "its end")
        unregister(self.prod, self.one)
        medic.wait_for(lambda: "limit_target" in medic.holds("re-register"), "the limit")

    def refuse(self) -> None:
        """A plan waits, a pause comes and goes, and a person says no and does it by hand."""
        medic = self.medic
        unregister(self.staging, self.two)
        medic.wait_for(lambda: medic.sample("approvals_pending") == 1, "a plan")
        told(medic, "pause", "--target", "staging", "--reason", "look")
        medic.wait_for(lambda: "paused" in medic.holds("ask"), "the pause")
        told(medic, "unpause", "--target", "staging")
        medic.wait_for(lambda: "awaiting_approval" in medic.holds("ask"), "the plan to go on")
        (plan,) = told(medic, "approvals")
        told(medic, "reject", plan["id"], "--reason", "by hand")
        medic.wait_for(lambda: medic.sample("approvals_pending") == 0, "the no")
        self.staging.register(self.two.url)
        medic.wait_for(lambda: medic.holds("ask") == {None}, "all to be well")

    def break_down(self) -> None:
        """A worker dies, and so does the daemon."""
        self.one.stop()
        refused = {"preflight_refused", "in_flight"}
        self.medic.wait_for(lambda: self.medic.holds("look") & refused, "a refusal")
        self.medic.kill()

    def agree(self) -> None:
        """The worker is back, the other server starts anew, and a person says yes."""
        medic = self.medic
        self.one.start()
        self.staging.restart()
        unregister(self.staging, self.two)
        medic.wait_for(lambda: medic.sample("approvals_pending") == 1, "another plan")
        (plan,) = told(medic, "approvals")
        assert told(medic, "approve", plan["id"], "--yes")["outcome"] == "verified"

    def reconfigure(self) -> None:
        """More is allowed, then more is expected; then the daemon stops as it should."""
        medic = self.medic
        self.reload([HEAL | {"limits": ASK["limits"]}, ASK, LOOK])
        medic.wait_for(lambda: "Billing" in self.prod.exposed(), "what the limit kept back")
        medic.wait_for(lambda: None in medic.holds("re-register"), "all to be well")
        self.targets[0] = self.targets[0] | {"expected_services": [*EXPECTED, "Mail"]}
        self.reload([ASK, LOOK, HEAL])
        medic.wait_for(lambda: medic.holds("re-register") - {None, "unknown"}, "a hold")
        assert medic.terminate() == 0

    def go_on(self) -> None:
        """A third run begins and ends as it should."""
        medic = self.medic
        medic.wait_for(lambda: medic.holds("re-register") - {None, "unknown"}, "a hold")
        assert medic.terminate() == 0

    def reload(self, policies: list[dict[str, object]]) -> None:
        """Write the configuration anew and have it taken."""
        before = len(self.medic.events("config.reloaded"))
        self.medic.write(targets=self.targets, policies=policies, **COMMON)
        self.medic.child.signal(signal.SIGHUP)
        self.medic.wait_for(
            lambda: len(self.medic.events("config.reloaded")) > before, "the reload"
        )


@pytest.fixture
def night(fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path) -> Night:
    """Before anything has happened."""
    prod, staging = fresh_restate("1.7"), fresh_restate("1.6")
    one, two = worker_factory(GREETER), worker_factory(GREETER, BILLING)
    other = worker_factory(SIGNUP)  # both stay known by it
    for restate, worker in ((prod, one), (staging, two)):
        restate.register(worker.url)
        restate.register(other.url)
    one.roll([GREETER, BILLING])
    targets = [
        target_of(prod, "prod", service_url=one.url, expected_services=list(EXPECTED)),
        target_of(staging, "staging", service_url=two.url, expected_services=list(EXPECTED)),
    ]
    medic = Medic(tmp_path, targets=targets, policies=[HEAL, ASK, LOOK], **COMMON)
    return Night(medic, prod, staging, one, two, targets)


@pytest.mark.timeout(300)  # a minute of rounds, and twice that on a busy machine
def test_what_a_night_decided_comes_out_of_its_history_again(night: Night) -> None:
    """Round by round, to the microsecond: two servers of two versions, a repair, a spent limit, a
    dead worker, a restarted server, a pause, a no and a yes, SIGKILL, a policy and a target that
    change under way, and stops with everything written.
    """
    medic = night.medic
    with medic:
        night.repair()
        night.refuse()
        night.break_down()
    killed_at = datetime.now(UTC)
    with medic:
        night.agree()
        night.reconfigure()
    with medic:
        night.go_on()

    found = compared(medic)
    assert found.differences == []
    assert found.rounds > 50
    assert found.equal > 25
    assert found.unsettled == 0
    assert all(killed_at - LOST < at < killed_at for at in found.unrecorded)
    assert {"pending", "limit_target", "paused", "awaiting_approval"} <= reasons(medic)
    said = told(medic, "policy", "replay", "--check")
    assert (said["equal"], said["differences"]) == (found.equal, [])

    change(medic, "UPDATE decisions SET reason = 'storm' WHERE reason = 'limit_target'")
    sides = {(one.live, one.note.reason) for one in compared(medic).differences}
    assert sides == {(True, "storm"), (False, "limit_target")}
    answer = medic.command("policy", "replay", "--check")
    assert answer.returncode == 1
    assert "ledger only" in answer.stdout
