"""What the manifests refer to is there: volumes, ports, probes, what the network lets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from exporter.settings.load import load
from exporter.web.api.routes import health_routes
from tests.unit.test_kubernetes import CONTAINER, EXAMPLE, FOLDER, OBJECTS, POD, ROOT

PORTS = {one["name"]: one["containerPort"] for one in CONTAINER["ports"]}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
NETWORK = OBJECTS["base/networkpolicy.yaml:restate-medic"]["spec"]
DNS = {("UDP", 53), ("TCP", 53)}


def parsed(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text())


def generated(folder: Path) -> set[str]:
    """The ConfigMaps that kustomize makes there."""
    file = next(folder.glob("[Kk]ustomization*"))
    return {one["name"] for one in parsed(file)["configMapGenerator"]}


def test_every_mount_has_a_volume_and_every_volume_its_source() -> None:
    """A name that nobody has is refused by the cluster, or keeps the pod waiting for ever."""
    volumes = {one["name"]: one for one in POD["volumes"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == volumes.keys()
    maps = {one["configMap"]["name"] for one in volumes.values() if "configMap" in one}
    assert maps == generated(FOLDER / "base") | generated(ROOT / "policies")
    claims = [v["persistentVolumeClaim"] for v in volumes.values() if "persistentVolumeClaim" in v]
    assert [claim["claimName"] for claim in claims] == [
        OBJECTS["base/volume.yaml:restate-medic"]["metadata"]["name"]
    ]
    assert POD["serviceAccountName"] in {
        one["metadata"]["name"] for one in OBJECTS.values() if one["kind"] == "ServiceAccount"
    }
    assert [v["secret"]["optional"] for v in volumes.values() if "secret" in v] == [True]


def test_an_overlay_replaces_what_the_base_makes() -> None:
    """Of the same name, or kustomize would refuse it."""
    assert generated(EXAMPLE) <= generated(FOLDER / "base") | generated(ROOT / "policies")


@pytest.mark.parametrize("probe", PROBES)
def test_probes_ask_what_the_daemon_answers(probe: str) -> None:
    """A route that needs no key, on the port that the daemon listens on; only readiness waits for
    targets, or one that does not answer would have the pod killed."""
    asked = CONTAINER[probe]["httpGet"]
    router = health_routes(lambda: pytest.fail("nobody asks here"))
    assert asked["path"] in {getattr(route, "path", None) for route in router.routes}
    assert asked["path"] == ("/-/ready" if probe == "readinessProbe" else "/-/healthy")
    assert asked["port"] in PORTS


def test_the_service_leads_to_the_daemon() -> None:
    """To the port it listens on, which is the one in its command."""
    (port,) = OBJECTS["base/service.yaml:restate-medic"]["spec"]["ports"]
    assert port["targetPort"] in PORTS
    assert f"--web.listen-address=0.0.0.0:{PORTS[port['targetPort']]}" in CONTAINER["args"]


def test_the_network_lets_in_who_scrapes() -> None:
    """Prometheus' namespace and the own one, to the daemon's port and no other."""
    (rule,) = NETWORK["ingress"]
    assert [one["port"] for one in rule["ports"]] == list(PORTS)
    assert {"podSelector": {}} in rule["from"]
    names = [
        one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for one in rule["from"]
        if "namespaceSelector" in one
    ]
    assert names == ["monitoring"]


@pytest.mark.parametrize("folder", [FOLDER / "base", EXAMPLE], ids=["base", "example"])
def test_the_network_lets_out_what_is_watched(folder: Path) -> None:
    """Names can be resolved, and every URL of the configuration reached; so can a node, HTTPS,
    Alertmanager and PostgreSQL on their usual ports."""
    open_ports = {
        (one["protocol"], one["port"]) for rule in NETWORK["egress"] for one in rule["ports"]
    }
    assert all("to" not in rule for rule in NETWORK["egress"])
    assert open_ports >= DNS
    targets = load(folder / "restate-medic.yaml").settings.targets
    urls = [url for one in targets for url in (one.ingress_url, one.admin_url)]
    assert len(urls) == 2
    needed = {urlsplit(str(url)).port for url in urls} | {443, 5122, 5432, 9093}
    assert {("TCP", port) for port in needed} <= open_ports


def test_nodes_can_be_drained() -> None:
    """The budget lets the only pod go; it comes back elsewhere and finds its ledger."""
    budget = OBJECTS["base/poddisruptionbudget.yaml:restate-medic"]["spec"]
    assert budget["maxUnavailable"] >= 1
    assert "minAvailable" not in budget


KUSTOMIZED = [FOLDER / "base", FOLDER / "monitoring", EXAMPLE, ROOT / "policies"]


@pytest.mark.parametrize("folder", KUSTOMIZED, ids=[folder.name for folder in KUSTOMIZED])
def test_kustomize_finds_what_is_listed(folder: Path) -> None:
    """Also where no kubectl builds it: files, and folders with a list of their own; what is in
    them and nowhere listed would never be applied."""
    said = parsed(next(folder.glob("[Kk]ustomization*")))
    listed = [*said.get("resources", ()), *said.get("components", ())]
    for name in listed:
        place = folder / name
        assert place.is_file() or list(place.glob("[Kk]ustomization*")), name
    files = [name for one in said.get("configMapGenerator", ()) for name in one["files"]]
    assert [name for name in files if not (folder / name).is_file()] == []
    there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert there <= {*listed, *files}
