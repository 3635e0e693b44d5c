"""From a report and what the user expects to findings: pure, in one pass, unknown kept unknown."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component, Status
from exporter.model.deployments import DeploymentFact, classify
from exporter.model.facts import failed_keys, total_drift, worker_fact
from exporter.model.findings import NEVER, ComponentState, Findings, Item, Tally, WorkerFact
from exporter.model.heartbeat import HeartbeatView
from exporter.model.items import (
    deployment_item,
    failed_item,
    failure_item,
    invocation_item,
    worker_item,
)
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.model.values import (
    always,
    deployment_values,
    drift_values,
    heartbeat_values,
    invocation_values,
    service_values,
    summary_values,
    worker_values,
)
from exporter.model.views import (
    AdminView,
    DriftView,
    FailedRun,
    IngressView,
    InvocationSummary,
    InvocationsView,
    NodeView,
    ServiceList,
    ServicesView,
)

_NO_TALLY = Tally()


def derive(report: Report, target: Target, *, now: datetime, tally: Tally = _NO_TALLY) -> Findings:
    """Derive what is known about a target now; ``tally`` counts earlier operations on items."""
    components = {c: _component(report, target, c, now) for c in Component}
    ingress = report.view(Component.INGRESS, IngressView, now)
    admin = report.view(Component.ADMIN, AdminView, now)
    services = report.view(Component.SERVICES, ServicesView, now)
    names = services or report.view(Component.SERVICES, ServiceList, now)
    scan = report.view(Component.INVOCATIONS, InvocationsView, now)
    summary = report.view(Component.INVOCATIONS, InvocationSummary, now)
    drift = report.view(Component.DRIFT, DriftView, now)
    heartbeat = report.view(Component.HEARTBEAT, HeartbeatView, now)
    node = report.view(Component.NODE, NodeView, now)
    deployments = classify(report, target, now)
    workers = tuple(
        worker_fact(w, target, deployments, names, drift, report.carried) for w in target.workers
    )
    failed = None if scan is None else failed_keys(scan, services)
    total = None if drift is None else total_drift(drift, target)

    values: dict[str, Any] = dict(always(target, components))
    if admin is not None and admin.version is not None:
        values["admin.version"] = admin.version
    values |= service_values(target, services, names, ingress)
    values |= worker_values(workers, deployments, drift)
    values |= deployment_values(deployments, services, scan, drift)
    if drift is not None and total is not None:
        values |= drift_values(total, drift, target, report.carried)
    if scan is not None and failed is not None:
        values |= invocation_values(scan, failed, now)
    if summary is not None:
        values |= summary_values(summary)
    if heartbeat is not None:
        values |= heartbeat_values(heartbeat, now)
    if node is not None:
        values["node.partitions_blocked"] = len(node.blocked)
    items = _items(workers, deployments, failed, scan, services, tally, now)
    if summary is not None:
        keyed = [failure_item(f, tally, now) for f in summary.recent_failures if f.key is not None]
        newest = {item.key: item for item in reversed(keyed)}  # a key may have failed repeatedly
        items["workflows.failed"] = tuple(newest.values())

    return Findings(
        target=target,
        at=now,
        components=components,
        values=values,
        items=items,
        workers=workers,
        deployments=deployments,
        drift=total,
        services=services,
        invocations=scan or summary,
        admin=admin,
        heartbeat=heartbeat,
        node=node,
        failed_keys=None if failed is None else Counter(r.service for r in failed),
    )


def _component(
    report: Report, target: Target, component: Component, now: datetime
) -> ComponentState:
    if component not in target.intervals:
        return ComponentState(Status.OFF, None, NEVER, None)
    reading = report.readings.get(component)
    if reading is None:
        return ComponentState(Status.UNKNOWN, None, NEVER, None)
    age = max(reading.age(now), timedelta(0))
    if not reading.fresh(now):
        return ComponentState(Status.UNKNOWN, None, age, None)
    return ComponentState(
        reading.status, reading.reason, age, reading.latency_seconds, reading.retry_after
    )


def _items(  # noqa: PLR0917 - the facts they are made from, each of which may be unknown
    workers: tuple[WorkerFact, ...],
    deployments: tuple[DeploymentFact, ...] | None,
    failed: list[FailedRun] | None,
    scan: InvocationsView | None,
    services: ServicesView | None,
    tally: Tally,
    now: datetime,
) -> dict[str, tuple[Item, ...] | None]:
    """The items of every ``for_each`` kind; None where the list is unknown."""
    items: dict[str, tuple[Item, ...] | None] = {
        "workers": tuple(worker_item(w) for w in workers),
        "deployments": None,
        "workflows.failed": None,
    }
    if deployments is not None:
        items["deployments"] = tuple(deployment_item(d, now) for d in deployments)
    if failed is not None:
        items["workflows.failed"] = tuple(failed_item(r, tally, now) for r in failed)
    for name in ("paused", "retrying", "zombies", "completed"):
        unknown = scan is None or (name == "zombies" and scan.known_deployments is None)
        rows = None if unknown else getattr(scan, name)
        items[f"invocations.{name}"] = (
            None
            if rows is None
            else tuple(invocation_item(name, row, services, tally, now) for row in rows)
        )
    return items
