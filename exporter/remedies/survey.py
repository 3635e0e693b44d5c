"""One full read for a cleanup: what is kept, what it replaced, and what is never touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exporter.model.deployments import (
    DeploymentState,
    our_services,
    owner_of,
    state_of,
    work_on,
)
from exporter.model.errors import RefusedError
from exporter.model.target import Target, Worker, normalise_url
from exporter.model.views import Deployment
from exporter.remedies.registered import Registered, knows_ours, read_registered, shown
from exporter.remedies.remedy import RemedyContext


@dataclass(frozen=True, slots=True)
class Survey:
    """What is registered, and the state of every deployment that may be deleted."""

    registered: Registered
    keep: Deployment
    states: Mapping[str, DeploymentState]
    """By id: ours, at no worker's URL, the latest for nothing, and not the one to keep."""
    skipped: Mapping[str, str]
    """By id: why another one is never touched."""

    def in_state(self, state: DeploymentState) -> list[str]:
        """The ids in a state, longest registered first."""
        born = {d.id: d.created_at for d in self.registered.deployments.items}
        return sorted((i for i, s in self.states.items() if s == state), key=lambda i: born[i])


async def survey_around(context: RemedyContext, url: str) -> Survey:
    """Read everything anew. RefusedError when what stands at the URL is not what is to be kept."""
    registered = await read_registered(context)
    keep = registered.at(url)
    if keep is None:
        msg = f"no deployment is registered at {shown(url)}: run doctor and copy the URL"
        raise RefusedError("deployment-not-found", msg)
    if not registered.latest(keep):
        msg = f"{shown(url)} is not the latest for all its services, so it is not the one to keep"
        raise RefusedError("not-latest", msg)
    groups = (await context.api.invocations.scan()).groups
    states: dict[str, DeploymentState] = {}
    skipped: dict[str, str] = {}
    for deployment in registered.deployments.items:
        if deployment.id == keep.id:
            continue
        reason = untouchable(deployment, registered, keep, context.target)
        if reason is not None:
            skipped[deployment.id] = reason
            continue
        pinned, unpinned = work_on(deployment, registered.deployments, groups)
        states[deployment.id] = state_of(deployment.id, registered.services, pinned, unpinned)
    return Survey(registered, keep, states, skipped)


def untouchable(
    deployment: Deployment, registered: Registered, keep: Deployment, target: Target
) -> str | None:
    """Why a deployment must not be deleted whatever work it has; None when it may be.

    Ours is what the configuration says; where that names nothing, what ``keep`` serves.
    """
    if not knows_ours(target):
        target = replace(target, workers=(Worker(normalise_url(keep.url)),))
    owner = owner_of(deployment, our_services(registered.deployments, target), target)
    if owner != "ours":
        return owner
    if registered.serves_any(deployment):
        return "latest for a service"
    if normalise_url(deployment.url) in {worker.url for worker in target.workers}:
        return "at a worker's URL"
    return None
