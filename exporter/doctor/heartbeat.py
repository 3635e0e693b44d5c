"""The heartbeat: whether a real invocation gets through, and in what time."""

from __future__ import annotations

from exporter.doctor.probe import ProbeContext, Unwell
from exporter.model.heartbeat import HeartbeatView


async def probe(context: ProbeContext) -> HeartbeatView | Unwell | None:
    """Look at the heart, which beats by itself; nothing to say before its first beat has ended."""
    pulse = None if context.heart is None else context.heart.look()
    if pulse is None:
        return None
    if pulse.view is None or pulse.wrong is None:
        if pulse.wrong is not None:
            raise pulse.wrong
        return pulse.view
    return Unwell(pulse.view, pulse.wrong.reason, str(pulse.wrong))
