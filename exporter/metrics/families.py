"""One target's values by family, from its findings: pure, unknown left out, never 0 instead.

What a label says comes from outside (service names, deployment ids), so it is cleaned here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import Metric

from exporter.metrics.catalogue import CATALOGUE
from exporter.model.component import Component, Status
from exporter.model.facts import age_of
from exporter.model.findings import Findings
from exporter.model.heartbeat import HeartbeatView
from exporter.model.report import Reading
from exporter.model.views import (
    STATUSES,
    InvocationGroup,
    InvocationSummary,
    InvocationsView,
)

Rows = Mapping[tuple[str, ...], float]
"""Values by label values, in the order of the family's labels without ``target``."""
NamedRows = tuple[str, Rows]
"""A family's short name and its rows."""

LONGEST_LABEL = 200
_OWNERS = ("ours", "foreign", "protected")
_STATES = ("active", "draining", "drained")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def label(text: str) -> str:
    """Text that is safe as a label value: no control characters, none that UTF-8 cannot write.

    A NUL or a lone surrogate (JSON can carry both) would cost the whole scrape.
    """
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean if len(clean) <= LONGEST_LABEL else f"{clean[: LONGEST_LABEL - 1]}…"


def to_metric(target: str, short: str, rows: Rows) -> Metric:
    """The family of the catalogue with these rows as samples of one target."""
    metric = CATALOGUE[short].empty()
    for labels, value in rows.items():
        metric.add_metric([target, *labels], value)
    return metric


def largest(rows: Rows, most: int) -> Rows:
    """The ``most`` largest rows; among equals, those first in the alphabet."""
    if len(rows) <= most:
        return rows
    return dict(sorted(rows.items(), key=lambda row: (-row[1], row[0]))[:most])


def health_rows(
    findings: Findings, readings: Mapping[Component, Reading], good: Mapping[Component, Reading]
) -> Iterator[NamedRows]:
    """How the target and its components are: ``readings`` newest, ``good`` the last ok ones."""
    now = findings.at
    states = findings.components
    yield "up", {(): float(findings.up)}
    yield (
        "component_status",
        {(c, s): float(state.status is s) for c, state in states.items() for s in Status},
    )
    yield (
        "component_failure",
        {(c, state.reason): 1.0 for c, state in states.items() if state.reason is not None},
    )
    latencies: dict[tuple[str, ...], float] = {}
    for component in states:
        for reading in (readings.get(component), good.get(component)):
            if reading and reading.latency_seconds is not None and reading.fresh(now):
                latencies.setdefault((component,), reading.latency_seconds)
    yield "component_latency_seconds", latencies
    yield "component_last_run_timestamp_seconds", _finished(readings)
    yield "component_last_ok_timestamp_seconds", _finished(good)


def _finished(readings: Mapping[Component, Reading]) -> Rows:
    return {(c,): reading.finished_at.timestamp() for c, reading in readings.items()}


def value_rows(known: Findings) -> Iterator[NamedRows]:
    """What the readings saw. ``known`` may rest on older good readings than the newest ones."""
    version = known.admin.version if known.admin else None
    yield "target_info", {(label(version or ""), known.target.kind): 1.0}
    yield from _deployments(known)
    services: Rows = {
        (state,): float(len(known.values[f"services.{state}"]))
        for state in ("registered", "missing", "unexposed")
        if f"services.{state}" in known.values
    }
    yield "services", services
    if known.drift is not None:
        yield (
            "worker_drift",
            {
                ("added",): float(len(known.drift.added)),
                ("dropped",): float(len(known.drift.dropped)),
                ("changed",): float(len(known.drift.changed)),
                ("type_changed",): float(len(known.drift.type_changed)),
            },
        )
    yield from _invocations(known)
    if known.heartbeat is not None:
        yield from _heartbeat(known.heartbeat)
    if known.node is not None:
        yield "partitions_blocked", {(): float(len(known.node.blocked))}


def _heartbeat(view: HeartbeatView) -> Iterator[NamedRows]:
    if view.seconds is not None:
        yield "heartbeat_duration_seconds", {(): view.seconds}
    if view.last_success_at is not None:
        yield (
            "heartbeat_last_success_timestamp_seconds",
            {(): view.last_success_at.timestamp()},
        )


def _deployments(known: Findings) -> Iterator[NamedRows]:
    """Counts by state and owner; a state that is not exact for all has no zeros."""
    if known.deployments is None:
        return
    exact: tuple[str, ...] = _STATES
    if any(d.state == "unknown" for d in known.deployments):
        exact = ("active",) if known.services is not None else ()
    counts = _zeros((state, owner) for state in exact for owner in _OWNERS)
    counts.update((d.state, d.owner) for d in known.deployments)
    yield "deployments", _floats(counts)


def _invocations(known: Findings) -> Iterator[NamedRows]:
    scan = known.invocations
    if isinstance(scan, InvocationSummary):
        words = dict.fromkeys((*STATUSES, *scan.by_status))
        counts = ((status, scan.count(status)) for status in words)
        yield "invocations", {(label(s),): float(n) for s, n in counts if n is not None}
        return
    if scan is None:
        return
    active = [g for g in scan.groups if g.active]
    statuses = _zeros((status,) for status in STATUSES)
    services = _zeros(())
    pinned = _zeros((label(d.id),) for d in known.deployments or ())
    for group in active:
        status = label(group.status)
        statuses[status,] += group.count
        services[label(group.service), status] += group.count
        if group.deployment_id:
            pinned[label(group.deployment_id),] += group.count
    yield "invocations", _floats(statuses)
    yield "service_invocations", _floats(services)
    yield "deployment_invocations", _floats(pinned)
    by_service = _oldest(active, known.at)
    oldest: dict[tuple[str, ...], float] = {}
    for (_, status), age in by_service.items():
        oldest[status,] = max(oldest.get((status,), 0.0), age)
    yield "oldest_invocation_age_seconds", oldest
    yield "service_oldest_invocation_age_seconds", by_service
    if "invocations.zombies" in known.values:
        yield "zombie_invocations", {(): float(known.values["invocations.zombies"])}
    yield "failed_workflows", _failed(known, scan)
    yield "scan_duration_seconds", {(): scan.scan_seconds}


def _failed(known: Findings, scan: InvocationsView) -> Rows:
    """Failed keys by workflow, and unless the list was cut a 0 for each workflow without any."""
    items = known.services.items if known.services and scan.failed_runs_complete else ()
    failed = _zeros((label(s.name),) for s in items if s.shape.type == "workflow")
    for name, count in (known.failed_keys or {}).items():
        failed[label(name),] += count
    return _floats(failed)


def _oldest(active: list[InvocationGroup], now: datetime) -> dict[tuple[str, ...], float]:
    """The age of the oldest by service and status: since it was created, or paused."""
    oldest: dict[tuple[str, ...], float] = {}
    for group in active:
        key = (label(group.service), label(group.status))
        since = group.oldest_modified_at if group.status == "paused" else group.oldest_created_at
        oldest[key] = max(oldest.get(key, 0.0), age_of(since, now).total_seconds())
    return oldest


def _zeros(keys: Iterable[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    return Counter(dict.fromkeys(keys, 0))


def _floats(counts: Counter[tuple[str, ...]]) -> Rows:
    return {key: float(count) for key, count in counts.items()}
