"""What one successful probe saw: plain facts in Restate's own words, without secrets.

The adapters build these; findings are derived from them. Times are aware UTC.

A remote operator API tells less than a Restate does. What it leaves out is not in its views at
all (``DeploymentList``, ``ServiceList``, ``InvocationSummary``) or is None: unknown, never empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from exporter.model.heartbeat import HeartbeatView

ServiceType = Literal["service", "object", "workflow"]
Reachable = Literal["yes", "no", "unknown"]
DeploymentKind = Literal["http", "lambda"]
Cause = Literal["error", "killed", "cancelled"]
Result = Literal["success", "error", "killed", "cancelled"]
COMPLETED = "completed"
STATUSES = ("inboxed", "scheduled", "invoked", "suspended", "paused")
"""The non-completed words of ``sys_invocation_status`` (restate-facts, Invocations)."""


@dataclass(frozen=True, slots=True)
class IngressView:
    """``GET {ingress}/restate/health``: the service names the ingress would route to."""

    services: frozenset[str] | None
    """None where only that it answers is known."""


@dataclass(frozen=True, slots=True)
class AdminView:
    """``GET {admin}/version``, and the cluster's name where the server still tells it."""

    version: str | None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class ListedDeployment:
    """One registered deployment. ``url`` is exactly what the server returned (or the ARN)."""

    id: str
    url: str
    kind: DeploymentKind
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Deployment(ListedDeployment):
    """One registered deployment, with what it serves."""

    services: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    sdk_version: str | None = None


@dataclass(frozen=True, slots=True)
class DeploymentList:
    """The registered deployments; what they serve may be unknown."""

    items: tuple[ListedDeployment, ...]


@dataclass(frozen=True, slots=True)
class DeploymentsView(DeploymentList):
    """``GET /deployments``, in the server's order."""

    items: tuple[Deployment, ...]


