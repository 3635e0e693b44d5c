"""Restate's JSON bodies, as far as we read them, and how they become facts.

Unknown fields are ignored, so that a newer server does no harm; a missing or mistyped one makes the
whole answer a ``bad_body``, so that it never looks like "nothing there". Validation errors hide
what they saw: deployment headers come in clear text (restate-facts, Deployments).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from exporter.model.views import (
    Deployment,
    DeploymentKind,
    Handler,
    Service,
    ServiceShape,
    ServiceType,
)
from exporter.restate_api.registration import Registration
from exporter.transport import Answer

_SERVICE_TYPES = MappingProxyType(
    {
        "Service": "service",
        "VirtualObject": "object",
        "Workflow": "workflow",
        "virtual_object": "object",  # as the SQL tables spell it
    }
)
"""The admin API, the SQL tables and the discovery protocol each spell them differently."""


def _service_type(word: object) -> object:
    return _SERVICE_TYPES.get(word, word) if isinstance(word, str) else word


AnyServiceType = Annotated[ServiceType, BeforeValidator(_service_type)]
PathSafe = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,100}$")]
"""An identifier that can stand in a URL path as it is."""

B = TypeVar("B", bound="Body")


class Body(BaseModel):
    """What every body has in common."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


def parse(kind: type[B], answer: Answer) -> B:
    """Read an answer as ``kind``; ``bad_body`` naming the first field that does not fit."""
    try:
        return kind.model_validate_json(answer.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise answer.bad_body(f"not what Restate sends: {place}: {first['msg']}") from error


class HandlerBody(Body):
    """One handler of a service; a plain service's handlers have no ``ty``."""

    name: str
    ty: str | None = None


class ServiceBody(Body):
    """One service, as ``/services``, ``/deployments/{id}`` and a discovery describe it."""

    name: str
    ty: AnyServiceType
    handlers: list[HandlerBody]
    deployment_id: PathSafe
    revision: int
    public: bool = True
    idempotency_retention: str | None = None
    workflow_completion_retention: str | None = None
    journal_retention: str | None = None
    inactivity_timeout: str | None = None
    abort_timeout: str | None = None

    def shape(self) -> ServiceShape:
        """Name, type and handlers; servers list handlers in any order, so they are sorted."""
        handlers = sorted(Handler(h.name, h.ty or "") for h in self.handlers)
        return ServiceShape(self.name, self.ty, tuple(handlers))

    def service(self) -> Service:
        """The fact a ServicesView holds."""
        return Service(self.shape(), self.deployment_id, self.revision, public=self.public)

    def settings(self) -> dict[str, str | bool]:
        """What ``PATCH /services/{name}`` can change, in its words; absent where not set."""
        told: dict[str, str | bool | None] = {
            "public": self.public,
            "idempotency_retention": self.idempotency_retention,
            "workflow_completion_retention": self.workflow_completion_retention,
            "journal_retention": self.journal_retention,
            "inactivity_timeout": self.inactivity_timeout,
            "abort_timeout": self.abort_timeout,
        }
        return {name: value for name, value in told.items() if value is not None}


def shapes(services: list[ServiceBody]) -> tuple[ServiceShape, ...]:
    """Their shapes by name: the server's order changes from call to call."""
    return tuple(sorted((service.shape() for service in services), key=lambda shape: shape.name))


class ServiceRevision(Body):
    """A service as the list of deployments names it."""

    name: str


class _AnyDeployment(Body):
    """What HTTP and Lambda deployments, listed or alone, have in common."""

    id: PathSafe
    uri: str | None = None
    arn: str | None = None
    assume_role_arn: str | None = None
    http_version: str | None = None
    additional_headers: dict[str, str] | None = Field(default=None, repr=False)
    metadata: dict[str, str] | None = None
    auth: dict[str, Any] | None = Field(default=None, repr=False)
    created_at: AwareDatetime
    sdk_version: str | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.uri is None) == (self.arn is None):
            raise ValueError("a deployment has either a uri or an arn")
        return self

    def place(self) -> tuple[str, DeploymentKind]:
        """The URL or ARN, and which of the two it is."""
        if self.arn is not None:
            return self.arn, "lambda"
        return self.uri or "", "http"

    def registration(self) -> Registration:
        """Everything that must be sent again when this deployment is registered again."""
        url, kind = self.place()
        return Registration(
            url=url,
            kind=kind,
            additional_headers=self.additional_headers or {},
            metadata=self.metadata or {},
            auth=self.auth,
            use_http_11=kind == "http" and (self.http_version or "").startswith("HTTP/1"),
            assume_role_arn=self.assume_role_arn,
        )

    def _deployment(self, services: list[str]) -> Deployment:
        url, kind = self.place()
        return Deployment(
            id=self.id,
            url=url,
            kind=kind,
            created_at=self.created_at,
            services=tuple(sorted(services)),  # the server's order changes from call to call
            metadata=self.metadata or {},
            sdk_version=self.sdk_version,
        )


class ListedDeployment(_AnyDeployment):
    """One entry of ``GET /deployments``."""

    services: list[ServiceRevision]

    def deployment(self) -> Deployment:
        """The fact a DeploymentsView holds."""
        return self._deployment([service.name for service in self.services])


class WholeDeployment(_AnyDeployment):
    """``GET /deployments/{id}``: with whole services."""

    services: list[ServiceBody]

    def deployment(self) -> Deployment:
        """The fact a DeploymentsView holds."""
        return self._deployment([service.name for service in self.services])


class DeploymentList(Body):
    """``GET /deployments``."""

    deployments: list[ListedDeployment]


class ServiceList(Body):
    """``GET /services``."""

    services: list[ServiceBody]


class Registered(Body):
    """``POST /deployments``: what was registered, or with ``dry_run`` what would be."""

    id: PathSafe
    services: list[ServiceBody]


class Version(Body):
    """``GET /version``."""

    version: str


class ClusterHealth(Body):
    """``GET /cluster-health``, gone in Restate 1.8."""

    cluster_name: str


class IngressHealth(Body):
    """``GET {ingress}/restate/health``."""

    services: list[str]
