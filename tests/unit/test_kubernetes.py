"""The manifests: valid for Kubernetes, in agreement with the daemon, the image and the rules."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
from ruamel.yaml import YAML

from exporter.model.decision import Mode
from exporter.model.errors import ConfigurationError
from exporter.settings.load import load
from tests.e2e.dockerfile import stages
from tests.support import ToolFinder

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
EXAMPLE = FOLDER / "overlays" / "example"
VERSIONS = ("1.31", "1.37")
"""The oldest and the newest that the manifests are checked for."""
_OF_KUSTOMIZE = {"Kustomization", "Component"}
_OF_THE_PROMETHEUS_OPERATOR = {"ServiceMonitor", "PrometheusRule"}


def documents(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def written() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a file, with the file."""
    for file in sorted(FOLDER.rglob("*.yaml")):
        for one in documents(file.read_text()):
            if "kind" in one and one["kind"] not in _OF_KUSTOMIZE:
                yield f"{file.relative_to(FOLDER)}:{one['metadata']['name']}", one


OBJECTS = dict(written())
DEPLOYMENT = OBJECTS["base/deployment.yaml:restate-medic"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


@pytest.fixture(scope="session")
def built(tool: ToolFinder) -> list[dict[str, Any]]:
    """What kubectl makes of the example."""
    command = [str(tool("kubectl")), "kustomize", str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return documents(done.stdout)


def check(one: dict[str, Any], version: str) -> None:
    if one["kind"] not in _OF_THE_PROMETHEUS_OPERATOR:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_built_example_is_valid(built: list[dict[str, Any]], version: str) -> None:
    """Every object of what is applied has only fields that Kubernetes knows, of their types."""
    for one in built:
        check(one, version)
        assert one["metadata"].get("namespace", "restate-medic") == "restate-medic"


def test_the_example_is_complete(built: list[dict[str, Any]]) -> None:
    """All kinds are there, the image is the overlay's, every selector finds the pod."""
    kinds = {one["kind"] for one in built}
    assert kinds >= {"Deployment", "Service", "PersistentVolumeClaim", "NetworkPolicy"}
    assert kinds >= {"PodDisruptionBudget", "ServiceMonitor", "PrometheusRule", "ConfigMap"}
    by_kind = {one["kind"]: one for one in built}
    pod = by_kind["Deployment"]["spec"]["template"]
    assert pod["spec"]["containers"][0]["image"].startswith("registry.internal/restate-medic:")
    selectors = [
        by_kind["Service"]["spec"]["selector"],
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
        by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= pod["metadata"]["labels"].items() for selector in selectors)
    maps = {one["metadata"]["name"]: one["data"] for one in built if one["kind"] == "ConfigMap"}
    assert (
        maps["restate-medic"]["restate-medic.yaml"] == (EXAMPLE / "restate-medic.yaml").read_text()
    )
    files = {path.name: path.read_text() for path in (ROOT / "policies").glob("*.yaml")}
    assert maps["restate-medic-policies"] == files


@pytest.mark.parametrize("name", OBJECTS)
def test_each_file_is_valid_by_itself(name: str) -> None:
    """Whatever builds them; what kustomize adds to them (selectors) is all that may be missing."""
    one = OBJECTS[name]
    if one["kind"] == "Deployment":
        labels = {"app.kubernetes.io/name": "restate-medic"}
        selected = {"selector": {"matchLabels": labels}}
        one = {**one, "spec": {**one["spec"], **selected}}
    for version in VERSIONS:
        check(one, version)


def test_every_shipped_policy_is_in_the_config_map() -> None:
    """A policy that is added is added there too."""
    (listed,) = documents((ROOT / "policies" / "Kustomization").read_text())
    (generator,) = listed["configMapGenerator"]
    assert generator["files"] == sorted(path.name for path in (ROOT / "policies").glob("*.yaml"))


def test_the_rules_are_those_of_prometheus() -> None:
    """One source: the file is what ``make kubernetes`` writes, and says the same groups."""
    made = runpy.run_path(str(FOLDER / "rules.py"))["prometheus_rules"]()
    text = (FOLDER / "monitoring" / "rules.yaml").read_text()
    assert text == made, "run make kubernetes"
    groups = [group for one in documents(text) for group in one["spec"]["groups"]]
    source = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.rules.yaml"))
    assert groups == [g for file in source for g in documents(file.read_text())[0]["groups"]]
    assert len(groups) >= len(source) > 0


def test_prometheus_calls_the_job_what_the_rules_call_it() -> None:
    """``jobLabel`` names a label of the Service whose value is the job's name."""
    monitor = OBJECTS["monitoring/servicemonitor.yaml:restate-medic"]["spec"]
    (base,) = documents((FOLDER / "base" / "kustomization.yaml").read_text())
    pairs = base["labels"][0]["pairs"]
    assert pairs[monitor["jobLabel"]] == "restate-medic"
    assert monitor["selector"]["matchLabels"] == pairs
    (service_port,) = OBJECTS["base/service.yaml:restate-medic"]["spec"]["ports"]
    assert monitor["endpoints"][0]["port"] == service_port["name"]


def test_one_writer_for_the_ledger() -> None:
    """A file on a volume: never two pods at a time, not even while one follows the other."""
    assert DEPLOYMENT["spec"]["replicas"] == 1
    assert DEPLOYMENT["spec"]["strategy"] == {"type": "Recreate"}


def test_the_pod_is_restricted() -> None:
    """As the Pod Security Standard of that name asks, which the namespace enforces; and the root
    is read-only, as the user of the image."""
    image = stages()[-1]
    pod, own = POD["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert image.all("USER") == [f"{pod['runAsUser']}:{pod['runAsGroup']}"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False
    assert {"requests", "limits"} == CONTAINER["resources"].keys()
    namespace = OBJECTS["overlays/example/namespace.yaml:restate-medic"]["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_kubernetes_sets_no_variables_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service named restate-medic would set RESTATE_MEDIC_…, which is no setting."""
    assert POD["enableServiceLinks"] is False
    monkeypatch.setenv("RESTATE_MEDIC_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(ConfigurationError, match="RESTATE_MEDIC_SERVICE_HOST"):
        load(EXAMPLE / "restate-medic.yaml")


@pytest.mark.parametrize("file", [FOLDER / "base", EXAMPLE], ids=["base", "example"])
def test_the_configurations_fit_the_pod(file: Path) -> None:
    """They load, write nothing to Restate, and name places that are mounted."""
    configuration = load(file / "restate-medic.yaml")
    assert configuration.settings.max_mode is Mode.OBSERVE
    mounts = {m["mountPath"]: m.get("readOnly", False) for m in CONTAINER["volumeMounts"]}
    assert configuration.ledger_file is not None
    assert mounts[str(configuration.ledger_file.parent)] is False
    (pattern,) = configuration.policy_patterns
    assert mounts[str(Path(pattern).parent)] is True
    (config,) = (a for a in CONTAINER["args"] if a.startswith("--config.file="))
    assert mounts[str(Path(config.removeprefix("--config.file=")).parent)] is True
    named = re.findall(r"file: (/\S+?)}", (file / "restate-medic.yaml").read_text())
    assert all(mounts[str(Path(name).parent)] for name in named)
    drain = configuration.settings.drain_timeout.total_seconds()
    assert drain < POD["terminationGracePeriodSeconds"]


def test_the_pod_starts_what_the_image_starts() -> None:
    """The same command, but for where the configuration is."""
    in_image = stages()[-1].form("CMD")
    differing = [(a, b) for a, b in zip(CONTAINER["args"], in_image, strict=True) if a != b]
    assert [a.partition("=")[0] for a, _ in differing] == ["--config.file"]
    port = {one["containerPort"] for one in CONTAINER["ports"]}
    assert {int(number) for number in stages()[-1].all("EXPOSE")} == port
