"""The registered deployments, as the server lists them."""

from __future__ import annotations

from exporter.doctor.probe import ProbeContext
from exporter.model.views import DeploymentsView


async def probe(context: ProbeContext) -> DeploymentsView:
    """List deployments. Their state is derived later: the server does not tell it."""
    return await context.api.admin.deployments()
