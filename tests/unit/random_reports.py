"""Made-up targets and reports of every kind, for properties: any reading may be missing or bad."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from exporter.model.component import Component, Reason, Status
from exporter.model.heartbeat import HeartbeatView
from exporter.model.report import STALE_AFTER_INTERVALS, Carried, Reading, Report, Seen
from exporter.model.target import DEFAULT_INTERVALS, Target, Worker
from exporter.model.views import (
    COMPLETED,
    STATUSES,
    AdminView,
    Deployment,
    DeploymentsView,
    Discovery,
    DriftView,
    FailedRun,
    Handler,
    IngressView,
    InvocationGroup,
    InvocationItem,
    InvocationsView,
    NodeView,
    Service,
    ServiceShape,
    ServicesView,
    View,
)
from tests.unit.policy_scenes import NOW

NAMES = ("Counter", "Greeter", "Mailer", "Orders")
URLS = ("http://w1:9080/", "http://w2:9080/v1", "http://old:9080/")
IDS = ("dp_1", "dp_2", "dp_3")
PROTECTED = {"managed-by": "restate-operator"}

names = st.sampled_from(NAMES)
name_sets = st.frozensets(names)
name_tuples = name_sets.map(lambda found: tuple(sorted(found)))
moments = st.integers(-3600, 30 * 86_400).map(lambda s: NOW - timedelta(seconds=s))
counts = st.integers(0, 50)
types = st.sampled_from(["service", "object", "workflow"])
reachable = st.sampled_from(["yes", "no", "unknown"])
handlers = st.builds(
    Handler,
    name=st.sampled_from(["run", "add", "get", "signal"]),
    type=st.sampled_from(["", "Exclusive", "Shared", "Workflow"]),
)
shapes = st.builds(
    ServiceShape,
    name=names,
    type=types,
    handlers=st.lists(handlers, max_size=3, unique_by=lambda h: h.name).map(tuple),
)
shape_tuples = st.lists(shapes, max_size=3, unique_by=lambda s: s.name).map(tuple)

targets: st.SearchStrategy[Target] = st.builds(
    Target,
    name=st.just("prod"),
    workers=st.lists(
        st.builds(Worker, url=st.sampled_from(URLS), services=name_tuples),
        max_size=2,
        unique_by=lambda w: w.url,
    ).map(tuple),
    expected_services=name_tuples,
    labels=st.dictionaries(st.sampled_from(["tier", "zone"]), st.text(max_size=3), max_size=2),
    protected_metadata=st.sampled_from([{}, PROTECTED]),
    intervals=st.just(
        {
            **DEFAULT_INTERVALS,
            Component.HEARTBEAT: timedelta(seconds=15),
            Component.NODE: timedelta(seconds=60),
        }
    ),
)

_deployments = st.builds(
    Deployment,
    id=st.sampled_from(IDS),
    url=st.sampled_from(URLS),
    kind=st.just("http"),
    created_at=moments,
    services=name_tuples,
    metadata=st.sampled_from([{}, PROTECTED]),
)
_groups = st.builds(
    InvocationGroup,
    deployment_id=st.sampled_from([None, *IDS, "dp_gone"]),
    service=names,
    service_type=types,
    status=st.sampled_from([*STATUSES, COMPLETED, "of-a-later-version"]),
    result=st.sampled_from([None, "success", "failure"]),
    count=counts,
    oldest_created_at=moments,
    oldest_modified_at=moments,
)
_items = st.builds(
    InvocationItem,
    id=st.sampled_from(["inv_1", "inv_2"]),
    service=names,
    service_type=types,
    key=st.sampled_from([None, "k"]),
    handler=st.sampled_from(["run", "add"]),
    deployment_id=st.sampled_from([None, *IDS]),
    created_at=moments,
    modified_at=moments,
    retries=counts,
)
_item_tuples = st.lists(_items, max_size=2).map(tuple)
_runs = st.builds(
    FailedRun,
    id=st.just("inv_9"),
    service=names,
    key=st.sampled_from(["k1", "k2"]),
    handler=st.sampled_from(["run", "signal"]),
    created_at=moments,
    completed_at=moments,
    error=st.sampled_from(["[500] boom", "[409] killed", "[409] canceled"]),
    active_siblings=counts,
)
VIEWS: dict[Component, st.SearchStrategy[Any]] = {
    Component.INGRESS: st.builds(IngressView, services=name_sets),
    Component.ADMIN: st.builds(AdminView, version=st.just("1.7.12")),
    Component.DEPLOYMENTS: st.builds(
        DeploymentsView,
        items=st.lists(_deployments, max_size=3, unique_by=lambda d: d.id).map(tuple),
    ),
    Component.SERVICES: st.builds(
        ServicesView,
        items=st.lists(
            st.builds(
                Service,
                shape=shapes,
                deployment_id=st.sampled_from(IDS),
                revision=counts,
                public=st.booleans(),
            ),
            max_size=3,
            unique_by=lambda s: s.name,
        ).map(tuple),
    ),
    Component.INVOCATIONS: st.builds(
        InvocationsView,
        groups=st.lists(_groups, max_size=4).map(tuple),
        recent_failures=st.just(()),
        known_deployments=st.none() | st.frozensets(st.sampled_from(IDS)),
        scan_seconds=st.just(0.1),
        failed_runs=st.lists(_runs, max_size=2).map(tuple),
        failed_runs_complete=st.booleans(),
        paused=_item_tuples,
        retrying=_item_tuples,
        zombies=_item_tuples,
        completed=_item_tuples,
        items_complete=st.booleans(),
    ),
    Component.DRIFT: st.builds(
        DriftView,
        discoveries=st.lists(
            st.builds(
                Discovery,
                url=st.sampled_from(URLS),
                kind=st.just("http"),
                reachable=reachable,
                deployment_id=st.sampled_from([None, *IDS]),
                latest=st.booleans(),
                discovered=shape_tuples,
                registered=shape_tuples,
            ),
            max_size=3,
            unique_by=lambda d: d.url,
        ).map(tuple),
    ),
}
VIEWS[Component.HEARTBEAT] = st.builds(
    HeartbeatView,
    late=st.booleans(),
    seconds=st.none() | st.floats(0, 60),
    last_success_at=st.none() | moments,
)
VIEWS[Component.NODE] = st.builds(
    NodeView, partitions=counts, blocked=st.lists(st.just("3: ahead_of_log"), max_size=2).map(tuple)
)
UNWELL = frozenset({Component.HEARTBEAT, Component.NODE})
"""What may be seen not to be well: then there is a view beside the reason."""
carried = st.builds(
    Carried,
    states=st.dictionaries(
        st.sampled_from(IDS),
        st.builds(
            Seen, value=st.sampled_from(["active", "drained"]), since=moments, last=st.just(NOW)
        ),
    ),
)


@st.composite
def readings(draw: st.DrawFn, target: Target, component: Component) -> Reading:
    """A reading that is mostly ok and fresh; else failed, stale, or from a clock that was ahead."""
    interval = target.intervals[component]
    limit = STALE_AFTER_INTERVALS * interval
    tick = timedelta(microseconds=1)
    fresh = (timedelta(0), interval, limit, -interval)
    ages = st.sampled_from(fresh) | st.sampled_from((limit + tick, 9 * limit, -interval - tick))
    started_at = NOW - draw(st.sampled_from(fresh) | ages)
    reason = draw(st.none() | st.none() | st.sampled_from(Reason))
    seen = reason is None or (component in UNWELL and draw(st.booleans()))
    view: View | None = draw(VIEWS[component]) if seen else None
    return Reading(
        component,
        reason.status if reason else Status.OK,
        started_at,
        started_at,
        interval,
        reason=reason,
        view=view,
    )


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Target, Report]:
    """A target and a report of it, in which components may be missing."""
    target = draw(targets)
    missing = draw(st.sets(st.sampled_from(Component), max_size=2))
    found = {c: draw(readings(target, c)) for c in Component if c not in missing}
    return target, Report(target.name, found, draw(carried))
