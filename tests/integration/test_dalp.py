"""A target that is another restate-medic: what policies and people do there, end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.model.operation import Outcome
from lab import Restate, ServiceSpec
from tests.contract.backends.sides import dalp_target
from tests.integration.office import office_at
from tests.integration.surgery import row_of, send, until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

FLOW = ServiceSpec("Flow", "workflow", ("run", "ask"))
GREETER = ServiceSpec("Greeter")
BILLING = ServiceSpec("Billing")
CLEANUP = "cleanup-stale-deployments"
_QUICK = {"for": "1s", "cooldown": "1s", "verify": {"within": "60s", "healthy_for": "1s"}}
POLICIES: list[dict[str, object]] = [
    {
        "name": "free-keys",
        "mode": "enforce",
        "for_each": "workflows.failed",
        "when": 'item.cause == "error" && item.recoveries < 1',
        "action": {"recover-stuck-workflow": {"service": "Flow", "max_items": 10}},
        "limits": [{"scope": "item", "max": 1, "per": "24h"}],
        **_QUICK,
    },
    {
        "name": "clean-up",
        "mode": "enforce",
        "when": "size(deployments.registered) > 1",
        "action": {CLEANUP: {"drained_for": "1s"}},
        "limits": [{"scope": "target", "max": 2, "per": "24h"}],
        **_QUICK,
    },
    {
        "name": "re-register",
        "mode": "approve",
        "for_each": "workers",
        "when": "size(item.missing) > 0",
        "action": {"force-redeploy": {}},
        "limits": [{"scope": "target", "max": 2, "per": "24h"}],
        **_QUICK,
    },
]


def names(restate: Restate) -> set[str]:
    return {s["name"] for s in restate.services()}


def verified(medic: Medic, policy: str) -> dict[str, Any]:
    """The policy's operation, once it is verified."""

    def look() -> dict[str, Any] | None:
        rows = [r for r in medic.operations() if r["policy"] == policy]
        return next((r for r in rows if r["outcome"] == "verified"), None)

    found = medic.wait_for(look, f"{policy} to be verified", 60)
    assert found is not None
    return found


