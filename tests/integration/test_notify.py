"""The daemon on a real Restate tells people, whatever their webhook does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab import RestateServer, ServiceSpec, Version
from tests.hook import Hook
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.integration.surgery import until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

SUSPENDS = ServiceSpec("Cart", "object", ("add",))


def notifiers(folder: Path, hook: Hook, **more: object) -> dict[str, Any]:
    """The setting, with the URL in a secret file."""
    (folder / "webhook").write_text(hook.url + "\n")
    return {"notifiers": {"ops": {"webhook": {"file": "webhook"}, **more}}}


def tells(**changes: object) -> dict[str, object]:
    """A policy that only tells people of a service that is missing."""
    return {
        "name": "tell",
        "mode": "enforce",
        "when": "size(services.missing) > 0",
        "action": {"notify": {"to": ["ops"], "message": "the on-call of Billing knows more"}},
        "cooldown": "1h",
        **changes,
    }


def nothing_leaks(medic: Medic, hook: Hook) -> None:
    """The URL is in no place that people or programs look at."""
    shown = [medic.log.read_text(), medic.get("/metrics").text, medic.get("/").text]
    shown.append(medic.get("/api/v1/decisions").text)
    shown += [str(row) for row in medic.operations()]
    shown += [path.read_bytes().decode("latin-1") for path in medic.folder.glob("data/*")]
    assert not [text for text in shown if "sEcReT" in text or str(hook.path) in text]


def test_a_heal_is_told_once_when_it_has_ended(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """What was wrong, what was done, how it ended, and by which operation; a 500 is tried again."""
    restate, worker, target = registered(fresh_restate(any_version), worker_factory)
    policy = re_register(notify=["ops"])
    with Hook(500, 200) as hook:
        settings = notifiers(tmp_path, hook)
        with Medic(tmp_path, targets=[target], policies=[policy], **settings) as medic:
            assert medic.sample("notifications_total", notifier="ops", outcome="delivered") == 0
            worker.roll([GREETER, BILLING])
            medic.wait_for(lambda: hook.taken, "the message")
            (row,) = medic.operations()
            assert "Billing" in restate.exposed()
            (body,) = hook.taken
            assert body["text"].splitlines()[0] == "*prod: force-redeploy helped*"
            assert 'item.missing = ["Billing"]' in body["text"]
            assert f"• operation: {row['id']}" in body["text"]
            assert "• outcome: verified" in body["text"]
            assert "• policy: re-register" in body["text"]
            assert len(hook.tried) == 2
            delivered = {"notifier": "ops", "outcome": "delivered"}
            medic.wait_for(lambda: medic.sample("notifications_total", **delivered) == 1, "count")
            nothing_leaks(medic, hook)
            assert medic.terminate() == 0
        assert len(hook.taken) == 1


def test_a_webhook_that_hangs_delays_no_round_and_no_repair(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Nor the end of the daemon by more than a few seconds."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    policies = [tells(), re_register(notify=["ops"])]
    with Hook(None) as hook:
        settings = notifiers(tmp_path, hook) | {"drain_timeout": "3s"}
        with Medic(tmp_path, targets=[target], policies=policies, **settings) as medic:
            worker.roll([GREETER, BILLING])
            medic.wait_for(lambda: hook.tried, "the first try")
            medic.wait_for(lambda: "Billing" in restate.exposed(), "the repair all the same")

            def healed() -> bool:
                rows = {row["remedy"]: row["outcome"] for row in medic.operations()}
                return rows.get("force-redeploy") == "verified" and "notify" in rows

            medic.wait_for(healed, "the repair to be verified")
            runs = medic.sample("probes_total", component="admin", target="prod") or 0

            def went_on() -> bool:
                return (medic.sample("probes_total", component="admin", target="prod") or 0) > runs

            medic.wait_for(went_on, "rounds to go on")
            assert hook.taken == []
            assert medic.terminate() == 0
        counted = [e for e in medic.events("notification.dropped") if e["notifier"] == "ops"]
        assert len(counted) == 2, "the policy's message, and the repair's"


def test_a_policy_that_only_tells_says_it_once_and_changes_nothing(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Its operation is in the ledger, and its message says by which it was told."""
    restate, _, target = registered(fresh_restate(), worker_factory)
    before = restate.deployments()
    with Hook(200) as hook:
        settings = notifiers(tmp_path, hook, format="json")
        with Medic(tmp_path, targets=[target], policies=[tells()], **settings) as medic:
            medic.wait_for(lambda: medic.holds("tell") == {"cooldown"}, "it to have been told")
            (body,) = hook.taken
            (row,) = medic.operations()
            assert (row["remedy"], row["outcome"]) == ("notify", "verified")
            assert (body["source"], body["kind"]) == ("restate-medic", "notice")
            assert body["facts"] == {"target": "prod", "policy": "tell", "operation": row["id"]}
            assert 'services.missing = ["Billing"]' in body["text"]
            assert "the on-call of Billing knows more" in body["text"]
            assert medic.sample("heal_duration_seconds_count", policy="tell") is None
            assert medic.command("audit", "show", row["id"]).returncode == 0
            nothing_leaks(medic, hook)
    assert restate.deployments() == before


