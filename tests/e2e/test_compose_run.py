"""The parts of deploy/compose as real processes on their own files, with loopback for names.

Grafana is not among them: no package has its server.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Child, RestateServer, clean_environment, free_ports, wait_until
from tests.alerts import RULE_FILES, load
from tests.e2e.dockerfile import Stage, stages
from tests.e2e.sandbox import ROOT
from tests.e2e.watching import Alertmanager, Prometheus
from tests.medic import Medic
from tests.support import ServerFactory, ToolFinder

FOLDER = ROOT / "deploy" / "compose"
SERVICES = ["Cart", "Greeter", "Heartbeat", "Signup"]


def sample_worker(folder: Path, port: int) -> Child:
    """As its image starts it, from what its image holds."""
    (stage,) = stages(ROOT / "deploy" / "demo" / "Dockerfile")
    folder.mkdir()
    for name in (n for copy in stage.all("COPY") for n in copy.split()[:-1]):
        source = ROOT / "deploy" / "demo" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    python, *arguments = _moved(stage, "CMD", port)
    assert python == "python"
    return Child(
        [sys.executable, *arguments],
        env=clean_environment(),
        cwd=folder,
        log=folder / "worker.log",
    )


def healthy(port: int) -> bool:
    """What the image's own health check says."""
    (stage,) = stages(ROOT / "deploy" / "demo" / "Dockerfile")
    _, *arguments = _moved(stage, "HEALTHCHECK", port)
    proxied = clean_environment(http_proxy="http://127.0.0.1:1")  # as a client may set for all
    done = subprocess.run(
        [sys.executable, *arguments], env=proxied, capture_output=True, check=False
    )
    return done.returncode == 0


def _moved(stage: Stage, word: str, port: int) -> list[str]:
    return [part.replace("9080", str(port)) for part in stage.form(word)]


def restate_medic(
    folder: Path, restate: RestateServer, worker: int, alertmanager: Alertmanager
) -> Medic:
    """On the file that is mounted, with loopback for the names of services."""
    medic = Medic(folder, targets=[])
    text = (FOLDER / "restate-medic.yaml").read_text()
    for name, here in {
        "http://restate:8080": restate.ingress_url,
        "http://restate:9070": restate.admin_url,
        "http://restate:5122": str(restate.node_url),
        "http://worker:9080": f"http://127.0.0.1:{worker}",
        "http://alertmanager:9093": alertmanager.url,
        "/var/lib/restate-medic/medic.db": str(folder / "medic.db"),
    }.items():
        assert name in text
        text = text.replace(name, here)
    medic.config.write_text(text)
    shutil.copytree(FOLDER / "policies", folder / "policies")
    return medic


@pytest.mark.timeout(240)
def test_the_environment_comes_to_life_by_itself(
    fresh_restate: ServerFactory, tool: ToolFinder, tmp_path: Path
) -> None:
    """restate-medic registers the worker, a call gets through, Prometheus sees all of it well and
    has the rules, and nothing is alerted."""
    restate, (port,) = fresh_restate(), free_ports(1)
    worker = sample_worker(tmp_path / "worker", port)
    shutil.copytree(ROOT / "deploy/prometheus/rules", tmp_path / "prometheus/rules")
    try:
        wait_until(lambda: healthy(port), what="the worker", timeout_seconds=30)
        configured = load(FOLDER / "alertmanager.yml")
        with Alertmanager(
            tool("prometheus-alertmanager"), tmp_path / "alertmanager", configured
        ) as alertmanager:
            medic = restate_medic(tmp_path / "medic", restate, port, alertmanager)
            scraped = json.dumps(load(FOLDER / "prometheus.yml"))
            scraped = scraped.replace("alertmanager:9093", alertmanager.address)
            scraped = scraped.replace("restate-medic:9970", f"127.0.0.1:{medic.port}")
            with (
                medic,
                Prometheus(
                    tool("prometheus"), tmp_path / "prometheus", json.loads(scraped)
                ) as prometheus,
            ):
                medic.wait_for(
                    lambda: sorted(restate.exposed()) == SERVICES, "the registration", 180
                )
                medic.wait_for(
                    lambda: medic.operations()[0]["outcome"] == "verified", "verification", 60
                )
                medic.wait_for(
                    lambda: prometheus.query('restate_medic_up{target="sample"} == 1'), "a scrape"
                )
                rules = prometheus.get("/api/v1/rules").json()["data"]["groups"]
                assert {Path(group["file"]).name for group in rules} == {f.name for f in RULE_FILES}
                assert prometheus.firing() == set()
    finally:
        worker.kill()


def test_the_tools_accept_the_configurations(tool: ToolFinder, tmp_path: Path) -> None:
    """promtool and amtool, on the files where they are mounted."""
    shutil.copytree(ROOT / "deploy/prometheus/rules", tmp_path / "rules")
    shutil.copy(FOLDER / "prometheus.yml", tmp_path)
    for command in (
        [tool("promtool"), "check", "config", tmp_path / "prometheus.yml"],
        [tool("amtool"), "check-config", FOLDER / "alertmanager.yml"],
    ):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
