"""The registered services, each in its latest revision."""

from __future__ import annotations

from exporter.doctor.probe import ProbeContext
from exporter.model.views import ServicesView


async def probe(context: ProbeContext) -> ServicesView:
    """List services."""
    return await context.api.admin.services()
