"""The CEL variables of one target, bound only where every component they rest on is known.

One function a component family; the catalogue with types and texts is in ``variables``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from exporter.model.component import Component
from exporter.model.deployments import DeploymentFact
from exporter.model.drift import Drift
from exporter.model.facts import age_of, counted, is_stable
from exporter.model.findings import ComponentState, WorkerFact
from exporter.model.heartbeat import HeartbeatView
from exporter.model.report import Carried
from exporter.model.target import Target
from exporter.model.views import (
    STATUSES,
    DriftView,
    FailedRun,
    IngressView,
    InvocationSummary,
    InvocationsView,
    ServiceList,
    ServicesView,
)


def always(
    target: Target, components: dict[Component, ComponentState]
) -> Iterator[tuple[str, Any]]:
    """Statuses, reasons and ages are bound whatever happens."""
    yield "target.name", target.name
    yield "target.kind", target.kind
    yield "target.labels", dict(target.labels)
    for component, state in components.items():
        yield f"{component}.status", str(state.status)
        yield f"{component}.reason", str(state.reason or "")
        yield f"{component}.age", state.age


def service_values(
    target: Target,
    services: ServicesView | None,
    names: ServicesView | ServiceList | None,
    ingress: IngressView | None,
) -> dict[str, Any]:
    """What is registered, missing, and not shown by the ingress."""
    if names is None:
        return {}
    values = {
        "services.registered": sorted(names.names),
        "services.missing": sorted(target.expected - names.names),
    }
    if services is not None and ingress is not None and ingress.services is not None:
        public = {s.name for s in services.items if s.public}
        values["services.unexposed"] = sorted(public - ingress.services)
    return values


def drift_values(
    total: Drift, drift: DriftView, target: Target, carried: Carried
) -> dict[str, Any]:
    """The drift of everything that counts."""
    return {
        "drift.added": list(total.added),
        "drift.dropped": list(total.dropped),
        "drift.changed": list(total.changed),
        "drift.type_changed": list(total.type_changed),
        "drift.stable": all(is_stable(d, carried) for d in counted(drift, target)),
    }


def worker_values(
    workers: tuple[WorkerFact, ...],
    deployments: tuple[DeploymentFact, ...] | None,
    drift: DriftView | None,
) -> dict[str, Any]:
    """Workers that are not registered, or dead."""
    values: dict[str, Any] = {}
    if deployments is not None:
        values["workers.unregistered"] = sorted(w.url for w in workers if not w.registered)
    if drift is not None:
        values["workers.unreachable"] = sorted(w.url for w in workers if w.reachable == "no")
    return values


def deployment_values(
    deployments: tuple[DeploymentFact, ...] | None,
    services: ServicesView | None,
    scan: InvocationsView | None,
    drift: DriftView | None,
) -> dict[str, Any]:
    """Deployment ids by state and owner."""
    if deployments is None:
        return {}
    values: dict[str, Any] = {"deployments.registered": sorted(d.id for d in deployments)}
    if all(d.owner != "unknown" for d in deployments):
        values |= {
            f"deployments.{owner}": sorted(d.id for d in deployments if d.owner == owner)
            for owner in ("foreign", "protected")
        }
    states = ("active",) if scan is None else ("active", "draining", "drained")
    if services is not None:
        for state in states:
            values[f"deployments.{state}"] = sorted(d.id for d in deployments if d.state == state)
        if scan is not None and drift is not None:
            values["deployments.ghost"] = sorted(
                d.id for d in deployments if d.state == "draining" and d.reachable == "no"
            )
    return values


def invocation_values(
    scan: InvocationsView, failed: list[FailedRun], now: datetime
) -> dict[str, Any]:
    """Counts and ages of unfinished work, and failed keys."""
    counts = Counter[str]()
    for group in scan.groups:
        counts[group.status] += group.count
    active = [g.oldest_created_at for g in scan.groups if g.active and g.status != "scheduled"]
    paused = [g.oldest_modified_at for g in scan.groups if g.status == "paused"]
    zombies = zombie_count(scan)
    known = {} if zombies is None else {"invocations.zombies": zombies}
    return {
        **known,
        **{f"invocations.{status}": counts[status] for status in STATUSES},
        "invocations.retrying": scan.retrying_count,
        "invocations.journal_mismatch": scan.journal_mismatch_count,
        "invocations.recent_failures": scan.failures_24h,
        "invocations.oldest_active": age_of(min(active, default=now), now),
        "invocations.oldest_paused": age_of(min(paused, default=now), now),
        "invocations.complete": scan.items_complete,
        "workflows.failed": len(failed),
        "workflows.complete": scan.failed_runs_complete,
    }


def summary_values(summary: InvocationSummary) -> dict[str, Any]:
    """What a remote operator API tells of invocations."""
    counts = {status: summary.count(status) for status in STATUSES}
    return {
        **{f"invocations.{status}": n for status, n in counts.items() if n is not None},
        "workflows.complete": summary.complete,
    }


def heartbeat_values(view: HeartbeatView, now: datetime) -> dict[str, Any]:
    """Whether the newest beat is or was late, and how long ago one last succeeded, if ever."""
    values: dict[str, Any] = {"heartbeat.late": view.late}
    if view.last_success_at is not None:
        values["heartbeat.last_success_age"] = age_of(view.last_success_at, now)
    return values


def zombie_count(scan: InvocationsView) -> int | None:
    """Unfinished invocations pinned to a deployment that no longer exists (RT0011)."""
    if scan.known_deployments is None:
        return None
    return sum(
        g.count
        for g in scan.groups
        if g.active and g.deployment_id and g.deployment_id not in scan.known_deployments
    )
