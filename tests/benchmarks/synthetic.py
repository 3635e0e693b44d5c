"""Made-up targets and reports with everything in them, for benchmarks and unit tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exporter.model.component import Component, Reason, Status
from exporter.model.heartbeat import Heartbeat, HeartbeatView
from exporter.model.report import Reading, Report
from exporter.model.target import DEFAULT_INTERVALS, Target, Worker
from exporter.model.views import (
    AdminView,
    Deployment,
    DeploymentsView,
    Discovery,
    DriftView,
    FailedRun,
    Handler,
    IngressView,
    InvocationGroup,
    InvocationsView,
    NodeView,
    Service,
    ServiceShape,
    ServicesView,
    View,
)

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "http://worker:9080/"


def target(name: str = "local", services: Iterable[str] = ("Orders", "Mail")) -> Target:
    """A target with one worker that should bring these services, and all components."""
    beat = Heartbeat("Pulse", "run", timedelta(hours=6), timedelta(seconds=30))
    return Target(
        name,
        workers=(Worker(URL, tuple(services)),),
        intervals={
            **DEFAULT_INTERVALS,
            Component.HEARTBEAT: timedelta(seconds=15),
            Component.NODE: timedelta(seconds=60),
        },
        heartbeat=beat,
    )


def views(
    services: Iterable[str] = ("Orders", "Mail"), at: datetime = START
) -> dict[Component, View]:
    """What a healthy environment shows: all services on one deployment, some work, one failure."""
    names = tuple(services)
    shapes = tuple(ServiceShape(n, "workflow", (Handler("run", "Workflow"),)) for n in names)
    deployment = Deployment("dp_new", URL, "http", at - timedelta(days=1), names)
    old = replace(deployment, id="dp_old", url="http://worker-old:9080/")
    groups = tuple(
        InvocationGroup("dp_new", n, "workflow", status, None, count, at - age, at - age / 2)
        for n in names
        for status, count, age in (
            ("invoked", 3, timedelta(minutes=5)),
            ("suspended", 2, timedelta(hours=1)),
            ("paused", 1, timedelta(minutes=10)),
            ("completed", 90, timedelta(days=1)),
        )
    )
    failed = FailedRun("inv_1", names[0], "k", "run", at, at, "[500] boom", 0)
    found = Discovery(URL, "http", "yes", "dp_new", latest=True)
    return {
        Component.INGRESS: IngressView(frozenset(names)),
        Component.ADMIN: AdminView("1.7.12"),
        Component.DEPLOYMENTS: DeploymentsView((old, deployment)),
        Component.SERVICES: ServicesView(tuple(Service(s, "dp_new", 1) for s in shapes)),
        Component.INVOCATIONS: InvocationsView(
            groups, (), frozenset({"dp_old", "dp_new"}), 0.2, failed_runs=(failed,)
        ),
        Component.DRIFT: DriftView((replace(found, discovered=shapes, registered=shapes),)),
        Component.HEARTBEAT: HeartbeatView(
            late=False, seconds=0.02, last_success_at=at - timedelta(hours=1)
        ),
        Component.NODE: NodeView(24, ()),
    }


def reading(target: Target, component: Component, view: View, at: datetime = START) -> Reading:
    """A good reading that took 20 ms."""
    return Reading(
        component,
        Status.OK,
        at,
        at + timedelta(milliseconds=20),
        target.intervals[component],
        latency_seconds=0.0125,
        view=view,
    )


def failure(
    target: Target,
    component: Component,
    reason: Reason = Reason.REFUSED,
    at: datetime = START,
    error: str = "refused",
) -> Reading:
    """A failed reading without an answer."""
    return Reading(
        component,
        reason.status,
        at,
        at + timedelta(milliseconds=5),
        target.intervals[component],
        reason=reason,
        error=error,
    )


def report(
    target: Target, at: datetime = START, seen: Mapping[Component, View] | None = None
) -> Report:
    """A report whose readings all began at ``at`` and are ok."""
    shown = views(at=at) if seen is None else seen
    return Report(target.name, {c: reading(target, c, view, at) for c, view in shown.items()})


def with_readings(before: Report, *readings: Reading) -> Report:
    """The report after these newer readings."""
    return replace(before, readings={**before.readings, **{r.component: r for r in readings}})
