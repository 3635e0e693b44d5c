"""What the configuration reference marks *restart* is left as it was by a reload, which says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.settings.schema import NEEDS_RESTART
from lab import free_ports
from tests.medic import Medic

CHANGED: dict[str, Any] = {
    "storage": {"url": "sqlite:///elsewhere.db"},
    "web_listen_address": "127.0.0.1:1",
    "web_telemetry_path": "/numbers",
    "log_level": "warning",
    "lease": "90s",
}

BY_FLAG = {"web_listen_address"}
"""The daemon of a test is given it so, and a flag is what it was whatever the file says."""


@pytest.fixture
def medic(tmp_path: Path) -> Medic:
    """On a Restate that is not there, which does not matter here."""
    ingress, admin = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    target: dict[str, object] = {"name": "prod", "ingress_url": ingress, "admin_url": admin}
    return Medic(tmp_path, targets=[target], timeout="1s")


def test_a_reload_says_what_it_leaves(medic: Medic) -> None:
    """Each such key by name, and it stays in force as it was; all else is taken."""
    target: dict[str, object] = {
        "name": "other",
        "ingress_url": "http://127.0.0.1:1",
        "admin_url": "http://127.0.0.1:2",
    }
    with medic:
        assert CHANGED.keys() == set(NEEDS_RESTART)
        changed = {k: v for k, v in CHANGED.items() if k not in BY_FLAG}
        medic.write(targets=[target], **changed)
        assert medic.post("/-/reload").status_code == httpx.codes.OK
        told = {event["key"] for event in medic.events("config.needs_restart")}
        assert told == changed.keys()
        assert medic.status("/metrics") == httpx.codes.OK
        assert medic.status("/numbers") == httpx.codes.NOT_FOUND
        assert not (medic.folder / "elsewhere.db").exists()
        assert medic.get("/api/v1/targets").json()["targets"][0]["name"] == "other"
