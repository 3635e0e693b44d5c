"""What a node's own metrics say of its partitions."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from exporter.doctor import node
from exporter.doctor.probe import ProbeContext, Unwell
from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.model.target import Target
from exporter.model.views import NodeView
from exporter.restate_api.node import MAX_BYTES
from tests.unit import hostile
from tests.unit.fake_restate import FakeRestate

LABELS = 'cluster_name="localcluster",node_name="lab"'
HEALTHY = f"# TYPE restate_num_partitions gauge\nrestate_num_partitions{{{LABELS}}} 24\n"
BLOCKED = "restate_partition_blocked_flare"


def flare(partition: str, reason: str = "ahead_of_log", value: str = "1") -> str:
    """One sample as a real 1.7.12 writes it (recorded)."""
    return f'{BLOCKED}{{{LABELS},partition="{partition}",reason="{reason}"}} {value}\n'


async def probed(page: str | hostile.Reply) -> NodeView | Unwell | None:
    reply = hostile.answer(200, page) if isinstance(page, str) else page
    async with AsyncExitStack() as stack:
        restate = FakeRestate(routes={("GET", "/metrics"): reply})
        api = await stack.enter_async_context(restate.api(node=True))
        return await node.probe(ProbeContext(api, Target("t")))


async def test_a_page_without_the_flare_is_healthy() -> None:
    """It appears only once a partition is blocked."""
    assert await probed(HEALTHY) == NodeView(24, ())


async def test_blocked_partitions_are_counted_and_named() -> None:
    """Each partition once, whatever its reasons; one that is free again (0) not at all."""
    page = (
        HEALTHY + flare("10") + flare("2", "version_barrier") + flare("2") + flare("3", value="0")
    )
    seen = await probed(page)
    assert isinstance(seen, Unwell)
    assert seen.view == NodeView(24, ("2: ahead_of_log", "10: ahead_of_log"))
    assert seen.reason is Reason.BLOCKED
    assert seen.error.startswith(
        "2 of 24 partitions are blocked on this node: 2: ahead_of_log, 10: ahead_of_log"
    )


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("", Reason.BAD_BODY),
        ("<html>login</html>", Reason.BAD_BODY),
        (flare("1"), Reason.BAD_BODY),
        ("restate_num_partitions NaN\n", Reason.BAD_BODY),
        ("restate_num_partitions -1\n", Reason.BAD_BODY),
        ("restate_num_partitions 1e99\n", Reason.BAD_BODY),
        (HEALTHY + flare("1", value="many"), Reason.BAD_BODY),
        (hostile.answer(200, "x" * (MAX_BYTES + 1)), Reason.TOO_LARGE),
        (hostile.answer(404, "none"), Reason.HTTP_STATUS),
        (hostile.hang, Reason.TIMEOUT),
    ],
)
async def test_what_is_no_such_page_is_unknown(page: str | hostile.Reply, reason: Reason) -> None:
    """Never taken for a node without blocked partitions."""
    with pytest.raises(CallFailedError) as caught:
        await probed(page)
    assert caught.value.reason is reason


async def test_without_a_url_there_is_nothing_to_say() -> None:
    """Not asked, so no reading."""
    async with FakeRestate().api() as api:
        assert await node.probe(ProbeContext(api, Target("t"))) is None
