"""Every query of the dashboards, asked of a real Prometheus that watched faults and heals."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from grafana.promql import Scope, grown
from lab import RestateServer, ServiceSpec, Worker, free_ports, wait_until
from tests.dashboards import FILES, everything, filled_in, load
from tests.e2e.quick import quick_prometheus, quick_rules
from tests.e2e.viewing import Viewer, numbers, query
from tests.e2e.watching import Alertmanager, Prometheus
from tests.hook import Hook
from tests.integration.rolled import BILLING, GREETER, re_register
from tests.integration.surgery import send, until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, ToolFinder, WorkerFactory
from tests.unit.test_model_token import jwt

WITHOUT_DATA = {
    "restate-medic-fleet/Rounds that did not take place/A": "no round is missed in a healthy run",
}
"""Queries that may find nothing in this run, and why."""
SERVICES = [
    GREETER,
    ServiceSpec("Pulse"),
    ServiceSpec("Flaky", pause_after=2),
    ServiceSpec("Cart", "object"),
    ServiceSpec("Signup", "workflow"),
]
_LABELS = "job", "instance", "target", "policy"


def test_promtool_parses_every_query(tool: ToolFinder, tmp_path: Path) -> None:
    """As the expression of a rule: promtool has no other way to read a single query."""
    values = {
        **dict.fromkeys(_LABELS, "x"),
        "__rate_interval": "1m",
        "__interval": "15s",
        "__interval_ms": "15000",
        "__range": "6h",
    }
    rules = [
        {"record": f"query:{number}", "expr": filled_in(one.expr, values)}
        for number, one in enumerate(everything())
    ]
    file = tmp_path / "queries.rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = subprocess.run(
        [tool("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout


@pytest.mark.parametrize(
    ("operations", "scraped", "started", "seen"),
    [
        ("_ _ 1 1 1", "1x4", "-999x4", [None, None, 1, 0, 0]),
        ("1 1 3 3 4", "1x4", "-999x4", [None, 0, 2, 0, 1]),
        ("3 3 1 1 1", "1x4", "-999x4", [None, 0, 1, 0, 0]),
        ("3 stale stale 3 4", "1 stale stale 1 1", "-999x4", [None, None, None, None, 1]),
        ("_ _ 2 2 2", "_ _ 1 1 1", "_ _ 25 25 25", [None, None, 2, 0, 0]),
        ("_ _ 2 2 2", "_ _ 1 1 1", "_ _ 3 3 3", [None, None, None, 0, 0]),
    ],
    ids=["first", "more", "began-again", "not-scraped", "young", "old-and-first-scraped"],
)
def test_what_is_counted_is_what_happened(
    tool: ToolFinder,
    tmp_path: Path,
    operations: str,
    scraped: str,
    started: str,
    seen: list[int | None],
) -> None:
    """A first event counts, an event once, and what was only not seen for a while is not new."""
    where = 'job="x", instance="x"'
    values = {"job": "x", "instance": "x", "target": "x"}
    values |= {"__interval": "15s", "__interval_ms": "15000"}
    expr = filled_in(f"sum({grown(Scope()('operations_total'))})", values)
    given = {
        "restate_medic_operations_total": operations,
        "restate_medic_build_info": scraped,
        "process_start_time_seconds": started,
    }
    case = {
        "interval": "15s",
        "input_series": [{"series": f"{n}{{{where}}}", "values": v} for n, v in given.items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{15 * step}s",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for step, value in enumerate(seen)
        ],
    }
    file = tmp_path / "grown.test.yaml"
    file.write_text(json.dumps({"evaluation_interval": "15s", "rule_files": [], "tests": [case]}))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def policies() -> list[dict[str, object]]:
    """One that heals, one that tells, one that asks first, one that only observes."""
    shared = {"targets": {"names": ["prod"]}, "cooldown": "15m"}
    limits = {"limits": [{"scope": "target", "max": 3, "per": "24h"}]}
    signup = {"recover-stuck-workflow": {"service": "Signup"}}
    flaky = {"resume-invocations": {"service": "Flaky", "max_items": 1}}
    return [
        re_register(**{"for": "3s"}, **shared, notify=["ops"]),  # so that the fault is scraped
        {
            "name": "resume",
            "mode": "approve",
            "for_each": "invocations.paused",
            "when": 'item.paused_by == "retries"',
            "action": flaky,
            **shared,
            **limits,
        },
        {
            "name": "recover",
            "mode": "observe",
            "for_each": "workflows.failed",
            "when": 'item.cause == "error"',
            "action": signup,
            **shared,
            **limits,
        },
    ]


@contextmanager
def night(
    tool: ToolFinder, restate: RestateServer, worker: Worker, folder: Path
) -> Iterator[tuple[Medic, Viewer]]:
    """A daemon on a target with work of all kinds and on one that is gone, and who watches it."""
    token, hook_file = folder / "token", folder / "hook"
    token.write_text(jwt({"exp": (datetime.now(UTC) + timedelta(days=9)).timestamp()}))
    ingress, admin = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    prod = target_of(
        restate,
        node_url=restate.node_url,
        admin_token={"file": str(token)},
        service_url=worker.url,
        expected_services=["Greeter", "Billing"],
        heartbeat={"service": "Pulse", "handler": "run", "every": "1h", "within": "10s"},
    )
    gone: dict[str, object] = {"name": "gone", "ingress_url": ingress, "admin_url": admin}
    with ExitStack() as stack:
        hook = stack.enter_context(Hook())
        hook_file.write_text(hook.url)
        nobody = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        alertmanager = stack.enter_context(
            Alertmanager(tool("prometheus-alertmanager"), folder / "am", nobody)
        )
        settings: dict[str, Any] = {
            "notifiers": {"ops": {"webhook": {"file": str(hook_file)}}},
            "alertmanager": {"url": alertmanager.url, "interval": "1s", "warm_up": "1s"},
        }
        medic = Medic(folder / "medic", targets=[prod, gone], policies=policies(), **settings)
        config = quick_prometheus(
            quick_rules(folder / "rules"),
            scrapes=f"127.0.0.1:{medic.port}",
            tells=alertmanager.address,
        )
        since = time.time()
        prometheus = stack.enter_context(Prometheus(tool("prometheus"), folder / "prom", config))
        stack.enter_context(medic)
        yield medic, Viewer(prometheus, since)


def work(restate: RestateServer) -> None:
    """Something paused, something suspended and what waits behind it, a key that has failed."""
    until(restate, send(restate, "Flaky", "crash"), "paused")
    send(restate, "Cart", "sleep", "k")
    send(restate, "Cart", "go", "k")
    restate.call("Signup", "run", "fail", key="ada")


def test_the_dashboards_tell_what_happened(
    tool: ToolFinder, fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A service goes missing and is healed: every query finds data, and tells that story."""
    restate, worker = fresh_restate(), worker_factory(*SERVICES)
    restate.register(worker.url)
    work(restate)
    worker.roll([*SERVICES, BILLING])
    with night(tool, restate, worker, tmp_path) as (medic, viewer):
        medic.wait_for(lambda: medic.sample("approvals_pending") == 1, "a plan to wait")
        paused = medic.command("pause", "--policy=recover", "--reason=migration", "--for=2h")
        assert paused.returncode == 0, paused.stderr
        _everything_is_shown(viewer)
        _the_story(viewer)
        _variables(viewer)


