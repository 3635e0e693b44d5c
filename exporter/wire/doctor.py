"""The doctor answer of the operator recovery API: exactly the documented shape.

``error`` is always present on the three lists, and on ingress and admin when they are not ok.
Statuses are ``ok``, ``degraded`` and ``unreachable``; what was never read is ``degraded``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from exporter.model.component import Component, Status
from exporter.model.redact import redact_text
from exporter.model.report import Reading, Report
from exporter.model.views import (
    AdminView,
    DeploymentList,
    InvocationSummary,
    InvocationsView,
    ServiceList,
    ServicesView,
)
from exporter.wire.body import Answer, timestamp

WireStatus = Literal["ok", "degraded", "unreachable"]
RECENT_FAILURES = 20


def _absent(value: object) -> bool:
    return value is None


class IngressAnswer(Answer):
    """How the ingress answered."""

    status: WireStatus
    latency_ms: float | None
    error: str | None = Field(default=None, exclude_if=_absent)


class AdminAnswer(IngressAnswer):
    """How the admin API answered, and its version."""

    version: str | None = None


class DeploymentRow(Answer):
    """One registered deployment. ``serviceUrl`` is as the server stores it, user info redacted."""

    id: str
    service_url: str
    created_at: str


class ServiceRow(Answer):
    """One registered service."""

    name: str
    revision: int | None = Field(default=None, exclude_if=_absent)


class FailureRow(Answer):
    """One recent failure. ``serviceKey`` is null for a plain service."""

    id: str
    service_name: str
    service_key: str | None
    failed_at: str
    error_message: str


class DeploymentsAnswer(Answer):
    """The registered deployments."""

    status: WireStatus
    items: list[DeploymentRow] = Field(default=[])
    error: str | None = None


class ServicesAnswer(Answer):
    """The registered services."""

    status: WireStatus
    items: list[ServiceRow] = Field(default=[])
    error: str | None = None


class InvocationsAnswer(Answer):
    """Non-completed work by status, and the newest failures first."""

    status: WireStatus
    by_status: dict[str, int] = Field(default={})
    recent_failures: list[FailureRow] = Field(default=[], max_length=RECENT_FAILURES)
    error: str | None = None


class DoctorAnswer(Answer):
    """The five components, in the documented order."""

    ingress: IngressAnswer
    admin: AdminAnswer
    deployments: DeploymentsAnswer
    services: ServicesAnswer
    invocations: InvocationsAnswer


def doctor_answer(report: Report, *, now: datetime) -> DoctorAnswer:
    """Answer from the newest readings; a stale or missing one is ``degraded``, and says so."""
    ingress = _state(report, Component.INGRESS, now)
    admin = _state(report, Component.ADMIN, now)
    deployments = report.view(Component.DEPLOYMENTS, DeploymentList, now)
    services = report.view(Component.SERVICES, ServicesView, now) or report.view(
        Component.SERVICES, ServiceList, now
    )
    scan = report.view(Component.INVOCATIONS, InvocationsView, now) or report.view(
        Component.INVOCATIONS, InvocationSummary, now
    )
    version = report.view(Component.ADMIN, AdminView, now)
    return DoctorAnswer(
        ingress=IngressAnswer(
            status=ingress[0], error=ingress[1], latency_ms=_latency(report, Component.INGRESS)
        ),
        admin=AdminAnswer(
            status=admin[0],
            error=admin[1],
            latency_ms=_latency(report, Component.ADMIN),
            version=version.version if version else None,
        ),
        deployments=_deployments(deployments, *_state(report, Component.DEPLOYMENTS, now)),
        services=_services(services, *_state(report, Component.SERVICES, now)),
        invocations=_invocations(scan, *_state(report, Component.INVOCATIONS, now)),
    )


def _state(report: Report, component: Component, now: datetime) -> tuple[WireStatus, str | None]:
    reading = report.readings.get(component)
    match report.status(component, now):
        case Status.OK:
            return "ok", None
        case Status.UNREACHABLE:
            return "unreachable", _error(reading)
        case Status.DEGRADED:
            return "degraded", _error(reading)
        case _:
            return "degraded", "not read yet" if reading is None else "the newest reading is stale"


def _error(reading: Reading | None) -> str | None:
    if reading is None:
        return None
    return redact_text(reading.error or str(reading.reason))


def _latency(report: Report, component: Component) -> float | None:
    reading = report.readings.get(component)
    if reading is None or reading.latency_seconds is None:
        return None
    return round(reading.latency_seconds * 1000, 1)


def _deployments(
    view: DeploymentList | None, status: WireStatus, error: str | None
) -> DeploymentsAnswer:
    rows = [
        DeploymentRow(id=d.id, service_url=redact_text(d.url), created_at=timestamp(d.created_at))
        for d in (view.items if view else ())
    ]
    return DeploymentsAnswer(status=status, items=rows, error=error)


def _services(
    view: ServicesView | ServiceList | None, status: WireStatus, error: str | None
) -> ServicesAnswer:
    revisions = view.revisions if view else {}
    rows = [ServiceRow(name=name, revision=number) for name, number in revisions.items()]
    return ServicesAnswer(status=status, items=rows, error=error)


def _invocations(
    view: InvocationsView | InvocationSummary | None, status: WireStatus, error: str | None
) -> InvocationsAnswer:
    if view is None:
        return InvocationsAnswer(status=status, error=error)
    failures = [
        FailureRow(
            id=f.id,
            service_name=f.service,
            service_key=f.key,
            failed_at=timestamp(f.failed_at),
            error_message=redact_text(f.error),
        )
        for f in view.recent_failures[:RECENT_FAILURES]
    ]
    return InvocationsAnswer(
        status=status, by_status=dict(view.by_status), recent_failures=failures, error=error
    )
