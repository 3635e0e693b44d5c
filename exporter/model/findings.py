"""Findings: the facts a report and the target's expectations give, ready for policies and metrics.

The catalogue of their names is in ``variables``; ``derive`` is the only maker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component, Reason, Status
from exporter.model.deployments import DeploymentFact
from exporter.model.drift import Drift
from exporter.model.heartbeat import HeartbeatView
from exporter.model.target import Target
from exporter.model.views import (
    AdminView,
    InvocationSummary,
    InvocationsView,
    NodeView,
    Reachable,
    ServicesView,
)

NEVER = timedelta(days=3650)
"""The age of a component that was never read."""


@dataclass(frozen=True, slots=True)
class ComponentState:
    """How a component is now, stale readings already turned into ``unknown``."""

    status: Status
    reason: Reason | None
    age: timedelta
    latency_seconds: float | None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class WorkerFact:
    """One configured worker. None means unknown."""

    url: str
    reachable: Reachable
    deployment_id: str | None
    registered: bool | None
    latest: bool | None
    stable: bool | None
    missing: tuple[str, ...] | None
    drift: Drift | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a ``for_each`` policy looks at. ``values`` holds only what is known."""

    kind: str
    key: str
    """What it is, so that limits follow it across restarts (a URL, an id, ``Service/key``)."""
    values: Mapping[str, Any]
    """By full variable name, such as ``item.url``."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything known about one target at one moment. A fact that is None or absent is unknown."""

    target: Target
    at: datetime
    components: Mapping[Component, ComponentState]
    values: Mapping[str, Any]
    """Bound CEL variables. Durations are timedeltas, lists are sorted lists of text."""
    items: Mapping[str, tuple[Item, ...] | None]
    """By ``for_each`` kind; None when the list is unknown."""
    workers: tuple[WorkerFact, ...] = ()
    deployments: tuple[DeploymentFact, ...] | None = None
    drift: Drift | None = None
    services: ServicesView | None = None
    invocations: InvocationsView | InvocationSummary | None = None
    admin: AdminView | None = None
    heartbeat: HeartbeatView | None = None
    node: NodeView | None = None
    failed_keys: Mapping[str, int] | None = None
    """Failed workflow keys by service."""

    @property
    def up(self) -> bool:
        """Whether both ingress and admin answer as they should."""
        both = (Component.INGRESS, Component.ADMIN)
        return all(c in self.components and self.components[c].status is Status.OK for c in both)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often an item was acted on before, from the ledger. Keys are item keys."""

    recoveries: Mapping[str, int] = field(default_factory=dict)
    resumes: Mapping[str, int] = field(default_factory=dict)
    restarts: Mapping[str, int] = field(default_factory=dict)
