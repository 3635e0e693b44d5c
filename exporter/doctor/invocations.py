"""The invocations: one grouped scan, and lists of what it shows to exist.

The questions are asked one after the other: together they would be several scans at once. What has
completed is listed only for policies that ask for it.
"""

from __future__ import annotations

import time

from exporter.doctor.probe import ProbeContext
from exporter.model.errors import CallFailedError
from exporter.model.views import (
    COMPLETED,
    FailedRun,
    InvocationItem,
    InvocationsView,
)
from exporter.model.wanted import Wanted
from exporter.restate_api import JOURNAL_MISMATCH, GroupedScan, Listed, RestateApi, Retrying

_FAILURE = "failure"
_SHARED = "Shared"


async def probe(context: ProbeContext) -> InvocationsView:
    """Scan, unless somebody else's scan that begins only now will do."""
    return await context.scans.run(lambda: _scan(context.api, context.wanted()))


async def _scan(api: RestateApi, wanted: Wanted) -> InvocationsView:
    ask, began = api.invocations, time.perf_counter()
    scan = await ask.scan()
    active = [group for group in scan.groups if group.active]
    pinned = frozenset(g.deployment_id for g in active if g.deployment_id is not None)
    # Right after the scan: what was registered and pinned in between must not look like a zombie.
    known = await _known_deployments(api) if pinned else pinned
    failed = [g for g in scan.groups if g.status == COMPLETED and g.result == _FAILURE]
    recent = await ask.recent_failures() if failed else ()
    runs: Listed[FailedRun] = Listed()
    if any(g.service_type == "workflow" for g in failed):
        runs = await ask.failed_runs(
            shared_handlers=await _shared_handlers(api),
            siblings=any(g.service_type == "workflow" for g in active),
        )
    paused: Listed[InvocationItem] = Listed()
    if any(g.status == "paused" for g in active):
        paused = await ask.paused()
    retrying = await ask.retrying() if active else Retrying()
    zombies = Listed() if known is None else await _zombies(api, pinned - known, paused.items)
    completed = await _completed(api, scan, wanted.completed)
    lists = (paused, retrying.listed, zombies, completed or Listed())
    return InvocationsView(
        groups=scan.groups,
        recent_failures=recent,
        known_deployments=known,
        failed_runs=runs.items,
        failed_runs_complete=runs.complete,
        paused=paused.items,
        retrying=retrying.listed.items,
        zombies=zombies.items,
        completed=None if completed is None else completed.items,
        items_complete=all(listed.complete for listed in lists),
        retrying_count=retrying.count,
        journal_mismatch_count=retrying.journal_mismatches
        + sum(item.error_code == JOURNAL_MISMATCH for item in paused.items),
        failures_24h=scan.failures_24h,
        scan_seconds=time.perf_counter() - began,
    )


async def _completed(
    api: RestateApi, scan: GroupedScan, services: frozenset[str] | None
) -> Listed[InvocationItem] | None:
    """What has completed of these services (none named: of all); None when nobody asks."""
    if services is None:
        return None
    done = {group.service for group in scan.groups if group.status == COMPLETED}
    there = done & services if services else done
    return await api.invocations.completed(services) if there else Listed()


async def _known_deployments(api: RestateApi) -> frozenset[str] | None:
    """The ids of all deployments; None when the list cannot be read, which is another component."""
    try:
        return frozenset(d.id for d in (await api.admin.deployments()).items)
    except CallFailedError:
        return None


async def _shared_handlers(api: RestateApi) -> dict[str, list[str]]:
    services = await api.admin.services()
    return {
        service.name: [h.name for h in service.shape.handlers if h.type == _SHARED]
        for service in services.items
        if service.shape.type == "workflow"
    }


async def _zombies(
    api: RestateApi, gone: frozenset[str], paused: tuple[InvocationItem, ...]
) -> Listed[InvocationItem]:
    """Non-completed work pinned to a deployment that is gone; what is paused tells why."""
    if not gone:
        return Listed()
    listed = await api.invocations.pinned_to(gone)
    why = {item.id: item for item in paused}
    return Listed(tuple(why.get(item.id, item) for item in listed.items), listed.complete)
