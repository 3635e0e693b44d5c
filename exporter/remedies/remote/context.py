"""What the remote remedies share: the means to ask, and what the other side lists right now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from exporter.model.component import Component, Reason
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.facts import stands_at
from exporter.model.operation import Request
from exporter.model.redact import REDACTED
from exporter.model.views import DeploymentList, InvocationSummary, ListedDeployment, ServiceList
from exporter.operator_api import Acknowledgement, OperatorApi, Told
from exporter.remedies.registered import shown
from exporter.remedies.remedy import TargetContext
from exporter.wire.operator import ServiceUrl

_V = TypeVar("_V")
_URL: TypeAdapter[str] = TypeAdapter(ServiceUrl)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteContext(TargetContext):
    """A target behind a remote operator API."""

    api: OperatorApi


@dataclass(frozen=True, slots=True)
class Listing:
    """The deployments and services that the other side lists."""

    deployments: DeploymentList
    services: ServiceList

    def at(self, url: str) -> ListedDeployment | None:
        """The deployment at a normalised URL; RefusedError when several look like it."""
        found = [d for d in self.deployments.items if stands_at(d.url, url)]
        if len(found) > 1:
            ids = ", ".join(d.id for d in found)
            raise RefusedError("url-ambiguous", f"{shown(url)} may be any of {ids}")
        return found[0] if found else None

    @property
    def rests_on(self) -> dict[str, Any]:
        """All that is registered: a difference means that somebody else is at work."""
        return {
            "deployments": {d.id: d.created_at.isoformat() for d in self.deployments.items},
            "services": dict(self.services.revisions),
        }

    @property
    def before(self) -> dict[str, Any]:
        """The same as people read it."""
        return {
            "deployments": {d.id: shown(d.url) for d in self.deployments.items},
            "services": dict(self.services.revisions),
        }


async def listing(context: RemoteContext) -> Listing:
    """Ask what is registered. CallFailedError: it cannot be known."""
    told = await context.api.doctor()
    return Listing(
        _view(told, Component.DEPLOYMENTS, DeploymentList),
        _view(told, Component.SERVICES, ServiceList),
    )


async def invocations(context: RemoteContext) -> InvocationSummary:
    """Ask what has failed lately. CallFailedError: it cannot be known."""
    return _view(await context.api.doctor(), Component.INVOCATIONS, InvocationSummary)


def _view(told: Mapping[Component, Told], component: Component, kind: type[_V]) -> _V:
    one = told[component]
    if not isinstance(one.view, kind):
        reason = one.reason or Reason.INTERNAL
        raise CallFailedError(reason, f"{component} is {one.status}: {one.error}")
    return one.view


def sendable(url: str, known: ListedDeployment | None) -> str:
    """The URL as the other side wants it: exactly as it lists it, where it does.

    A listed URL whose user info is hidden is sent as we know it. RefusedError for what it would not
    take for a URL.
    """
    text = url if known is None or REDACTED in known.url else known.url
    try:
        return _URL.validate_python(text)
    except ValidationError as error:
        msg = f"{shown(text)} is not a URL; write http://host:port/path"
        raise RefusedError("bad-argument", msg) from error


def why_of(request: Request) -> str:
    """Who asks and why, for the other side's records."""
    return f"{request.actor}: {request.reason}" if request.reason else request.actor


def told_after(answer: Acknowledgement) -> dict[str, Any]:
    """What is kept of an acknowledgement."""
    told = {
        "deploymentId": answer.deployment_id,
        "remoteOperationId": answer.operation_id,
        "remoteUnverified": answer.unverified,
    }
    return {name: value for name, value in told.items() if value}
