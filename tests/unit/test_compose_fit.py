"""deploy/compose: what a service is told fits what it mounts, publishes and is asked."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.dockerfile import stages
from tests.unit.test_compose import FOLDER, MOUNTS, SERVICES, WORKER, mounted, parsed

LISTENS = {
    "restate": {8080, 9070},
    "restate-medic": {9970},
    "prometheus": {9090},
    "alertmanager": {9093},
    "grafana": {3000},
}
"""Where each listens unless told otherwise; none is."""
KEEPS = {
    "restate": "RESTATE_BASE_DIR",
    "prometheus": "--storage.tsdb.path",
    "alertmanager": "--storage.path",
}
"""What says where a service keeps its data."""


def told(service: str) -> dict[str, str]:
    """Flags and variables of a service, by their names."""
    own: dict[str, Any] = SERVICES[service]
    flags = dict(flag.split("=", 1) for flag in own.get("command", ()))
    return {**own.get("environment", {}), **flags}


def volume(service: str) -> str:
    """The one place that the service may write to and that is kept."""
    (target,) = (str(t) for name, source, t, _ in MOUNTS if name == service and source[0] != ".")
    return target


@pytest.mark.parametrize("name", LISTENS)
def test_what_is_published_is_what_listens(name: str) -> None:
    """Under the same number, so that the head of the file and the configurations are true."""
    ports = {tuple(map(int, port.split(":")[1:])) for port in SERVICES[name]["ports"]}
    assert ports == {(port, port) for port in LISTENS[name]}
    assert not {flag for flag in told(name) if "listen" in flag} - {"--cluster.listen-address"}


@pytest.mark.parametrize("name", [name for name, one in SERVICES.items() if "healthcheck" in one])
def test_health_checks_ask_the_service_itself(name: str) -> None:
    """On loopback, where it listens, by a tool that fails when the answer is no success."""
    word, tool, *arguments, url = SERVICES[name]["healthcheck"]["test"]
    assert word == "CMD"
    assert {"curl": "--fail", "wget": "--spider"}[tool] in arguments
    asked = urlsplit(url)
    assert asked.hostname == "127.0.0.1"
    assert asked.port in LISTENS[name]
    assert asked.path in {"/restate/health", "/-/ready", "/api/health"}


@pytest.mark.parametrize("name", KEEPS)
def test_data_is_kept_in_the_volume(name: str) -> None:
    """All else is read-only: a service that kept it elsewhere would not start."""
    assert told(name)[KEEPS[name]] == volume(name)


def test_grafana_keeps_its_data_in_its_volume_and_lets_nobody_change_anything() -> None:
    """Its image's own place; who comes may look only, and there is no password to be left as is."""
    assert volume("grafana") == "/var/lib/grafana"
    variables = told("grafana")
    assert not {name for name in variables if name.startswith("GF_PATHS")}
    assert variables["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert variables["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert variables["GF_AUTH_BASIC_ENABLED"] == "false"


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_configurations_are_read_from_where_they_are_mounted(name: str) -> None:
    """And the rules from beside Prometheus' own, as its configuration says."""
    seen = mounted(name)
    assert seen[told(name)["--config.file"]].parent == FOLDER
    if name == "prometheus":
        folder = told(name)["--config.file"].rpartition("/")[0]
        (pattern,) = parsed(FOLDER / "prometheus.yml")["rule_files"]
        place, _, files = pattern.rpartition("/")
        assert list(seen[f"{folder}/{place}"].glob(files))


def test_the_worker_is_reached_from_other_containers() -> None:
    """It listens on all addresses, at the port that restate-medic is told."""
    (stage,) = stages(WORKER)
    *_, port, address = stage.form("CMD")
    assert address == "0.0.0.0"  # noqa: S104  # in its container, which publishes nothing
    (target,) = parsed(FOLDER / "restate-medic.yaml")["targets"]
    assert urlsplit(target["service_url"]).port == int(port)
    assert re.search(rf":{port}/health'", stage.form("HEALTHCHECK")[-1])
