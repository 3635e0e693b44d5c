"""The remedies a Restate target supports, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.remedies.cleanup_stale_deployments import CLEANUP_STALE_DEPLOYMENTS
from exporter.remedies.force_redeploy import FORCE_REDEPLOY
from exporter.remedies.remedy import Remedy

REMEDIES: Mapping[str, Remedy] = MappingProxyType(
    {remedy.name: remedy for remedy in (FORCE_REDEPLOY, CLEANUP_STALE_DEPLOYMENTS)}
)
