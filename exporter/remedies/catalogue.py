"""The remedies a Restate target supports, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.remedies.cancel_invocations import CANCEL_INVOCATIONS
from exporter.remedies.cleanup_stale_deployments import CLEANUP_STALE_DEPLOYMENTS
from exporter.remedies.force_redeploy import FORCE_REDEPLOY
from exporter.remedies.kill_invocations import KILL_INVOCATIONS
from exporter.remedies.notify import NOTIFY
from exporter.remedies.purge_invocations import PURGE_INVOCATIONS
from exporter.remedies.recover_stuck_workflow import RECOVER_STUCK_WORKFLOW
from exporter.remedies.remedy import Remedy
from exporter.remedies.restart_invocations import RESTART_INVOCATIONS
from exporter.remedies.resume_invocations import RESUME_INVOCATIONS

REMEDIES: Mapping[str, Remedy] = MappingProxyType(
    {
        remedy.name: remedy
        for remedy in (
            FORCE_REDEPLOY,
            CLEANUP_STALE_DEPLOYMENTS,
            RECOVER_STUCK_WORKFLOW,
            RESUME_INVOCATIONS,
            CANCEL_INVOCATIONS,
            KILL_INVOCATIONS,
            PURGE_INVOCATIONS,
            RESTART_INVOCATIONS,
            NOTIFY,
        )
    }
)
