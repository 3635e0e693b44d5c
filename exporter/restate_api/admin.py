"""Restate's admin API: what is registered, and registering.

Reads and writes as the REST routes have them; when to write is decided elsewhere. Routes for single
invocations are in ``lifecycle``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import quote

from exporter.model.component import Reason
from exporter.model.errors import CallFailedError
from exporter.model.views import Deployment, DeploymentsView, Service, ServiceShape, ServicesView
from exporter.restate_api.bodies import (
    ClusterHealth,
    DeploymentList,
    Registered,
    ServiceBody,
    ServiceList,
    Version,
    WholeDeployment,
    parse,
    shapes,
)
from exporter.restate_api.errors import discovery_failure, discovery_unfinished
from exporter.restate_api.registration import Registration
from exporter.transport import Answer, HttpClient

DISCOVERY_TIMEOUT = timedelta(seconds=20)
"""Restate gives up on a refusing endpoint after 2 s; on a silent one after 60 s (1.6.2) or never
within 100 s (1.7.12), so we give up first."""
_LIST_MAX_BYTES = 32 * 1024 * 1024
"""Services come with the JSON schemas of all their handlers."""
_DISCOVERY_REFUSED = (400, 409, 422, 500)
_GATEWAY_GAVE_UP = (502, 504)


@dataclass(frozen=True, slots=True)
class WholeRegistration:
    """One registered deployment with its services' shapes and what re-registering must send."""

    deployment: Deployment
    shapes: tuple[ServiceShape, ...]
    registration: Registration


@dataclass(frozen=True, slots=True)
class Discovered:
    """What ``POST /deployments`` answered. For a new URL a dry run's id is a throw-away one."""

    deployment_id: str
    shapes: tuple[ServiceShape, ...]
    created: bool
    """True for 201 (a new deployment), false for 200 (a known one)."""


@dataclass(frozen=True, slots=True)
class ServiceDetails:
    """A registered service and the settings a forced registration resets.

    ``settings`` has Restate's names and values, defaults included: only what differs before and
    after a registration was an override.
    """

    service: Service
    settings: Mapping[str, str | bool]


class Admin:
    """Speaks to ``{admin_url}``. Every method raises CallFailedError when there is no answer."""

    def __init__(
        self, http: HttpClient, *, discovery_timeout: timedelta = DISCOVERY_TIMEOUT
    ) -> None:
        self._http = http
        self._discovery_timeout = discovery_timeout

    async def health(self) -> None:
        """Return if the admin API answers; it does even while partitions are broken."""
        await self._http.request("GET", "/health")

    async def version(self) -> str:
        """The server's version."""
        return parse(Version, await self._http.request("GET", "/version")).version

    async def cluster_name(self) -> str | None:
        """The cluster's name; None on servers that no longer tell it (1.8 and later)."""
        answer = await self._http.request("GET", "/cluster-health", expect=(200, 404))
        gone = answer.status == HTTPStatus.NOT_FOUND
        return None if gone else parse(ClusterHealth, answer).cluster_name

    async def deployments(self) -> DeploymentsView:
        """Every registered deployment, in the server's order."""
        answer = await self._http.request("GET", "/deployments", max_bytes=_LIST_MAX_BYTES)
        return DeploymentsView(
            tuple(entry.deployment() for entry in parse(DeploymentList, answer).deployments)
        )

    async def deployment(self, deployment_id: str) -> WholeRegistration | None:
        """One deployment with its services' handlers; None when there is no such deployment."""
        answer = await self._http.request(
            "GET", f"/deployments/{segment(deployment_id)}", expect=(200, 404)
        )
        if _absent(answer):
            return None
        whole = parse(WholeDeployment, answer)
        return WholeRegistration(whole.deployment(), shapes(whole.services), whole.registration())

    async def services(self) -> ServicesView:
        """The latest revision of every registered service, by name."""
        answer = await self._http.request("GET", "/services", max_bytes=_LIST_MAX_BYTES)
        services = (body.service() for body in parse(ServiceList, answer).services)
        return ServicesView(tuple(sorted(services, key=lambda service: service.name)))

    async def get_service(self, name: str) -> ServiceDetails | None:
        """One registered service with its settings; None when there is no such service."""
        answer = await self._http.request("GET", f"/services/{segment(name)}", expect=(200, 404))
        return None if _absent(answer) else _details(answer)

    async def patch_service(self, name: str, settings: Mapping[str, str | bool]) -> ServiceDetails:
        """Write: change settings of a service, and return it as it is afterwards."""
        path = f"/services/{segment(name)}"
        return _details(await self._http.request("PATCH", path, json=dict(settings)))

    async def dry_run(self, registration: Registration) -> Discovered:
        """Discover an endpoint without registering it; changes nothing.

        Raises DiscoveryFailedError about the endpoint, CallFailedError about the admin API.
        """
        return await self._discover(registration, force=True, dry_run=True)

    async def register(self, registration: Registration, *, force: bool = True) -> Discovered:
        """Write: discover an endpoint and register it. Raises as ``dry_run`` does.

        With ``force`` false a known URL is answered before any discovery (restate-facts).
        """
        return await self._discover(registration, force=force, dry_run=False)

    async def delete_deployment(self, deployment_id: str, *, force: bool = True) -> bool:
        """Write: remove a deployment; false when there was none. Without ``force`` it answers 501.

        aiohttp repeats a DELETE once on a kept connection that turns out to be closed, so false
        can also mean that this very call removed it.
        """
        path = f"/deployments/{segment(deployment_id)}?force={str(force).lower()}"
        answer = await self._http.request("DELETE", path, expect=(200, 202, 404))
        return not _absent(answer)

    async def _discover(
        self, registration: Registration, *, force: bool, dry_run: bool
    ) -> Discovered:
        try:
            answer = await self._http.request(
                "POST",
                "/deployments",
                json=registration.body(force=force, dry_run=dry_run),
                timeout=self._discovery_timeout,
                max_bytes=_LIST_MAX_BYTES,
                expect=(200, 201, *_DISCOVERY_REFUSED),
            )
        except CallFailedError as error:
            slow = error.reason is Reason.TIMEOUT and error.sent
            if slow or error.http_status in _GATEWAY_GAVE_UP:
                raise discovery_unfinished(error) from error
            raise
        if answer.status in _DISCOVERY_REFUSED:
            raise discovery_failure(answer)
        found = parse(Registered, answer)
        return Discovered(
            found.id,
            shapes(found.services),
            created=answer.status == HTTPStatus.CREATED,
        )


def _details(answer: Answer) -> ServiceDetails:
    body = parse(ServiceBody, answer)
    return ServiceDetails(body.service(), body.settings())


def _absent(answer: Answer) -> bool:
    """Whether Restate itself says that there is no such thing; a proxy's 404 is a failed call."""
    if answer.status != HTTPStatus.NOT_FOUND:
        return False
    if not answer.headers.get("content-type", "").startswith("application/json"):
        raise answer.failure()
    return True


def segment(name: str) -> str:
    """One segment of a path, whatever a name holds."""
    if name in {"", ".", ".."}:
        raise CallFailedError(Reason.PROTOCOL, f"{name!r} cannot be asked for", sent=False)
    return quote(name, safe="")
