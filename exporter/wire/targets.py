"""Targets as JSON: how each component is now, and what is known of what is behind it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component, Reason, Status, worst
from exporter.model.deployments import DeploymentFact, DeploymentState, Owner
from exporter.model.derive import derive
from exporter.model.drift import Drift
from exporter.model.duration import format_duration
from exporter.model.findings import WorkerFact
from exporter.model.redact import redact_text
from exporter.model.report import Report
from exporter.model.target import Target, TargetKind
from exporter.model.views import Reachable
from exporter.wire.body import Answer, facts, moment, timestamp
from exporter.wire.doctor import DoctorAnswer, doctor_answer


class ComponentBody(Answer):
    """One component. ``unknown``: there is no fresh reading; what the last one said is kept out."""

    component: Component
    status: Status
    reason: Reason | None
    error: str | None
    latency_ms: float | None
    read_at: str | None
    """When the newest reading began."""
    interval: str
    """How often it is read."""


class TargetBody(Answer):
    """One target. ``status`` is its worst component's."""

    name: str
    kind: TargetKind
    labels: dict[str, str]
    status: Status
    components: tuple[ComponentBody, ...]
    operation: str | None
    """The operation that is open on it."""


class TargetsAnswer(Answer):
    """The configured targets, by name."""

    targets: tuple[TargetBody, ...]
    next_cursor: str | None = None


class DriftBody(Answer):
    """What a worker offers, compared with what is registered: ``Svc`` or ``Svc/handler``."""

    added: tuple[str, ...]
    dropped: tuple[str, ...]
    changed: tuple[str, ...]
    type_changed: tuple[str, ...]


class WorkerBody(Answer):
    """One configured worker; null is unknown."""

    url: str
    reachable: Reachable
    deployment_id: str | None
    registered: bool | None
    latest: bool | None
    stable: bool | None
    missing: tuple[str, ...] | None
    drift: DriftBody | None
    error: str


class DeploymentBody(Answer):
    """One registered deployment, classified; null is unknown."""

    id: str
    service_url: str
    created_at: str
    state: DeploymentState
    state_for: str
    """For how long it has been seen in this state."""
    owner: Owner
    reachable: Reachable
    pinned: int | None
    unpinned: int | None


class TargetDetail(TargetBody):
    """One target with everything that is known of it. What is unknown is null, or absent."""

    expected_services: tuple[str, ...]
    doctor: DoctorAnswer
    """The same as the operator API's doctor, from the newest readings."""
    workers: tuple[WorkerBody, ...]
    deployments: tuple[DeploymentBody, ...] | None
    values: dict[str, Any]
    """The variables that conditions see, those that are known."""


class CheckAnswer(Answer):
    """What a check read. ``waiting`` is not empty when it was answered before all was read."""

    read: tuple[Component, ...]
    waiting: tuple[Component, ...]
    kept: tuple[Component, ...]
    """Not due yet, to spare the server: its last reading stands."""
    target: TargetDetail


def target_body(
    target: Target, report: Report, *, now: datetime, operation: str | None
) -> TargetBody:
    """One target in short."""
    return TargetBody(**_fields(target, report, now, operation))


def target_detail(
    target: Target, report: Report, *, now: datetime, operation: str | None
) -> TargetDetail:
    """One target with its findings."""
    findings = derive(report, target, now=now)
    return TargetDetail(
        **_fields(target, report, now, operation),
        expected_services=tuple(sorted(target.expected)),
        doctor=doctor_answer(report, now=now),
        workers=tuple(_worker(worker) for worker in findings.workers),
        deployments=_deployments(findings.deployments),
        values=facts(findings.values),
    )


def overall(target: Target, report: Report, now: datetime) -> Status:
    """The status of the worst component that is probed."""
    return worst(report.status(component, now) for component in target.intervals)


def _fields(target: Target, report: Report, now: datetime, operation: str | None) -> dict[str, Any]:
    return {
        "name": target.name,
        "kind": target.kind,
        "labels": dict(target.labels),
        "status": overall(target, report, now),
        "components": tuple(
            _component(component, interval, report, now)
            for component, interval in target.intervals.items()
        ),
        "operation": operation,
    }


def _component(
    component: Component, interval: timedelta, report: Report, now: datetime
) -> ComponentBody:
    status, reading = report.status(component, now), report.readings.get(component)
    stale = reading is None or status is Status.UNKNOWN
    latency = None if reading is None or stale else reading.latency_seconds
    return ComponentBody(
        component=component,
        status=status,
        reason=None if reading is None or stale else reading.reason,
        error=None if reading is None or stale else _redacted(reading.error),
        latency_ms=None if latency is None else round(latency * 1000, 1),
        read_at=moment(reading.started_at if reading else None),
        interval=format_duration(interval),
    )


def _redacted(text: str | None) -> str | None:
    return None if text is None else redact_text(text)


def _worker(worker: WorkerFact) -> WorkerBody:
    return WorkerBody(
        url=redact_text(worker.url),
        reachable=worker.reachable,
        deployment_id=worker.deployment_id,
        registered=worker.registered,
        latest=worker.latest,
        stable=worker.stable,
        missing=worker.missing,
        drift=_drift(worker.drift),
        error=redact_text(worker.error),
    )


def _drift(drift: Drift | None) -> DriftBody | None:
    if drift is None:
        return None
    return DriftBody(
        added=drift.added,
        dropped=drift.dropped,
        changed=drift.changed,
        type_changed=drift.type_changed,
    )


def _deployments(
    found: Iterable[DeploymentFact] | None,
) -> tuple[DeploymentBody, ...] | None:
    if found is None:
        return None
    return tuple(
        DeploymentBody(
            id=fact.id,
            service_url=redact_text(fact.deployment.url),
            created_at=timestamp(fact.deployment.created_at),
            state=fact.state,
            state_for=format_duration(fact.state_age),
            owner=fact.owner,
            reachable=fact.reachable,
            pinned=fact.pinned,
            unpinned=fact.unpinned,
        )
        for fact in found
    )
