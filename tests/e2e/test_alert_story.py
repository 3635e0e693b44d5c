"""A fault on a real Restate, told by a real Prometheus and Alertmanager, and healed by a policy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lab import RestateServer, wait_until
from tests.alerts import ALERTMANAGER, load
from tests.e2e.quick import quick_prometheus, quick_rules
from tests.e2e.viewing import Viewer, numbers, query
from tests.e2e.watching import Alertmanager, Prometheus
from tests.hook import Hook
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import Medic
from tests.support import ServerFactory, ToolFinder, WorkerFactory

MISSING = "RestateMedicServicesMissing"
ABSENT = "RestateMedicAbsent"
T = TypeVar("T")


def quick_alertmanager(pager: str) -> dict[str, Any]:
    """The example configuration, whose pager is a webhook; waits of a second at most."""
    config: dict[str, Any] = load(ALERTMANAGER)
    config["route"].update(group_wait="0s", group_interval="1s")
    for route in config["route"]["routes"]:
        route.update({k: "1s" for k in ("group_wait", "group_interval") if k in route})
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    (receiver,) = [r for r in config["receivers"] if r["name"] == "pager"]
    receiver["webhook_configs"] = [{"url": pager, "send_resolved": True}]
    return config


def told(hook: Hook, name: str, status: str) -> dict[str, Any] | None:
    """The alert as the pager was told of it, if it was."""
    alerts = (alert for body in list(hook.taken) for alert in body["alerts"])
    return next(
        (a for a in alerts if (a["labels"]["alertname"], a["status"]) == (name, status)), None
    )


def test_a_fault_pages_is_healed_and_resolves(
    tool: ToolFinder, fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Fault, metric, alert, pager, heal, resolved, and what the dashboards tell of it; and when
    nobody watches, somebody is told."""
    since = time.time()
    prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager")
    restate, worker, target = registered(fresh_restate(), worker_factory)
    worker.roll([GREETER, BILLING])
    medic = Medic(tmp_path / "medic", targets=[target])
    with (
        Hook() as pager,
        Alertmanager(alertmanager, tmp_path / "am", quick_alertmanager(pager.url)) as am,
        medic,
        Prometheus(
            prometheus,
            tmp_path / "prom",
            quick_prometheus(
                quick_rules(tmp_path / "rules"), scrapes=f"127.0.0.1:{medic.port}", tells=am.address
            ),
        ) as prom,
    ):
        _page(pager, restate)
        assert medic.samples("operations_total") == {}
        medic.write(targets=[target], policies=[re_register()])
        assert medic.post("/-/reload").is_success
        _heal(prom, pager, restate)
        _dashboards(Viewer(prom, since))
        assert medic.terminate() == 0
        wait(lambda: told(pager, ABSENT, "firing"), "the page that nobody watches")
        assert {a["labels"]["alertname"] for body in pager.taken for a in body["alerts"]} == {
            MISSING,
            ABSENT,
        }


def wait(condition: Callable[[], T], what: str) -> T:
    return wait_until(condition, what=what, timeout_seconds=30, poll_seconds=0.1)


def _page(pager: Hook, restate: RestateServer) -> None:
    """The worker was rolled, nobody registered it, and no policy is there: somebody is woken."""
    assert restate.call("Billing", "charge", "10").status_code == 404
    page = wait(lambda: told(pager, MISSING, "firing"), "the page")
    assert page is not None
    assert page["labels"]["target"] == "prod"
    assert page["labels"]["severity"] == "critical"
    assert page["labels"]["generated_by"] == "restate-medic"
    assert "runbooks" not in page["labels"]
    assert page["annotations"]["runbook_url"] == f"https://runbooks.internal/{MISSING}.md"
    assert page["annotations"]["description"].startswith("prod: 1 expected service(s)")


def _heal(prom: Prometheus, pager: Hook, restate: RestateServer) -> None:
    """The policy that was missing does what it is for, and whoever was woken is told."""
    wait(lambda: told(pager, MISSING, "resolved"), "the page to be resolved")
    verified = 'restate_medic_operations_total{outcome="verified",policy="re-register"} == 1'
    wait(lambda: prom.query(verified), "the verified operation")
    assert restate.call("Billing", "charge", "10").status_code == 200
    recent = "policy_remedy_outcome:restate_medic_operations:increase1h"
    wait(lambda: prom.query(f'{recent}{{outcome="verified"}} == 1'), "the operation as a new one")
    assert prom.firing() == set()


def _dashboards(viewer: Viewer) -> None:
    """The same night as the panels show it: what was missing, what was done, that it helped."""
    (missing,) = [
        numbers(row)
        for row in viewer.look(query("target", "Services"), "prod")
        if row["metric"]["state"] == "missing"
    ]
    assert (max(missing), missing[-1]) == (1, 0)
    last = query("remediation", "Last operations", "B")
    (done,) = wait(lambda: viewer.look(last), "the step of the panel in which it ended")
    assert done["metric"] | {"outcome": "verified", "target": "prod"} == done["metric"]
    (helped,) = viewer.look(query("remediation", "Helped"))
    assert numbers(helped) == [1]
