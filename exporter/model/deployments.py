"""What each registered deployment is: its state, its owner, and the work that keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from exporter.model.component import Component
from exporter.model.report import Report
from exporter.model.target import Target, normalise_url
from exporter.model.views import (
    Deployment,
    DeploymentList,
    DeploymentsView,
    DriftView,
    InvocationGroup,
    InvocationsView,
    ListedDeployment,
    Reachable,
    ServicesView,
)

DeploymentState = Literal["active", "draining", "drained", "unknown"]
Owner = Literal["ours", "foreign", "protected", "unknown"]


@dataclass(frozen=True, slots=True)
class DeploymentFact:
    """One deployment, classified. ``pinned`` and ``unpinned`` are None when the scan is unknown."""

    deployment: ListedDeployment
    state: DeploymentState
    owner: Owner
    reachable: Reachable
    pinned: int | None
    unpinned: int | None
    state_age: timedelta

    @property
    def id(self) -> str:
        """The deployment's id."""
        return self.deployment.id


def is_protected(metadata: Mapping[str, str], target: Target) -> bool:
    """Whether the metadata carries every protecting pair (the Kubernetes operator's, say)."""
    wanted = target.protected_metadata
    return bool(wanted) and all(metadata.get(k) == v for k, v in wanted.items())


def our_services(view: DeploymentsView, target: Target) -> frozenset[str]:
    """Services our workers serve: those configured, and those registered at a worker's URL."""
    urls = {w.url for w in target.workers}
    at_workers = (d.services for d in view.items if normalise_url(d.url) in urls)
    return target.expected.union(*at_workers)


def owner_of(deployment: Deployment, ours: frozenset[str], target: Target) -> Owner:
    """``ours`` at a worker's URL, or when it serves only what our workers serve."""
    if is_protected(deployment.metadata, target):
        return "protected"
    if normalise_url(deployment.url) in {w.url for w in target.workers}:
        return "ours"
    return "ours" if deployment.services and set(deployment.services) <= ours else "foreign"


def classify(report: Report, target: Target, now: datetime) -> tuple[DeploymentFact, ...] | None:
    """Classify every registered deployment, or None when the list itself is unknown."""
    listed = report.view(Component.DEPLOYMENTS, DeploymentList, now)
    if not isinstance(listed, DeploymentsView):
        return None if listed is None else tuple(_listed(d) for d in listed.items)
    view = listed
    services = report.view(Component.SERVICES, ServicesView, now)
    scan = report.view(Component.INVOCATIONS, InvocationsView, now)
    drift = report.view(Component.DRIFT, DriftView, now)
    ours = our_services(view, target)
    return tuple(
        _fact(d, view, services, scan, drift, report, now, owner_of(d, ours, target))
        for d in view.items
    )


def _listed(deployment: ListedDeployment) -> DeploymentFact:
    """What is known of a deployment without knowing what it serves."""
    return DeploymentFact(
        deployment=deployment,
        state="unknown",
        owner="unknown",
        reachable="unknown",
        pinned=None,
        unpinned=None,
        state_age=timedelta(0),
    )


def _fact(  # noqa: PLR0917 - the views it is made from, each of which may be unknown
    deployment: Deployment,
    view: DeploymentsView,
    services: ServicesView | None,
    scan: InvocationsView | None,
    drift: DriftView | None,
    report: Report,
    now: datetime,
    owner: Owner,
) -> DeploymentFact:
    pinned, unpinned = (None, None) if scan is None else work_on(deployment, view, scan.groups)
    state = state_of(deployment.id, services, pinned, unpinned)
    found = drift.of(deployment.url) if drift else None
    seen = report.carried.states.get(deployment.id)
    since = seen.since if seen is not None and seen.value == state else now
    return DeploymentFact(
        deployment=deployment,
        state=state,
        owner=owner,
        reachable=found.reachable if found else "unknown",
        pinned=pinned,
        unpinned=unpinned,
        state_age=max(now - since, timedelta(0)),
    )


def only_here(deployment: Deployment, view: DeploymentsView) -> frozenset[str]:
    """The services that no other registered deployment offers."""
    elsewhere = {s for d in view.items if d.id != deployment.id for s in d.services}
    return frozenset(deployment.services) - elsewhere


def work_on(
    deployment: Deployment, view: DeploymentsView, groups: Iterable[InvocationGroup]
) -> tuple[int, int]:
    """Unfinished work pinned to a deployment, and unpinned work that only it could serve."""
    alone = only_here(deployment, view)
    active = [g for g in groups if g.active]
    pinned = sum(g.count for g in active if g.deployment_id == deployment.id)
    unpinned = sum(g.count for g in active if g.deployment_id is None and g.service in alone)
    return pinned, unpinned


def state_of(
    deployment_id: str, services: ServicesView | None, pinned: int | None, unpinned: int | None
) -> DeploymentState:
    """``active`` when latest for a service; else ``draining`` or ``drained``; unknown if unread."""
    if services is None:
        return "unknown"
    if any(s.deployment_id == deployment_id for s in services.items):
        return "active"
    if pinned is None or unpinned is None:
        return "unknown"
    return "draining" if pinned or unpinned else "drained"
