"""The admin API: does it answer, as which version of which cluster."""

from __future__ import annotations

from exporter.doctor.probe import ProbeContext
from exporter.model.errors import CallFailedError
from exporter.model.views import AdminView
from exporter.restate_api import Admin


async def probe(context: ProbeContext) -> AdminView:
    """Ask for version and cluster. ``/health`` would add nothing: it is unconditional."""
    admin = context.api.admin
    return AdminView(version=await admin.version(), cluster=await _cluster(admin))


async def _cluster(admin: Admin) -> str | None:
    """The cluster's name, None when it cannot be had: the route is deprecated, and no health."""
    try:
        return await admin.cluster_name()
    except CallFailedError:
        return None
