"""The shipped rules and configurations, as promtool, amtool and a real Alertmanager read them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import wait_until
from tests.alerts import ALERTMANAGER, PROMETHEUS, RULE_FILES, TEST_FILES, alerts, load
from tests.e2e.watching import Alertmanager
from tests.support import ToolFinder

OWN = {"generated_by": "restate-medic", "job": "restate-medic"}


def run(*command: str | Path) -> str:
    """Run a tool, and expect that it has nothing to complain about."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def test_rules_have_nothing_that_promtool_would_mend(tool: ToolFinder) -> None:
    """Syntax, duplicates, names: lint is fatal."""
    assert RULE_FILES
    output = run(tool("promtool"), "check", "rules", "--lint-fatal", *RULE_FILES)
    assert output.count("SUCCESS") == len(RULE_FILES)


@pytest.mark.parametrize("file", TEST_FILES, ids=[file.stem for file in TEST_FILES])
def test_each_alert_fires_when_it_should_and_not_otherwise(tool: ToolFinder, file: Path) -> None:
    """With the words that people read, after the time that is right, and over restarts."""
    run(tool("promtool"), "test", "rules", file)


def test_promtool_accepts_the_example_and_finds_all_rules(tool: ToolFinder) -> None:
    """prometheus.yml is valid as it is, and its pattern finds every rule file."""
    output = run(tool("promtool"), "check", "config", PROMETHEUS / "prometheus.yml")
    assert f"{len(RULE_FILES)} rule files found" in output
    (job,) = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert job["job_name"] == "restate-medic", "rules ask for this name"


def test_amtool_accepts_the_example(tool: ToolFinder) -> None:
    """alertmanager.yml is valid as it is."""
    assert "SUCCESS" in run(tool("amtool"), "check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({**OWN, "severity": "critical", "target": "prod"}, "pager"),
        ({**OWN, "severity": "warning", "target": "prod"}, "chat"),
        ({**OWN, "severity": "info", "target": "prod"}, "later"),
        ({**OWN, "severity": "critical"}, "pager"),
        ({"alertname": "Slow", "severity": "critical", "target": "prod"}, "restate-medic,pager"),
        ({"alertname": "Slow", "severity": "warning", "target": "prod"}, "restate-medic,chat"),
        ({"alertname": "Slow", "severity": "warning"}, "chat"),
    ],
    ids=["page", "day", "later", "no-target", "others-page", "others-day", "others-elsewhere"],
)
def test_alerts_go_where_their_severity_says(
    tool: ToolFinder, labels: dict[str, str], receivers: str
) -> None:
    """What others find about a target also wakes restate-medic; its own alerts do not."""
    given = [f"{name}={value}" for name, value in labels.items()]
    command = ["config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    run(tool("amtool"), *command, f"--verify.receivers={receivers}", *given)


def silent(config: dict[str, Any]) -> dict[str, Any]:
    """The same configuration, whose receivers tell nobody."""
    return {**config, "receivers": [{"name": r["name"]} for r in config["receivers"]]}


@pytest.mark.parametrize(
    ("cause", "suppressed", "told"),
    [
        ("Absent", "", "Stalled"),
        ("AdminDown", "ServicesUnreadable QueryFailing ReadingsStale", "IngressDown"),
        ("Unauthorized", "DriftUnreadable PolicyHeldTooLong", "ServicesMissing"),
        ("IngressDown", "HeartbeatFailing ServicesUnexposed", "AdminDown"),
        ("IdentityChanged", "ServicesMissing WorkerDrift", "IngressDown"),
        ("PartitionsBlocked", "PolicyHeldTooLong", "HeartbeatFailing"),
        ("BreakerOpen", "RemediationUnverified", "LimitsExhausted"),
        ("WorkflowKeysFailing", "WorkflowKeysFailed", "InvocationsPaused"),
    ],
    ids=lambda value: value.replace(" ", "-") or "all",
)
def test_what_follows_from_something_else_is_not_said_as_well(
    tool: ToolFinder, tmp_path: Path, cause: str, suppressed: str, told: str
) -> None:
    """A real Alertmanager suppresses it on the same target; what has another cause is told."""
    named = {name: f"RestateMedic{name}" for name in (cause, told, *suppressed.split())}
    after = [named[name] for name in suppressed.split()]
    if not after:  # whoever does not watch knows nothing
        after = [a.name for a in alerts() if a.name not in {named[cause], named[told]}]
    about = {**OWN, "policy": "heal", "restate_service": "Signup"}
    wanted = {(name, "prod"): "suppressed" for name in after}
    wanted |= {(named[cause], "prod"): "active", (named[told], "prod"): "active"}
    if suppressed:
        wanted[after[0], "other"] = "active"
    binary = tool("prometheus-alertmanager")
    with Alertmanager(binary, tmp_path, silent(load(ALERTMANAGER))) as alertmanager:
        alertmanager.fire(*({**about, "alertname": n, "target": t} for n, t in wanted))
        wait_until(
            lambda: alertmanager.states() == wanted,
            what=f"{wanted}",
            timeout_seconds=20,
            poll_seconds=0.1,
        )
