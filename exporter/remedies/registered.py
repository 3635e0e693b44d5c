"""Reading what is registered at a URL, and the questions both deployment remedies ask about it."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model.deployments import is_protected, our_services, owner_of
from exporter.model.errors import RefusedError
from exporter.model.facts import is_latest
from exporter.model.operation import Request
from exporter.model.redact import redact_text
from exporter.model.target import Target, normalise_url
from exporter.model.views import Deployment, DeploymentsView, ServicesView
from exporter.remedies.remedy import RemedyContext, TargetContext


@dataclass(frozen=True, slots=True)
class Registered:
    """The registered deployments and services, read together just now."""

    deployments: DeploymentsView
    services: ServicesView

    def at(self, url: str) -> Deployment | None:
        """The deployment at a URL, compared the way the server normalises URLs.

        A URL copied from doctor, its user info redacted, finds the one that has user info there;
        RefusedError when several do.
        """
        for deployment in self.deployments.items:
            if normalise_url(deployment.url) == url:
                return deployment
        as_shown = [d for d in self.deployments.items if shown(normalise_url(d.url)) == url]
        if len(as_shown) > 1:
            ids = ", ".join(d.id for d in as_shown)
            msg = f"{url} may be any of {ids}: write the URL with its user info"
            raise RefusedError("url-ambiguous", msg)
        return as_shown[0] if as_shown else None

    def get(self, deployment_id: str) -> Deployment | None:
        """The deployment of that id, if it is still there."""
        return next((d for d in self.deployments.items if d.id == deployment_id), None)

    def latest(self, deployment: Deployment) -> bool:
        """Whether it is the latest for every service it lists."""
        return is_latest(deployment.id, deployment.services, self.services)

    def serves_any(self, deployment: Deployment) -> bool:
        """Whether it is the latest for at least one service."""
        return any(s.deployment_id == deployment.id for s in self.services.items)

    def foreign(
        self, deployment: Deployment, target: Target, *, ours: frozenset[str] = frozenset()
    ) -> bool:
        """Whether somebody else's: protected, or (where workers are known) not serving ours.

        ``ours`` are services known to be ours beside those the target tells of.
        """
        if is_protected(deployment.metadata, target):
            return True
        known = our_services(self.deployments, target) | ours
        return knows_ours(target) and owner_of(deployment, known, target) == "foreign"


async def read_registered(context: RemedyContext) -> Registered:
    """Read deployments and services anew. CallFailedError means that both are unknown."""
    deployments = await context.api.admin.deployments()
    return Registered(deployments, await context.api.admin.services())


def knows_ours(target: Target) -> bool:
    """Whether the configuration says anything about what is ours on this target."""
    return bool(target.workers or target.expected)


def url_of(request: Request, context: TargetContext) -> str:
    """The URL an operation is about: the item's, the argument's, or the only worker's."""
    url = request.item_values.get("item.url") or request.arguments.get("url")
    if not url:
        workers = context.target.workers
        if len(workers) != 1:
            known = ", ".join(shown(worker.url) for worker in workers)
            have = f"several workers, name one: {known}" if known else "no worker: name the URL"
            msg = f"target {context.target.name} has {have}"
            raise RefusedError("url-missing", msg)
        url = workers[0].url
    return normalise_url(str(url))


def shown(url: str) -> str:
    """A URL as it may be shown and stored."""
    return redact_text(url)
