"""A real Alertmanager calls a real daemon, with its key as the example configuration sends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.alerts import ALERTMANAGER, load
from tests.e2e.watching import Alertmanager
from tests.integration.rolled import registered
from tests.integration.test_control_api import SLOW
from tests.medic import Medic
from tests.support import ServerFactory, ToolFinder, WorkerFactory


def calling(medic: Medic, key: Path) -> dict[str, Any]:
    """The example configuration, of whose receivers only the daemon is told anything."""
    config: dict[str, Any] = load(ALERTMANAGER)
    for receiver in config["receivers"]:
        for kind in [kind for kind in receiver if kind.endswith("_configs")]:
            if receiver["name"] != "restate-medic":
                del receiver[kind]
    (ours,) = [r for r in config["receivers"] if r["name"] == "restate-medic"]
    (webhook,) = ours["webhook_configs"]
    webhook["url"] = medic.url("/api/v1/alertmanager")
    webhook["http_config"]["authorization"]["credentials_file"] = str(key)
    return config


def test_an_alert_of_somebody_else_has_its_target_read_at_once(
    tool: ToolFinder, fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The daemon sees the fault an hour before its interval; an unknown target is only counted."""
    restate, _, target = registered(fresh_restate(), worker_factory)
    with Medic(tmp_path / "medic", targets=[target], **SLOW) as medic:
        key = tmp_path / "key"
        key.write_text(f"{medic.key()}\n")
        binary = tool("prometheus-alertmanager")
        with Alertmanager(binary, tmp_path / "am", calling(medic, key)) as alertmanager:
            restate.stop()
            assert medic.sample("up", target="prod") == 1
            labels = {"alertname": "CheckoutSlow", "severity": "warning"}
            alertmanager.fire(*({**labels, "target": name} for name in ("prod", "lab")))
            medic.wait_for(lambda: medic.sample("up", target="prod") == 0, "the fault to be seen")
            medic.wait_for(lambda: len(medic.events("alertmanager.received")) == 2, "both calls")
        received = medic.events("alertmanager.received")
    assert sorted((one["woken"], one["unknown"]) for one in received) == [([], 1), (["prod"], 0)]