@dataclass(frozen=True, slots=True, order=True)
class Handler:
    """A handler's name and its kind in Restate's word (``Exclusive``, ``Shared``, ``Workflow``)."""

    name: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class ServiceShape:
    """A service as discovery and registration both describe it: name, type, handlers by name."""

    name: str
    type: ServiceType
    handlers: tuple[Handler, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """One registered service: its newest revision and the deployment that serves it."""

    shape: ServiceShape
    deployment_id: str
    revision: int
    public: bool = True

    @property
    def name(self) -> str:
        """The service's name."""
        return self.shape.name


@dataclass(frozen=True, slots=True)
class ServiceList:
    """The names of the registered services, with their newest revisions where those are known."""

    revisions: Mapping[str, int | None]

    @property
    def names(self) -> frozenset[str]:
        """The names."""
        return frozenset(self.revisions)


@dataclass(frozen=True, slots=True)
class ServicesView:
    """``GET /services``: the latest revision of each registered service."""

    items: tuple[Service, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names."""
        return frozenset(s.name for s in self.items)

    @property
    def revisions(self) -> Mapping[str, int | None]:
        """The revision of each, by name, in the server's order."""
        return {s.name: s.revision for s in self.items}

    def get(self, name: str) -> Service | None:
        """The registered service of that name, if there is one."""
        return next((s for s in self.items if s.name == name), None)


@dataclass(frozen=True, slots=True)
class InvocationGroup:
    """One row of the grouped scan over ``sys_invocation_status``."""

    deployment_id: str | None
    service: str
    service_type: ServiceType
    status: str
    result: str | None
    count: int
    oldest_created_at: datetime
    oldest_modified_at: datetime

    @property
    def active(self) -> bool:
        """Whether these invocations are not completed (an unknown status counts as active)."""
        return self.status != COMPLETED


@dataclass(frozen=True, slots=True)
class RecentFailure:
    """A completed invocation that failed, for the doctor's list (newest ``modified_at`` first)."""

    id: str
    service: str
    key: str | None
    failed_at: datetime
    error: str


def cause_of(failure: str) -> Cause:
    """``killed`` and ``cancelled`` are failures with these messages, not statuses."""
    match failure:
        case "[409] killed":
            return "killed"
        case "[409] cancelled" | "[409] canceled":
            return "cancelled"
        case _:
            return "error"


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A workflow invocation that completed with a failure."""

    id: str
    service: str
    key: str
    handler: str
    created_at: datetime
    completed_at: datetime
    error: str
    active_siblings: int
    """Non-completed invocations of the same workflow key."""

    @property
    def cause(self) -> Cause:
        """Why it failed."""
        return cause_of(self.error)


@dataclass(frozen=True, slots=True)
class InvocationItem:
    """One invocation a policy may look at: paused, retrying, a zombie, or completed."""

    id: str
    service: str
    service_type: ServiceType
    key: str | None
    handler: str
    deployment_id: str | None
    created_at: datetime
    modified_at: datetime
    retries: int = 0
    error_code: str = ""
    error: str = ""
    paused_by: Literal["retries", "manual", "unknown"] = "unknown"
    result: Result | None = None
    """How it completed; None while it has not."""


@dataclass(frozen=True, slots=True)
class InvocationsView:
    """What one scan round saw. A list that was cut has its ``…_complete`` false."""

    groups: tuple[InvocationGroup, ...]
    recent_failures: tuple[RecentFailure, ...]
    known_deployments: frozenset[str] | None
    """Ids listed right after the scan: what is pinned to another is a zombie. None: unknown. Not
    asked for, and empty, when nothing unfinished is pinned."""
    scan_seconds: float
    failed_runs: tuple[FailedRun, ...] = ()
    failed_runs_complete: bool = True
    paused: tuple[InvocationItem, ...] = ()
    retrying: tuple[InvocationItem, ...] = ()
    zombies: tuple[InvocationItem, ...] = ()
    completed: tuple[InvocationItem, ...] | None = None
    """None: nobody asked for them, so nothing is known of them."""
    items_complete: bool = True
    retrying_count: int = 0
    journal_mismatch_count: int = 0
    failures_24h: int = 0
    """Invocations that completed with a failure within the last day, by the server's clock."""

    @property
    def by_status(self) -> Mapping[str, int]:
        """Unfinished invocations by status; one that is absent has none."""
        counts: dict[str, int] = {}
        for group in self.groups:
            if group.active:
                counts[group.status] = counts.get(group.status, 0) + group.count
        return counts

    def count(self, status: str) -> int | None:
        """How many unfinished invocations have this status."""
        return self.by_status.get(status, 0)


@dataclass(frozen=True, slots=True)
class InvocationSummary:
    """What a doctor call of a remote operator API tells of invocations."""

    by_status: Mapping[str, int]
    """Unfinished invocations by status, in the other side's words."""
    recent_failures: tuple[RecentFailure, ...]
    """Newest first."""
    complete: bool
    """Whether no older failure was left out of the list."""

    def count(self, status: str) -> int | None:
        """How many have this status; None when the other side may call it something else.

        An absent status is 0 only where all that is listed are words we know.
        """
        if status in self.by_status or self.by_status.keys() <= set(STATUSES):
            return self.by_status.get(status, 0)
        return None

    def hides(self, failed_at: datetime) -> bool:
        """Whether a failure of that moment could be absent only because the list was cut."""
        oldest = min((f.failed_at for f in self.recent_failures), default=None)
        return not self.complete and (oldest is None or failed_at <= oldest)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a dry-run discovery of one endpoint answered, beside what was registered just then."""

    url: str
    kind: DeploymentKind
    reachable: Reachable
    deployment_id: str | None
    """The deployment registered under this URL when it was discovered."""
    latest: bool
    """Whether that deployment was the latest for every service it serves."""
    discovered: tuple[ServiceShape, ...] = ()
    registered: tuple[ServiceShape, ...] = ()
    """What the discovery is compared with (see ``model.drift``)."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class DriftView:
    """Each worker and each registered, unprotected deployment, discovered once."""

    discoveries: tuple[Discovery, ...]

    def of(self, url: str) -> Discovery | None:
        """The discovery of a (normalised) URL, if it was tried."""
        return next((d for d in self.discoveries if d.url == url), None)


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one node's own metrics say of the partitions it should run."""

    partitions: int
    """In the whole cluster."""
    blocked: tuple[str, ...]
    """Those that this node cannot run, with why (``3: ahead_of_log``)."""


View = (
    IngressView
    | AdminView
    | DeploymentList
    | ServiceList
    | ServicesView
    | InvocationSummary
    | InvocationsView
    | DriftView
    | HeartbeatView
    | NodeView
)
