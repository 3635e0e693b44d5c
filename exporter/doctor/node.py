"""The node: which partitions it cannot run, by its own metrics."""

from __future__ import annotations

from exporter.doctor.probe import ProbeContext, Unwell
from exporter.model.component import Reason
from exporter.model.views import NodeView

_MOST_SHOWN = 5


async def probe(context: ProbeContext) -> NodeView | Unwell | None:
    """Read the node's metrics; nothing to say where its URL is not given."""
    if context.api.node is None:
        return None
    view = await context.api.node.partitions()
    if not view.blocked:
        return view
    shown = ", ".join(view.blocked[:_MOST_SHOWN])
    more = "" if len(view.blocked) <= _MOST_SHOWN else " and others"
    return Unwell(
        view,
        Reason.BLOCKED,
        f"{len(view.blocked)} of {view.partitions} partitions are blocked on this node: "
        f"{shown}{more}; the server's log says what each needs",
    )
