"""``policy explain`` on a real Restate: the daemon's own decisions, with every gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from exporter.policy.gates import GATES
from lab import Version
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, WorkerFactory

_SAME = ("policy", "target", "item", "result", "reason", "mode", "remedy", "values", "waiting")


def told(medic: Medic, *arguments: str) -> dict[str, Any]:
    answer = medic.command("policy", "explain", *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_a_hold_is_explained_with_every_gate_and_as_the_daemon_decided(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """What holds it first is the hold, what would hold it next is told too; a command agrees."""
    restate, worker, target = registered(fresh_restate(any_version), worker_factory)
    worker.roll([GREETER, BILLING])
    slow: dict[str, Any] = {"interval": "1h", "invocations_interval": "1h", "drift_interval": "1h"}
    late = {"verify": {"within": "3h", "healthy_for": "1s"}}
    policies = [
        re_register(**late, **{"for": "1h"}),
        re_register(**late, name="watch", mode="observe"),
    ]
    medic = Medic(tmp_path, targets=[target], policies=policies, **slow)
    with medic:
        made = medic.command("pause", "--policy", "re-register", "--reason", "why", "--for", "2h")
        assert made.returncode == 0, made.stderr

        def paused() -> Any:
            # A round takes up the pause: then what it decided and what is explained are the same.
            medic.ask("POST", "/api/v1/targets/prod/check", {}, x_api_key=key)
            return medic.holds("re-register") == {"paused"}

        key = medic.key("ops")
        medic.wait_for(paused, "the pause")
        url = f"http://127.0.0.1:{medic.port}"
        there = told(medic, "--url", url)
        by_policy = {one["policy"]: one for one in there["explanations"]}
        decided = medic.get("/api/v1/decisions").json()["decisions"]
        for one in decided:
            explained = by_policy[one["policy"]]
            assert {k: explained[k] for k in _SAME} == {k: one[k] for k in _SAME}
            assert explained["since"] == one["since"]
            gates = [verdict["gate"] for verdict in explained["verdicts"]]
            assert gates == [gate.__name__ for gate in GATES]
        first = by_policy["re-register"]
        holding = {v["gate"]: v["until"] for v in first["verdicts"] if v["holds"]}
        assert list(holding) == ["paused", "pending"]
        assert first["actsAt"] == max(holding.values())
        assert first["values"]["item.missing"] == ["Billing"]
        assert by_policy["watch"]["openEnded"] == ["observing"]

        (here,) = told(medic, "--policy", "re-register")["explanations"]
        assert [v["gate"] for v in here["verdicts"] if v["holds"]] == ["paused", "pending"]
        assert {k: here[k] for k in _SAME[:-1]} == {k: first[k] for k in _SAME[:-1]}
        shown = medic.command("policy", "explain", "--item", str(first["item"]), "--url", url)
        assert "paused holds" in shown.stdout
    restate.stop()
    (here,) = told(medic, "--policy", "re-register")["explanations"]
    assert here["unknown"] == ["item.missing", "item.reachable"]
    assert "component_unknown" in here["openEnded"]
