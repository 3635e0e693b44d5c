"""What runbook pages tell people to ask with curl is answered by a real Restate and daemon."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import RestateServer, ServiceSpec, Version, Worker, clean_environment
from tests.alerts import pages
from tests.documents import shell_lines
from tests.medic import Medic, target_of
from tests.support import ToolFinder

SERVICES = (
    ServiceSpec("Billing", handlers=("charge",)),
    ServiceSpec("Cart", "object", handlers=("add",)),
    ServiceSpec("Signup", "workflow"),
)
ELSEWHERE = ("$ALERTMANAGER", "$TOKEN")
"""Asked of something that is not part of this test."""


def asked() -> list[str]:
    """Each curl of a page once, without what reads its output."""
    lines = (line for page in pages() for line in shell_lines(page.read_text()))
    curls = (re.split(r" \| ", line)[0] for line in lines if line.startswith("curl "))
    return sorted({line for line in curls if not any(name in line for name in ELSEWHERE)})


@pytest.fixture(scope="module")
def scene(
    any_version: Version, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A server with the services that pages take for examples, and a daemon that watches it."""
    with RestateServer(any_version) as restate, Worker(SERVICES) as worker:
        restate.register(worker.url)
        folder: Path = tmp_path_factory.mktemp("medic")
        with Medic(folder, targets=[target_of(restate, service_url=worker.url)]) as medic:
            yield {
                "MEDIC": medic.url(""),
                "INGRESS": restate.ingress_url,
                "ADMIN": restate.admin_url,
                "NODE": restate.node_url,
                "WORKER": worker.url,
            }


def test_there_is_something_to_ask() -> None:
    """The commands are found in the pages."""
    assert len(asked()) > 20


@pytest.mark.parametrize("command", asked(), ids=[f"{n:02}" for n in range(len(asked()))])
def test_a_command_of_a_page_is_answered(
    tool: ToolFinder, scene: dict[str, str], command: str
) -> None:
    """With success: the route exists, and a query names only tables and columns that exist."""
    command = command.replace("http://worker:9080", scene["WORKER"])
    done = subprocess.run(
        [tool("bash"), "-c", command.replace("curl ", "curl --fail-with-body ", 1)],
        env=clean_environment(**scene),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
