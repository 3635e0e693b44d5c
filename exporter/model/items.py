"""The items a ``for_each`` policy looks at, each with the values that are known."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exporter.model.deployments import DeploymentFact
from exporter.model.facts import age_of, run_handler
from exporter.model.findings import Item, Tally, WorkerFact
from exporter.model.views import (
    Deployment,
    FailedRun,
    InvocationItem,
    RecentFailure,
    ServicesView,
    cause_of,
)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {f"item.{name}": value for name, value in values.items() if value is not None}


def worker_item(worker: WorkerFact) -> Item:
    """One worker; its key is its URL."""
    drift = worker.drift
    values = _known(
        {
            "url": worker.url,
            "reachable": worker.reachable,
            "registered": worker.registered,
            "latest": worker.latest,
            "stable": worker.stable,
            "missing": None if worker.missing is None else list(worker.missing),
            "added": None if drift is None else list(drift.added),
            "dropped": None if drift is None else list(drift.dropped),
            "changed": None if drift is None else list(drift.changed),
            "type_changed": None if drift is None else list(drift.type_changed),
        }
    )
    return Item("workers", worker.url, values)


def deployment_item(fact: DeploymentFact, now: datetime) -> Item:
    """One deployment; its key is its id."""
    deployment = fact.deployment
    values = _known(
        {
            "id": deployment.id,
            "url": deployment.url,
            "kind": deployment.kind,
            "state": None if fact.state == "unknown" else fact.state,
            "owner": None if fact.owner == "unknown" else fact.owner,
            "reachable": fact.reachable,
            "pinned": fact.pinned,
            "unpinned": fact.unpinned,
            "created_age": age_of(deployment.created_at, now),
            "state_age": None if fact.state == "unknown" else fact.state_age,
            "services": sorted(deployment.services) if isinstance(deployment, Deployment) else None,
        }
    )
    return Item("deployments", deployment.id, values)


def failed_item(run: FailedRun, tally: Tally, now: datetime) -> Item:
    """One failed workflow key; its key is ``Service/key``."""
    key = workflow_key(run.service, run.key)
    values = {
        "service": run.service,
        "key": run.key,
        "handler": run.handler,
        "invocation_id": run.id,
        "cause": run.cause,
        "error": run.error,
        "age": age_of(run.completed_at, now),
        "active_siblings": run.active_siblings,
        "recoveries": tally.recoveries.get(key, 0),
    }
    return Item("workflows.failed", key, _known(values))


def failure_item(failure: RecentFailure, tally: Tally, now: datetime) -> Item:
    """One failed key as a remote operator API tells of it; what it leaves out is unknown."""
    key = workflow_key(failure.service, failure.key or "")
    values = {
        "service": failure.service,
        "key": failure.key,
        "invocation_id": failure.id,
        "cause": cause_of(failure.error),
        "error": failure.error,
        "age": age_of(failure.failed_at, now),
        "recoveries": tally.recoveries.get(key, 0),
    }
    return Item("workflows.failed", key, _known(values))


def workflow_key(service: str, key: str) -> str:
    """What a failed key is counted by, whichever of its runs failed."""
    return f"{service}/{key}"


def invocation_item(
    kind: str, item: InvocationItem, services: ServicesView | None, tally: Tally, now: datetime
) -> Item:
    """One invocation; its key is its id and birth, since an id can come back (restate-facts)."""
    key = invocation_key(item.id, item.created_at)
    values = {
        "id": item.id,
        "service": item.service,
        "service_type": item.service_type,
        "key": item.key or "",
        "handler": item.handler,
        "deployment": item.deployment_id or "",
        "paused_by": item.paused_by,
        "error_code": item.error_code,
        "error": item.error,
        "age": age_of(item.modified_at, now),
        "retries": item.retries,
        "resumes": tally.resumes.get(key, 0),
        "restarts": tally.restarts.get(key, 0),
        "result": item.result or "",
        "blocks_key": item.result is None and exclusive(item, services),
    }
    return Item(f"invocations.{kind}", key, _known(values))


def invocation_key(invocation_id: str, created_at: datetime) -> str:
    """What tells an invocation from a later one with the same id."""
    return f"{invocation_id}@{created_at.isoformat()}"


def exclusive(item: InvocationItem, services: ServicesView | None) -> bool:
    """Whether its handler holds its key: a workflow's run, an object's exclusive one."""
    if item.key is None or item.service_type == "service":
        return False
    if item.service_type == "workflow":
        return item.handler == run_handler(item.service, services)
    found = services.get(item.service) if services else None
    shared = {h.name for h in found.shape.handlers if h.type.lower() == "shared"} if found else ()
    return item.handler not in shared