def mismatched(restate: RestateServer, workers: WorkerFactory) -> dict[str, object]:
    """An invocation whose journal does not fit the code that was put in its place."""
    worker = workers(SUSPENDS)
    restate.register(worker.url)
    sent = restate.call("Cart", "add", "sleep", key="k", send=True).json()["invocationId"]
    until(restate, sent, "suspended")
    worker.roll([ServiceSpec("Cart", "service", ("add",))])
    restate.admin("PATCH", f"/invocations/{sent}/resume").raise_for_status()
    return target_of(restate)


def test_a_journal_mismatch_is_told(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The shipped policy's condition is true on a real one."""
    target = mismatched(fresh_restate(), worker_factory)
    policy = tells(when="invocations.journal_mismatch > 0")
    with Hook(200) as hook:
        settings = notifiers(tmp_path, hook)
        with Medic(tmp_path, targets=[target], policies=[policy], **settings) as medic:
            medic.wait_for(lambda: hook.taken, "the message")
            assert "invocations.journal_mismatch = 1" in hook.taken[0]["text"]


def test_a_plan_that_waits_for_a_person_is_told_once(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """With the command that says yes; and when it has been carried out, that too."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    policy = re_register(mode="approve", notify=["ops"])
    with Hook(200) as hook:
        settings = notifiers(tmp_path, hook)
        with Medic(tmp_path, targets=[target], policies=[policy], **settings) as medic:
            worker.roll([GREETER, BILLING])
            medic.wait_for(lambda: hook.taken, "the question")
            (row,) = medic.operations()
            assert f"restate-medic approve {row['id']}" in hook.taken[0]["text"]
            assert medic.command("approve", row["id"], "--yes").returncode == 0
            medic.wait_for(lambda: len(hook.taken) > 1, "the answer")
            assert "Billing" in restate.exposed()
            titles = [body["text"].splitlines()[0] for body in hook.taken]
            assert titles == [
                "*prod: force-redeploy waits for approval*",
                "*prod: force-redeploy helped*",
            ]


def test_a_rotated_webhook_is_used_at_once(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Who is turned away reads the secret file again; a reload does too."""
    _, _, target = registered(fresh_restate(), worker_factory)
    with Hook(404) as old, Hook(200) as new:
        settings = notifiers(tmp_path, old)
        with Medic(tmp_path, targets=[target], policies=[tells()], **settings) as medic:
            medic.wait_for(lambda: old.tried, "the first try")
            (tmp_path / "webhook").write_text(new.url)
            medic.wait_for(lambda: new.taken, "the message at the new place")
            (row,) = medic.operations()
            assert row["remedy"] == "notify"
            nothing_leaks(medic, old)
