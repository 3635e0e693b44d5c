"""The report of a night on real servers: what a person reads is what happened."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.hook import Hook
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, WorkerFactory

NEVER: dict[str, object] = {
    "name": "tidy",
    "mode": "enforce",
    "targets": {"names": ["prod"]},
    "when": "size(services.registered) > 0",
    "for": "1s",
    "action": {"cleanup-stale-deployments": {}},
    "cooldown": "15m",
    "limits": [{"scope": "policy", "max": 0, "per": "1h"}],
}
MOMENT = r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}Z"


def both(fresh: ServerFactory, workers: WorkerFactory) -> tuple[Any, ...]:
    """Two Restates, each with a worker that is about to bring what is expected of it."""
    restate, worker, prod = registered(fresh(), workers)
    other, second, lab = registered(fresh(), workers)
    return restate, worker, prod, other, second, {**lab, "name": "lab"}


def report(medic: Medic, *options: str) -> str:
    answer = medic.command("audit", "report", *options)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_a_night_is_told_line_by_line(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A heal, a hold and a plan that waits: each with its target, its policy, and its times."""
    restate, worker, prod, other, second, lab = both(fresh_restate, worker_factory)
    policies = [
        re_register(targets={"names": ["prod"]}),
        re_register(name="ask", mode="approve", targets={"names": ["lab"]}),
        NEVER,
    ]
    for one in (worker, second):
        one.roll([GREETER, BILLING])
    with Medic(tmp_path, targets=[prod, lab], policies=policies) as medic:
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal")
        medic.wait_for(lambda: medic.sample("approvals_pending") == 1, "the plan")
        medic.wait_for(
            lambda: any(row["outcome"] == "verified" for row in medic.operations()), "its end"
        )
        medic.wait_for(
            lambda: (
                medic.holds("tidy") == {"limit_policy"} and medic.holds("re-register") == {None}
            ),
            "the hold, and all to be well on prod",
        )
        rows = {row["outcome"] or row["phase"]: row for row in medic.operations()}
        heal, plan = rows["verified"], rows["proposed"]
        text, body = report(medic), json.loads(report(medic, "--format", "json"))
        page = report(medic, "--format", "html")
    assert "Billing" not in other.exposed()
    lines = text.splitlines()
    young = "The ledger knows nothing of the time before "
    assert lines[0] == "# restate-medic"
    assert lines[2] == (
        "**1 waiting for a person; something was wrong 3 times, 2 of them still; 1 operation done;"
        " 2 targets watched.**"
    )
    assert re.fullmatch(rf"From {MOMENT} to {MOMENT}\.", lines[4])
    assert lines[5].startswith(young)
    titles = [line for line in lines if line.startswith("## ")]
    assert titles == [
        "## Waiting for a person",
        "## What was wrong",
        "## What was done",
        "## Time to heal",
        "## What was held, and why",
    ]
    told: dict[str, list[str]] = {title: [] for title in titles}
    here: list[str] = []
    for line in lines[6:]:
        here = told.get(line, here)
        if line.startswith("- "):
            here.append(line)
    (waits,) = told["## Waiting for a person"]
    assert waits.startswith("- A plan for `lab`: register ")
    assert waits.endswith(f". `restate-medic approve {plan['id']}`")
    asked, healed, tidy = sorted(told["## What was wrong"])
    subject = re.escape(f"{worker.url}/")
    assert re.fullmatch(
        rf"- `re-register` on `prod`, `{subject}`: from {MOMENT} to {MOMENT}, \d+\w+", healed
    )
    assert re.fullmatch(rf"- `ask` on `lab`, `.*`: from {MOMENT} and still, \d+\w+", asked)
    assert re.fullmatch(rf"- `tidy` on `prod`: from {MOMENT} and still, \d+\w+", tidy)
    (done,) = told["## What was done"]
    assert re.fullmatch(
        rf"- {MOMENT} verified: `force-redeploy` on `prod` by `policy:re-register`, 1 item,"
        rf" healed in \d+\w+: register .* again \(`{heal['id']}`\)",
        done,
    )
    (timed,) = told["## Time to heal"]
    assert re.fullmatch(rf"- 1 heal: .* in the median, at most .* \(`{heal['id']}`\)", timed)
    held = told["## What was held, and why"]
    assert any("now too: `limit_policy` held `tidy` on `prod`" in line for line in held)
    assert any("now too: `awaiting_approval` held `ask` on `lab`" in line for line in held)

    took = body["heal"]["worstSeconds"]
    finished, began = (datetime.fromisoformat(heal[n]) for n in ("finishedAt", "createdAt"))
    assert (finished - began).total_seconds() <= took < 60
    assert body["targets"] == ["prod", "lab"]
    assert f"<code>restate-medic approve {plan['id']}</code>" in page


def test_a_webhook_gets_the_report_of_the_day_once(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """With what was healed before the daemon was restarted, and not again after another restart."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    policies = [re_register()]
    with Hook(200) as hook:
        (tmp_path / "webhook").write_text(hook.url)
        ops: dict[str, Any] = {"notifiers": {"ops": {"webhook": {"file": "webhook"}}}}
        medic = Medic(tmp_path, targets=[target], policies=policies, **ops)
        with medic:
            worker.roll([GREETER, BILLING])
            medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal")
            medic.wait_for(lambda: medic.operations()[0]["outcome"] == "verified", "its end")
            assert medic.terminate() == 0
        minute = datetime.now(UTC) - timedelta(seconds=1)
        settings = {"report": {"notifier": "ops", "at": f"{minute:%H:%M}"}}
        medic.write(targets=[target], policies=policies, **ops, **settings)
        with medic:
            medic.wait_for(lambda: hook.taken, "the report")
            delivered = {"notifier": "ops", "outcome": "delivered"}
            medic.wait_for(lambda: medic.sample("notifications_total", **delivered) == 1, "count")
            medic.wait_for(lambda: medic.events("report.told"), "the log")
            assert medic.terminate() == 0
        with medic:
            medic.wait_for(lambda: medic.events("ownership.changed"), "it to act")
            medic.wait_for(
                lambda: (medic.sample("probes_total", component="admin", target="prod") or 0) > 3,
                "some rounds",
            )
            assert medic.command("audit", "verify").returncode == 0
    (message,) = hook.taken
    first, *rest = message["text"].splitlines()
    assert "1 operation done; 1 target watched" in first
    assert any("healed in" in line and "policy:re-register" in line for line in rest)
