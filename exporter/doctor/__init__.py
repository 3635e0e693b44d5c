"""The doctor: one plain async function for each component, and running those that are due.

A probe returns its view or raises; ``probe_all`` makes a reading of either. What the readings mean
together is left to ``model.findings``.
"""

from collections.abc import Mapping
from types import MappingProxyType

from exporter.doctor import (
    admin,
    deployments,
    drift,
    heartbeat,
    ingress,
    invocations,
    node,
    services,
)
from exporter.doctor.governor import ScanGovernor
from exporter.doctor.heart import Heart
from exporter.doctor.probe import Probe, ProbeContext
from exporter.doctor.run import probe_all
from exporter.model.component import Component

PROBES: Mapping[Component, Probe] = MappingProxyType(
    {
        Component.INGRESS: ingress.probe,
        Component.ADMIN: admin.probe,
        Component.DEPLOYMENTS: deployments.probe,
        Component.SERVICES: services.probe,
        Component.INVOCATIONS: invocations.probe,
        Component.DRIFT: drift.probe,
        Component.HEARTBEAT: heartbeat.probe,
        Component.NODE: node.probe,
    }
)
"""The probes of a Restate environment: the extension point is this map."""

__all__ = ["PROBES", "Heart", "Probe", "ProbeContext", "ScanGovernor", "probe_all"]
