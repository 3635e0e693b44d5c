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
from exporter.remedies.remedy import RemedyContext


@dataclass(frozen=True, slots=True)
class Registered:
    """The registered deployments and services, read together just now."""

    deployments: DeploymentsView
    services: ServicesView

    def at(self, url: str) -> Deployment | None:
        """The deployment at a URL, compared the way the server normalises URLs.

        A URL copied from doctor, its user info redacted, finds the one that has user info there.
        """
        exact = (d for d in self.deployments.items if normalise_url(d.url) == url)
        as_shown = (d for d in self.deployments.items if shown(normalise_url(d.url)) == url)
        return next(exact, None) or next(as_shown, None)

    def latest(self, deployment: Deployment) -> bool:
        """Whether it is the latest for every service it lists."""
        return is_latest(deployment.id, deployment.services, self.services)

    def serves_any(self, deployment: Deployment) -> bool:
        """Whether it is the latest for at least one service."""
        return any(s.deployment_id == deployment.id for s in self.services.items)

    def foreign(self, deployment: Deployment, target: Target) -> bool:
        """Whether somebody else's: protected, or (where workers are known) not serving ours."""
        if is_protected(deployment.metadata, target):
            return True
        knows_ours = bool(target.workers or target.expected)
        ours = our_services(self.deployments, target)
        return knows_ours and owner_of(deployment, ours, target) == "foreign"


async def read_registered(context: RemedyContext) -> Registered:
    """Read deployments and services anew. CallFailedError means that both are unknown."""
    deployments = await context.api.admin.deployments()
    return Registered(deployments, await context.api.admin.services())


def url_of(request: Request, context: RemedyContext) -> str:
    """The URL an operation is about: the item's, the argument's, or the only worker's."""
    url = request.item_values.get("item.url") or request.arguments.get("url")
    if not url:
        workers = context.target.workers
        if len(workers) != 1:
            count = "no worker" if not workers else f"{len(workers)} workers"
            msg = f"target {context.target.name} has {count} configured: name the URL"
            raise RefusedError("url-missing", msg)
        url = workers[0].url
    return normalise_url(str(url))


def shown(url: str) -> str:
    """A URL as it may be shown and stored."""
    return redact_text(url)
