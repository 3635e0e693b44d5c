"""The admin API: does it answer, as which version of which cluster."""

from __future__ import annotations

from exporter.doctor.probe import ProbeContext
from exporter.model.views import AdminView


async def probe(context: ProbeContext) -> AdminView:
    """Ask for version and cluster. ``/health`` would add nothing: it is unconditional."""
    admin = context.api.admin
    return AdminView(version=await admin.version(), cluster=await admin.cluster_name())
