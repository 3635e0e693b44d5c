"""The ingress: does it answer, and which services would it route to."""

from __future__ import annotations

from exporter.doctor.probe import ProbeContext
from exporter.model.views import IngressView


async def probe(context: ProbeContext) -> IngressView:
    """Ask the ingress for its own view of what is registered."""
    return await context.api.ingress.health()
