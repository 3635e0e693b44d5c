"""deploy/compose: valid, pinned, on loopback only, and in agreement with what it mounts and builds.

No container engine runs here; tests/e2e/test_compose_run.py starts the parts on these files.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from exporter.settings.load import load
from tests.e2e.dockerfile import sent, stages

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
FILE = FOLDER / "compose.yaml"
WORKER = ROOT / "deploy" / "demo" / "Dockerfile"
LOCK = WORKER.with_name("worker-requirements.lock")
BIN = Path(sys.executable).parent


def parsed(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text())


COMPOSE = parsed(FILE)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MOUNTS = [
    (name, *[*mount.split(":"), ""][:3])
    for name, service in SERVICES.items()
    for mount in service.get("volumes", ())
]


def dockerfile(service: dict[str, Any]) -> Path | None:
    """Of what is built here."""
    if "build" not in service:
        return None
    build = service["build"]
    return Path(FOLDER, build["context"], build.get("dockerfile", "Dockerfile")).resolve()


def schema_check(file: Path) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_valid_by_the_compose_specification() -> None:
    """By the schema that the specification publishes, which knows every key."""
    done = schema_check(FILE)
    assert done.returncode == 0, done.stdout


def test_the_schema_would_find_a_mistake(tmp_path: Path) -> None:
    """A key that compose does not know is refused, so the test above says something."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text().replace("read_only:", "readonly:"))
    assert "readonly" in schema_check(wrong).stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    """To an exact version, or built from a file of this repository."""
    service = SERVICES[name]
    file = dockerfile(service)
    if file is not None:
        assert file.is_file()
        assert ":" not in service["image"], "a name of its own, never one to pull"
    else:
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])


def test_restate_is_the_one_that_tests_run_on() -> None:
    """The newest supported, at the version that npm brings here."""
    package = json.loads((ROOT / "deploy/demo/restate/1.7/package.json").read_text())
    version = package["dependencies"]["@restatedev/restate-server"]
    assert SERVICES["restate"]["image"].endswith(f":{version}")


def test_nothing_listens_beyond_this_machine() -> None:
    """Every published port is one of loopback, and none twice."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == len(set(ports)) >= len(SERVICES) - 1
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert not any("network_mode" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    """Nothing it could change but its volume, no capability, and only Restate as root."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert (service["user"].split(":")[0] == "0") is (name == "restate")
    if file := dockerfile(service):
        assert stages(file)[-1].all("USER") == [service["user"]]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check(name: str) -> None:
    """Of its own or of its image, and who is waited for has one."""
    file = dockerfile(SERVICES[name])
    own = "healthcheck" in SERVICES[name]
    assert own or (file is not None and stages(file)[-1].all("HEALTHCHECK"))
    assert SERVICES[name].get("depends_on", {}).keys() <= SERVICES.keys()


def test_everything_that_is_mounted_is_there() -> None:
    """Files and folders of this repository read-only; all else in volumes that are declared."""
    files = [(source, mode) for _, source, _, mode in MOUNTS if source.startswith(".")]
    assert len(files) >= 7
    assert [source for source, mode in files if not (FOLDER / source).exists()] == []
    assert {mode for _, mode in files} == {"ro"}
    volumes = {source for _, source, _, _ in MOUNTS if not source.startswith(".")}
    assert volumes == COMPOSE["volumes"].keys()


def mounted(service: str) -> dict[str, Path]:
    """What of this repository the service sees, by where it sees it."""
    return {
        target: (FOLDER / source).resolve()
        for name, source, target, _ in MOUNTS
        if name == service and source.startswith(".")
    }


def test_the_configurations_name_services_that_are_there() -> None:
    """Every address in them is a service's, by the port that it listens on."""
    text = "".join(path.read_text() for path in FOLDER.rglob("*.y*ml") if path != FILE)
    addresses = re.findall(r"http://[\w.-]+:\d+", text)
    addresses += [f"http://{one}" for one in re.findall(r'\["([\w-]+:\d+)"\]', text)]
    ports = {"restate": {8080, 9070, 5122}, "worker": {9080}, "restate-medic": {9970}}
    ports |= {"prometheus": {9090}, "alertmanager": {9093}}
    assert {urlsplit(one).hostname for one in addresses} == ports.keys()
    assert all(urlsplit(one).port in ports[urlsplit(one).hostname or ""] for one in addresses), (
        addresses
    )


def test_restate_medic_writes_only_into_its_volume() -> None:
    """Its ledger is there, and its configuration where the image looks for one."""
    (volume,) = (t for n, source, t, _ in MOUNTS if n == "restate-medic" and source == n)
    configuration = load(FOLDER / "restate-medic.yaml")
    assert str(configuration.ledger_file).startswith(f"{volume}/")
    (config,) = (c for c in stages()[-1].form("CMD") if c.startswith("--config.file="))
    files = mounted("restate-medic")
    assert files[config.removeprefix("--config.file=")] == FOLDER / "restate-medic.yaml"
    grace = float(SERVICES["restate-medic"]["stop_grace_period"].removesuffix("s"))
    assert grace > configuration.settings.drain_timeout.total_seconds()


def test_grafana_finds_dashboards_and_prometheus() -> None:
    """The provider looks where the dashboards are mounted, and sources where Grafana looks."""
    seen = mounted("grafana")
    provisioned = seen["/etc/grafana/provisioning/dashboards"]
    (provider,) = parsed(provisioned / "restate-medic.yaml")["providers"]
    assert len(list(seen[provider["options"]["path"]].glob("*.json"))) >= 3
    own = parsed(seen["/etc/grafana/provisioning/datasources/prometheus.yaml"])
    example = parsed(ROOT / "grafana/provisioning/datasources/prometheus.yaml")
    own["datasources"][0].pop("url")
    example["datasources"][0].pop("url")
    assert own == example


def test_the_worker_is_built_of_what_is_locked() -> None:
    """Linted; it sees nothing else; the versions are those that tests run."""
    done = subprocess.run([BIN / "hadolint", WORKER], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    (stage,) = stages(WORKER)
    needed = {s for copy in stage.all("COPY") for s in copy.split()[:-1]}
    assert sent(WORKER.with_name(".dockerignore")) == needed
    assert all((WORKER.parent / name).exists() for name in needed)
    pins = set(re.findall(r"(?m)^\S+==\S+", LOCK.read_text()))
    tested = re.findall(r"(?m)^\S+==\S+", (ROOT / "requirements-dev.lock").read_text())
    assert {pin for pin in pins if pin.startswith("restate-sdk")}
    assert pins <= set(tested), "run make lock"