@pytest.mark.timeout(300)
def test_policies_heal_through_another_restate_medic(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A failed key by itself, an old deployment by itself, a lost service after a yes.

    Both ledgers tell of it, the metrics do, and the API key is nowhere.
    """
    restate, worker = fresh_restate(), worker_factory(FLOW, GREETER)
    restate.register(f"{worker.url}/v1")
    expected: dict[str, object] = {
        "service_url": f"{worker.url}/v2",
        "expected_services": ["Flow", "Greeter"],
    }
    far = Medic(tmp_path / "far", targets=[target_of(restate, "eu", **expected)])
    key_file = tmp_path / "key"
    with far:
        key = far.key("near")
        key_file.write_text(key)
        target = dalp_target(far, key_file, interval="1s", **expected)
        with Medic(tmp_path / "near", targets=[target], policies=POLICIES) as near:
            run = until(restate, send(restate, "Flow", "fail", "stuck"), "completed")
            healed = verified(near, "free-keys")
            assert (healed["items"], healed["after"]["failed"]) == (["Flow/stuck"], {})
            assert row_of(restate, run) == {}

            restate.register(f"{worker.url}/v2")
            cleaned = verified(near, "clean-up")
            (left,) = restate.deployments()
            assert left["uri"] == f"{worker.url}/v2"
            assert len(cleaned["after"]["deleted"]) == 1

            worker.roll([FLOW, GREETER, BILLING])
            wanted = {**target, "expected_services": ["Flow", "Greeter", "Billing"]}
            near.write(targets=[wanted], policies=POLICIES)
            assert near.post("/-/reload").is_success
            near.wait_for(lambda: near.sample("approvals_pending") == 1, "a plan to wait")
            (plan,) = json.loads(near.command("approvals", "--json").stdout)
            assert names(restate) == {"Flow", "Greeter"}
            answer = near.command("approve", plan["id"], "--yes", "--json")
            assert json.loads(answer.stdout)["outcome"] == "verified", answer.stdout + answer.stderr
            assert names(restate) == {"Flow", "Greeter", "Billing"}

            asked = {
                row["reason"]: (row["id"], row["actor"], row["source"], row["outcome"])
                for remedy in ("recover-stuck-workflow", CLEANUP, "force-redeploy")
                for row in far.operations("--remedy", remedy)
            }
            assert asked == {
                f"policy:{row['policy']}": (
                    row["after"]["remoteOperationId"],
                    "near",
                    "api",
                    "verified",
                )
                for row in near.operations()
            }
            labels = {"policy": "re-register", "remedy": "force-redeploy", "outcome": "verified"}
            counted = near.sample("operations_total", target="prod", source="policy", **labels)
            assert counted == 1
            assert near.sample("target_info", target="prod", restate_version="1.7.12", kind="dalp")
            shown = [near.get(p).text for p in ("/", "/metrics", "/api/v1/decisions")]
            shown += [near.command(*c).stdout for c in (["audit", "list", "--json"], ["doctor"])]
    stored = b"".join(p.read_bytes() for p in sorted(tmp_path.rglob("*")) if _kept(p))
    assert key.encode() not in stored
    assert not [text for text in shown if key in text]


def _kept(path: Path) -> bool:
    return path.is_file() and path.name != "key"


def test_a_wrong_key_is_unauthorized_and_a_new_one_is_taken_without_a_restart(
    fresh_restate: ServerFactory, tmp_path: Path
) -> None:
    """Told apart from down, never shown, and read again from its file."""
    restate = fresh_restate()
    far = Medic(tmp_path / "far", targets=[target_of(restate, "eu")])
    key_file = tmp_path / "key"
    key_file.write_text("sm_canary_of_an_old_key_0123456789")
    with far:
        target = dalp_target(far, key_file, interval="1s")
        with Medic(tmp_path / "near", targets=[target]) as near:
            labels = {"target": "prod", "component": "services", "reason": "unauthorized"}
            near.wait_for(lambda: near.sample("component_failure", **labels), "a refusal")
            assert near.sample("up", target="prod") == 0
            told = near.command("doctor")
            assert (told.returncode, "unauthorized" in told.stdout) == (1, True)
            key_file.write_text(far.key())
            near.wait_for(lambda: near.sample("up", target="prod") == 1, "the new key to be used")
            near.terminate()
            shown = near.log.read_text() + told.stdout + told.stderr
    stored = b"".join(p.read_bytes() for p in sorted(tmp_path.rglob("*")) if _kept(p))
    assert b"canary_of_an_old_key" not in stored + shown.encode()


def test_commands_work_on_it_and_say_what_they_cannot(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """doctor, redeploy, cleanup and recover; invocations and forced drains are refused."""
    restate, worker = fresh_restate(), worker_factory(FLOW)
    restate.register(f"{worker.url}/v1")
    restate.register(f"{worker.url}/v2")
    until(restate, send(restate, "Flow", "fail", "stuck"), "completed")
    far = Medic(tmp_path / "far", targets=[target_of(restate, "eu")])
    key_file = tmp_path / "key"
    with far:
        key_file.write_text(far.key())
        target = dalp_target(far, key_file, service_url=f"{worker.url}/v2")
        near = Medic(tmp_path / "near", targets=[target])

        def told(*arguments: str, code: int = 0) -> str:
            answer = near.command(*arguments)
            assert answer.returncode == code, answer.stdout + answer.stderr
            return answer.stdout + answer.stderr

        assert "2 registered" in told("doctor")
        elsewhere = "run it where that is configured"
        assert elsewhere in told("why", "Flow", code=1)
        assert elsewhere in told("redeploy", "--gate", code=1)
        assert "no dry-run" in told("redeploy", "--dry-run")
        assert "verified" in told("redeploy", "--yes", "--reason", "Grüße")
        assert "verified" in told("cleanup", "--yes")
        assert "nothing_to_do" in told("cleanup", "--yes")
        assert "verified" in told("recover", "Flow", "stuck", "--yes")
        assert "refused (remedy-unsupported)" in told("invocations", "kill", "inv_1", code=1)
        drain = ("cleanup", "--force-drain", "--max-kills", "1", "--yes")
        assert "do it there" in told(*drain, code=1)
        assert [r["reason"] for r in far.operations() if r["remedy"] == "force-redeploy"] == [
            f"{near.operations()[-1]['actor']}: Grüße"
        ]


async def test_what_a_remote_api_does_not_offer_is_refused(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """422 REMEDY_UNSUPPORTED from the route, and a row here; nothing is asked of the other side."""
    restate, worker = fresh_restate(), worker_factory(GREETER)
    restate.register(worker.url)
    key_file = tmp_path / "key"
    with Medic(tmp_path / "far", targets=[target_of(restate, "eu")]) as far:
        key_file.write_text(far.key())
        target = dalp_target(far, key_file, service_url=worker.url)
        async with office_at(tmp_path, [target]) as office:
            body = {"serviceUrl": worker.url, "forceDrain": True}
            code, data = await office.error(422, CLEANUP, body)
            assert (code, data["reason"]) == ("REMEDY_UNSUPPORTED", "remedy-unsupported")
            rows = [(row.remedy, row.outcome) for row in await office.rows()]
            assert rows == [(CLEANUP, Outcome.REFUSED)]
        assert not [row for row in far.operations() if row["remedy"] == CLEANUP]
