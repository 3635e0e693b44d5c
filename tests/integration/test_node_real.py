"""A node's own metrics as real servers write them, also when partitions are really blocked."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exporter.model.errors import CallFailedError
from exporter.restate_api.node import Node
from exporter.transport import Transport
from lab import RestateServer, ServiceSpec
from tests.medic import Medic, target_of
from tests.support import WorkerFactory

LOG = ("log-store", "replicated-metadata-server")


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


async def test_both_versions_tell_their_partitions(
    any_restate: RestateServer, transport: Transport
) -> None:
    """None is blocked on a healthy server, whose page has no flare at all."""
    view = await Node(transport.client(any_restate.node_url)).partitions()
    assert (view.partitions, view.blocked) == (2, ())


async def test_what_is_no_node_s_page_is_unknown(
    any_restate: RestateServer, transport: Transport
) -> None:
    """The ingress given as node_url by mistake is not a node without blocked partitions."""
    with pytest.raises(CallFailedError):
        await Node(transport.client(any_restate.ingress_url)).partitions()


class UpAnyhow(RestateServer):
    """A server that counts as started when its ports answer, whatever its partitions do."""

    def _answers(self) -> bool:
        try:
            self.exposed()
        except httpx.HTTPError:
            return False
        return True


def test_blocked_partitions_are_seen_by_the_daemon(
    tmp_path: Path, worker_factory: WorkerFactory
) -> None:
    """A server whose log is older than its partitions (a backup that was put back, say) blocks
    them: 1.7.12 raises the flare for both and says why, while ingress and admin still answer."""
    data, old = tmp_path / "data", tmp_path / "old"
    with RestateServer(base_dir=data) as healthy:
        healthy.register(worker_factory(ServiceSpec("Greeter")).url)
        healthy.kill()
        for name in LOG:
            shutil.copytree(data / "lab" / name, old / name)
        healthy.start()
        for number in range(60):
            healthy.call("Greeter", "run", str(number)).raise_for_status()
        healthy.stop()  # in order: what was applied is stored
        urls = (healthy.ingress_url, healthy.admin_url, healthy.node_url)
    for name in LOG:
        shutil.rmtree(data / "lab" / name)
        shutil.copytree(old / name, data / "lab" / name)
    ingress, admin, node = (int(url.rpartition(":")[2]) for url in urls)
    target = target_of(healthy, node_url=healthy.node_url)
    with (
        UpAnyhow(base_dir=data, ports=(ingress, admin, node)),
        Medic(tmp_path / "medic", targets=[target]) as medic,
    ):
        medic.wait_for(
            lambda: medic.sample("partitions_blocked", target="prod") == 2, "both flares"
        )
        labels = {"target": "prod", "component": "node", "reason": "blocked"}
        assert medic.sample("component_failure", **labels) == 1
        assert medic.sample("up", target="prod") == 1