def _everything_is_shown(viewer: Viewer) -> None:
    """Each query finds something, but those that are named with a reason."""
    unseen = [one for one in everything() if one.id not in WITHOUT_DATA]

    def all_shown() -> bool:
        unseen[:] = [one for one in unseen if not viewer.shows(one)]
        return not unseen

    try:
        wait_until(all_shown, what="data", timeout_seconds=25, poll_seconds=0.5)
    except TimeoutError:
        pytest.fail("without data: " + ", ".join(one.id for one in unseen))


def _the_story(viewer: Viewer) -> None:
    """What a person reads off the panels is what was done."""
    (last,) = [
        row
        for row in viewer.look(query("remediation", "Last operations", "B"))
        if row["metric"]["outcome"] == "verified"
    ]
    assert last["metric"] == {
        "target": "prod",
        "policy": "re-register",
        "remedy": "force-redeploy",
        "source": "policy",
        "outcome": "verified",
    }
    assert numbers(last) == [1]
    (helped,) = viewer.look(query("remediation", "Helped"))
    assert numbers(helped) == [1]
    (median,) = viewer.look(query("remediation", "Half healed within"))
    assert 0 < numbers(median)[0] <= 60
    bars = viewer.look(query("remediation", "By outcome"))
    assert sum(sum(numbers(r)) for r in bars if r["metric"]["outcome"] == "verified") == 1
    worst = {
        row["metric"]["target"]: numbers(row)[0]
        for row in viewer.look(query("fleet", "Targets, those that are not well first"))
    }
    assert worst == {"prod": 1, "gone": 4}
    why = viewer.look(query("fleet", "Why"))
    assert {(row["metric"]["target"], row["metric"]["reason"]) for row in why} == {
        ("gone", "refused")
    }
    (services,) = [
        numbers(row)
        for row in viewer.look(query("target", "Services"), "prod")
        if row["metric"]["state"] == "missing"
    ]
    assert (max(services), services[-1]) == (1, 0)


def _variables(viewer: Viewer) -> None:
    """Variables find their values."""
    found = {}
    for file in FILES:
        for one in load(file)["templating"]["list"]:
            if one["type"] != "query":
                continue
            selector, _, label = one["definition"][len("label_values(") : -1].rpartition(", ")
            asked = filled_in(selector, viewer.values(time.time(), ".+"))
            answer = viewer.prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": asked})
            found[label] = answer.json()["data"]
    assert found["job"] == ["restate-medic"]
    assert found["target"] == ["gone", "prod"]
    assert found["policy"] == ["re-register", "recover", "resume"]
    assert len(found["instance"]) == 1
