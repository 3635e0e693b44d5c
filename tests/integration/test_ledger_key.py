"""A daemon whose ledger has a key: it heals with it, and nothing happens without it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.integration.rolled import BILLING, GREETER, SIGNUP, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, WorkerFactory

STORED: dict[str, Any] = {"storage": {"hmac_key": {"file": "key"}}}


def test_without_the_key_nobody_acts(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The heal with it is verified; a daemon that lost it watches, holds, and says what to do."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    more = target | {"expected_services": ["Greeter", "Billing", "Signup"]}
    policies = [re_register(cooldown="1s")]
    (tmp_path / "key").write_text("k" * 64)
    medic = Medic(tmp_path, targets=[target], policies=policies, **STORED)
    with medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal")
        medic.wait_for(
            lambda: any(row["outcome"] == "verified" for row in medic.operations()), "its end"
        )
        assert medic.terminate() == 0
    whole = medic.command("audit", "verify")
    assert (whole.returncode, "all have a key" in whole.stdout) == (0, True), whole.stdout
    before = entries(tmp_path)

    worker.roll([GREETER, BILLING, SIGNUP])
    medic.write(targets=[more], policies=policies)
    with medic:
        medic.wait_for(lambda: "ledger_unavailable" in medic.holds("re-register"), "the hold")
        told = medic.events("ledger.unavailable")
        assert "give it in storage.hmac_key" in told[-1]["error"]
        refused = medic.command("pause", "--all", "--reason", "x")
        assert refused.returncode == 3
        assert "Signup" not in restate.exposed()
        assert medic.terminate() == 0
    assert entries(tmp_path) == before

    medic.write(targets=[more], policies=policies, **STORED)
    with medic:
        medic.wait_for(lambda: "Signup" in restate.exposed(), "the heal with the key")
        assert medic.terminate() == 0
    assert medic.command("audit", "verify").returncode == 0


def entries(folder: Path) -> int:
    with sqlite3.connect(folder / "data" / "medic.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    assert isinstance(count, int)
    return count
