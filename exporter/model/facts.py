"""Facts about workers, failed keys and drift that both the values and the items are made from."""

from __future__ import annotations

from datetime import datetime, timedelta

from exporter.model.deployments import DeploymentFact
from exporter.model.drift import Drift, compare
from exporter.model.findings import WorkerFact
from exporter.model.redact import redact_user_info
from exporter.model.report import Carried
from exporter.model.target import Target, Worker, normalise_url
from exporter.model.views import (
    Deployment,
    Discovery,
    DriftView,
    FailedRun,
    InvocationsView,
    ServiceList,
    ServicesView,
)

_STABLE_READINGS = 2
_DEFAULT_RUN_HANDLER = "run"


def worker_fact(  # noqa: PLR0917 - the views it is made from, each of which may be unknown
    worker: Worker,
    target: Target,
    deployments: tuple[DeploymentFact, ...] | None,
    services: ServicesView | ServiceList | None,
    drift: DriftView | None,
    carried: Carried,
) -> WorkerFact:
    """What is known about one configured worker; each unknown view leaves its facts None."""
    at_url = [d for d in deployments or () if stands_at(d.deployment.url, worker.url)]
    found = (
        next((d for d in drift.discoveries if normalise_url(d.url) == worker.url), None)
        if (drift)
        else None
    )
    registered = None if deployments is None else bool(at_url)
    latest = None
    if isinstance(services, ServicesView) and registered is not None:
        latest = bool(at_url) and all(_latest(d, services) for d in at_url[:1])
    missing = None
    if services is not None:
        missing = tuple(sorted(target.expected_of(worker) - services.names))
    known = found is not None and found.reachable == "yes"
    return WorkerFact(
        url=worker.url,
        reachable=found.reachable if found else "unknown",
        deployment_id=at_url[0].id if at_url else None,
        registered=registered,
        latest=latest,
        stable=is_stable(found, carried) if found else None,
        missing=missing,
        drift=compare(found.discovered, found.registered) if found and known else None,
        error=found.error if found else "",
    )


def stands_at(shown_url: str, url: str) -> bool:
    """Whether a registered URL is this (normalised) one; a remote API shows it without user info.

    A worker with a password would otherwise look as if it were not registered.
    """
    return normalise_url(shown_url) in {url, redact_user_info(url)}


def _latest(fact: DeploymentFact, services: ServicesView) -> bool:
    deployment = fact.deployment
    if not isinstance(deployment, Deployment):
        return False
    return is_latest(deployment.id, deployment.services, services)


def is_latest(deployment_id: str, names: tuple[str, ...], services: ServicesView) -> bool:
    """Whether a deployment is the latest for every one of these services that is registered."""
    mine = [s for s in services.items if s.name in names]
    return bool(mine) and all(s.deployment_id == deployment_id for s in mine)


def is_stable(found: Discovery, carried: Carried) -> bool:
    """Whether the endpoint answered the same on two readings in a row."""
    seen = carried.discoveries.get(found.url)
    return seen is not None and seen.readings >= _STABLE_READINGS


def counted(drift: DriftView, target: Target) -> list[Discovery]:
    """The discoveries that say something about registration: of the workers, if any are named.

    Without workers it is every latest deployment. An older deployment that drains on purpose
    differs by design, so it does not count.
    """
    urls = {w.url for w in target.workers}
    mine = [d for d in drift.discoveries if not urls or normalise_url(d.url) in urls]
    return [d for d in mine if d.latest or d.deployment_id is None]


def total_drift(drift: DriftView, target: Target) -> Drift | None:
    """The drift of everything that counts; None while one of them cannot be discovered."""
    found = counted(drift, target)
    if any(d.reachable != "yes" for d in found):
        return None
    parts = [compare(d.discovered, d.registered) for d in found]
    return Drift(
        added=tuple(sorted({n for p in parts for n in p.added})),
        dropped=tuple(sorted({n for p in parts for n in p.dropped})),
        changed=tuple(sorted({n for p in parts for n in p.changed})),
        type_changed=tuple(sorted({n for p in parts for n in p.type_changed})),
    )


def failed_keys(scan: InvocationsView, services: ServicesView | None) -> list[FailedRun]:
    """The failed runs: what is known to be a shared handler fails on its own and is left out."""
    shared = {
        (service.name, handler.name)
        for service in (services.items if services else ())
        for handler in service.shape.handlers
        if handler.type.lower() == "shared"
    }
    return [r for r in scan.failed_runs if (r.service, r.handler) not in shared]


def run_handler(service: str, services: ServicesView | None) -> str:
    """The name of a workflow's run handler, as registered; ``run`` when that is unknown."""
    found = services.get(service) if services else None
    if found is None:
        return _DEFAULT_RUN_HANDLER
    runs = (h.name for h in found.shape.handlers if h.type.lower() == "workflow")
    return next(runs, _DEFAULT_RUN_HANDLER)


def age_of(since: datetime, now: datetime) -> timedelta:
    """How long ago, never negative."""
    return max(now - since, timedelta(0))
