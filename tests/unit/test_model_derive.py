"""Findings: a variable is bound exactly when it is known, and unknown never looks like empty."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from exporter.model.component import Component, Reason
from exporter.model.derive import derive
from exporter.model.facts import counted
from exporter.model.findings import NEVER, Findings, Tally
from exporter.model.heartbeat import HeartbeatView
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.model.variables import ITEM_KINDS, VARIABLES, ValueType, Variable
from exporter.model.views import (
    DriftView,
    FailedRun,
    Handler,
    IngressView,
    InvocationGroup,
    InvocationItem,
    InvocationsView,
    Service,
    ServiceShape,
    ServicesView,
    View,
)
from tests.unit.policy_scenes import NOW, ONE, URL, report, views
from tests.unit.random_reports import scenes

THOROUGH = settings(max_examples=30, deadline=None)
ZOMBIES = "invocations.zombies"
MINUTE = timedelta(minutes=1)


def known_components(seen: Report) -> set[Component]:
    """Those whose newest reading saw them, is not older than three intervals, not of the future."""
    return {
        component
        for component, reading in seen.readings.items()
        if reading.view is not None
        and -reading.interval <= NOW - reading.started_at <= 3 * reading.interval
    }


def is_of(value: object, kind: ValueType) -> bool:
    match kind:
        case ValueType.STRING:
            return type(value) is str
        case ValueType.INT:
            return type(value) is int
        case ValueType.BOOL:
            return type(value) is bool
        case ValueType.DURATION:
            return type(value) is timedelta and value >= timedelta(0)
        case ValueType.STRINGS:
            return type(value) is list and all(type(row) is str for row in value)
        case ValueType.LABELS:
            return type(value) is dict and all(
                type(text) is str for pair in value.items() for text in pair
            )


def deployments_known_to_scan(seen: Report) -> bool:
    """Zombies are what no deployment is known for: they need the list read after the scan."""
    view = view_of(seen, Component.INVOCATIONS)
    return isinstance(view, InvocationsView) and view.known_deployments is not None


def discovered_whole(seen: Report, target: Target) -> bool:
    """The drift of all is known only when everything that counts has answered."""
    view = view_of(seen, Component.DRIFT)
    return isinstance(view, DriftView) and all(d.reachable == "yes" for d in counted(view, target))


def has_succeeded(seen: Report) -> bool:
    """Since when is unknown until a heartbeat ever has."""
    view = view_of(seen, Component.HEARTBEAT)
    return isinstance(view, HeartbeatView) and view.last_success_at is not None


def view_of(seen: Report, component: Component) -> View | None:
    reading = seen.readings.get(component)
    return reading.view if reading else None


@THOROUGH
@given(scenes())
def test_a_variable_is_bound_exactly_when_its_components_are_known(
    scene: tuple[Target, Report],
) -> None:
    """All of its components ok and fresh: a value of its type. Otherwise: none at all."""
    target, seen = scene
    found = derive(seen, target, now=NOW).values
    known = known_components(seen)
    for variable in VARIABLES:
        bound = variable.components <= known
        if variable.name == ZOMBIES:
            bound = bound and deployments_known_to_scan(seen)
        if variable.components == {Component.DRIFT} and variable.name.startswith("drift."):
            bound = bound and discovered_whole(seen, target)
        if variable.name == "heartbeat.last_success_age":
            bound = bound and has_succeeded(seen)
        assert (variable.name in found) == bound, variable.name
    assert found.keys() <= {variable.name for variable in VARIABLES}


@THOROUGH
@given(scenes())
def test_a_value_has_the_type_it_is_declared_with(scene: tuple[Target, Report]) -> None:
    """CEL checked conditions against the declared types; lists are sorted, ages not negative."""
    target, seen = scene
    found = derive(seen, target, now=NOW)
    check_types(VARIABLES, found.values)
    for kind in ITEM_KINDS.values():
        for item in found.items[kind.name] or ():
            check_types(kind.fields, item.values)
    lists = [value for value in found.values.values() if type(value) is list]
    assert lists == [sorted(value) for value in lists]


def check_types(variables: Iterable[Variable], values: Any) -> None:
    for variable in variables:
        if variable.name in values:
            assert is_of(values[variable.name], variable.type), variable.name


@THOROUGH
@given(scenes())
def test_items_are_listed_exactly_when_their_list_is_known(scene: tuple[Target, Report]) -> None:
    """An unknown list is None, not empty; an item says only what is known of it, and who it is."""
    target, seen = scene
    found = derive(seen, target, now=NOW)
    known = known_components(seen)
    assert found.items.keys() == ITEM_KINDS.keys()
    for kind in ITEM_KINDS.values():
        items = found.items[kind.name]
        listed = kind.components <= known
        if kind.name == ZOMBIES:
            listed = listed and deployments_known_to_scan(seen)
        assert (items is not None) == listed, kind.name
        fields = {field.name: field for field in kind.fields}
        for item in items or ():
            assert item.kind == kind.name
            assert item.values.keys() <= fields.keys()
            needed = set().union(*(fields[name].components for name in item.values))
            if item.values.get("item.state") == "active":
                # Latest for a service is active, whatever the scan of invocations would say.
                needed.discard(Component.INVOCATIONS)
            assert needed <= known, sorted(item.values)


@THOROUGH
@given(scenes())
def test_the_words_about_components_are_always_bound(scene: tuple[Target, Report]) -> None:
    """Status, reason and age have a value whatever was read; stale is unknown, without reason."""
    target, seen = scene
    found = derive(seen, target, now=NOW)
    for component in Component:
        status = found.values[f"{component}.status"]
        reading = seen.readings.get(component)
        age = found.values[f"{component}.age"]
        if reading is None:
            assert (status, age) == ("unknown", NEVER)
        elif reading.fresh(NOW):
            assert status == str(reading.status)
            assert found.values[f"{component}.reason"] == str(reading.reason or "")
        else:
            assert (status, found.values[f"{component}.reason"]) == ("unknown", "")
            assert age == max(NOW - reading.started_at, timedelta(0))


@THOROUGH
@given(scenes())
def test_facts_behind_the_values_are_none_when_unknown(scene: tuple[Target, Report]) -> None:
    """What metrics and remedies read beside the variables is None too, never an empty list."""
    target, seen = scene
    found = derive(seen, target, now=NOW)
    known = known_components(seen)
    assert (found.deployments is not None) == (Component.DEPLOYMENTS in known)
    assert (found.services is not None) == (Component.SERVICES in known)
    assert (found.invocations is not None) == (Component.INVOCATIONS in known)
    assert (found.failed_keys is not None) == (Component.INVOCATIONS in known)
    whole = Component.DRIFT in known and discovered_whole(seen, target)
    assert (found.drift is not None) == whole
    assert (found.admin is not None) == (Component.ADMIN in known)
    for worker in found.workers:
        assert (worker.registered is not None) == (Component.DEPLOYMENTS in known)
        assert (worker.missing is not None) == (Component.SERVICES in known)
        if Component.DRIFT not in known:
            assert (worker.reachable, worker.stable, worker.drift) == ("unknown", None, None)


@pytest.mark.parametrize("component", ONE.intervals)
@pytest.mark.parametrize(("intervals", "status"), [(3, "ok"), (3.001, "unknown"), (-1, "ok")])
def test_a_reading_counts_for_three_intervals(
    component: Component, intervals: float, status: str
) -> None:
    """Up to three of its own intervals old, a reading counts; slightly ahead is clock jitter."""
    at = NOW - ONE.intervals[component] * intervals
    found = derive(report(views(), read_at={component: at}), ONE, now=NOW)
    assert found.values[f"{component}.status"] == status


def test_after_the_clock_was_set_back_nothing_is_known() -> None:
    """Readings from the future are neither fresh nor old: their age is 0, their values gone."""
    found = derive(report(views()), ONE, now=NOW - timedelta(hours=1))
    assert {found.values[f"{c}.status"] for c in ONE.intervals} == {"unknown"}
    assert {found.values[f"{c}.age"] for c in ONE.intervals} == {timedelta(0)}
    assert "services.missing" not in found.values


def test_a_component_that_is_not_probed_is_off() -> None:
    """``off`` is neither ok nor unknown."""
    target = replace(ONE, intervals={Component.ADMIN: MINUTE})
    found = derive(Report("prod"), target, now=NOW)
    assert found.values["drift.status"] == "off"
    assert found.values["admin.status"] == "unknown"


def test_up_is_ingress_and_admin_together() -> None:
    """One of the two is not enough, and unknown is not up."""
    assert derive(report(views()), ONE, now=NOW).up
    for component in (Component.INGRESS, Component.ADMIN):
        broken = report(views(), failed={component: Reason.HTTP_STATUS})
        assert not derive(broken, ONE, now=NOW).up
    assert not derive(Report("prod"), ONE, now=NOW).up


# Services and workers


def findings(target: Target = ONE, **changes: Any) -> Findings:
    """Of a healthy target, with some of its views replaced."""
    seen = views(target) | {Component[name.upper()]: view for name, view in changes.items()}
    return derive(report(seen, target=target), target, now=NOW)


def test_missing_services_are_those_expected_anywhere() -> None:
    """What the target or any worker should bring and what is registered: the difference."""
    target = replace(ONE, expected_services=("Mailer",))
    seen = report(views(missing=["Counter"]), target=target)
    found = derive(seen, target, now=NOW)
    assert found.values["services.registered"] == ["Greeter"]
    assert found.values["services.missing"] == ["Counter", "Mailer"]


def test_unexposed_is_public_and_not_at_the_ingress() -> None:
    """A private service is not expected at the ingress; a public one that is not there is told."""
    public, private = (
        Service(ServiceShape(name, "service", ()), "dp_0", 1, public=name == "Greeter")
        for name in ("Greeter", "Counter")
    )
    found = findings(
        services=ServicesView((public, private)), ingress=IngressView(frozenset({"Other"}))
    )
    assert found.values["services.unexposed"] == ["Greeter"]


def test_a_worker_knows_its_registration() -> None:
    """Registered at its URL, latest for its services, all its services there, answering."""
    (worker,) = findings().workers
    assert (worker.deployment_id, worker.registered, worker.latest) == ("dp_0", True, True)
    assert (worker.missing, worker.reachable) == ((), "yes")
    assert worker.drift is not None
    assert not worker.drift.any


def test_a_worker_that_is_not_registered() -> None:
    """No deployment at its URL: unregistered, not latest, everything missing."""
    seen = report(views(missing=["Greeter", "Counter"]))
    found = derive(seen, ONE, now=NOW)
    assert found.values["workers.unregistered"] == [URL]
    (item,) = found.items["workers"] or ()
    assert item.key == URL
    assert item.values["item.registered"] is False
    assert item.values["item.latest"] is False
    assert item.values["item.missing"] == ["Counter", "Greeter"]
    assert item.values["item.added"] == ["Counter", "Greeter"]


def test_a_worker_whose_services_moved_on_is_not_latest() -> None:
    """Another deployment serves one of its services now."""
    services = tuple(
        Service(ServiceShape(name, "service", ()), id_, 1)
        for name, id_ in (("Greeter", "dp_0"), ("Counter", "dp_new"))
    )
    (worker,) = findings(services=ServicesView(services)).workers
    assert worker.latest is False


def test_a_dead_worker_is_unreachable_and_its_drift_unknown() -> None:
    """Nothing is known of what a dead endpoint offers: no field says that nothing differs."""
    found = derive(report(views(reachable="no")), ONE, now=NOW)
    assert found.values["workers.unreachable"] == [URL]
    (item,) = found.items["workers"] or ()
    assert item.values["item.reachable"] == "no"
    assert not item.values.keys() & {"item.added", "item.dropped", "item.changed"}


def test_services_of_the_target_belong_to_its_only_worker() -> None:
    """Without services of its own the only worker should bring the target's; of two, neither."""
    plain = replace(ONE, workers=(replace(ONE.workers[0], services=()),), expected_services=("A",))
    assert plain.expected_of(plain.workers[0]) == {"A"}
    two = replace(plain, workers=(*plain.workers, replace(plain.workers[0], url="http://x/")))
    assert two.expected_of(two.workers[0]) == frozenset()


# Invocations


def group(status: str, **changes: Any) -> InvocationGroup:
    facts: dict[str, Any] = {
        "deployment_id": "dp_0",
        "service": "Greeter",
        "service_type": "service",
        "status": status,
        "result": None,
        "count": 1,
        "oldest_created_at": NOW,
        "oldest_modified_at": NOW,
    }
    return InvocationGroup(**facts | changes)


def scan(*groups: InvocationGroup, **changes: Any) -> InvocationsView:
    return replace(InvocationsView(groups, (), frozenset({"dp_0"}), 0.1), **changes)


def test_counts_by_status() -> None:
    """Each non-completed status is counted, with 0 for those that do not occur."""
    view = scan(group("paused", count=3), group("paused", count=4), group("completed", count=9))
    values = findings(invocations=view).values
    assert values["invocations.paused"] == 7
    assert values["invocations.inboxed"] == 0
    assert "invocations.completed" not in values


def test_the_oldest_ages() -> None:
    """Active: since it was created, unless it waits for its time; paused: since it was paused."""
    view = scan(
        group("scheduled", oldest_created_at=NOW - 9 * MINUTE),
        group("completed", oldest_created_at=NOW - 8 * MINUTE),
        group("invoked", oldest_created_at=NOW - 5 * MINUTE),
        group("paused", oldest_created_at=NOW - 4 * MINUTE, oldest_modified_at=NOW - MINUTE),
    )
    values = findings(invocations=view).values
    assert values["invocations.oldest_active"] == 5 * MINUTE
    assert values["invocations.oldest_paused"] == MINUTE
    assert findings().values["invocations.oldest_active"] == timedelta(0)


def test_zombies_are_pinned_to_what_is_gone() -> None:
    """Unfinished work pinned to a deployment that is not registered; completed work is not."""
    view = scan(
        group("invoked", deployment_id="dp_gone", count=2),
        group("completed", deployment_id="dp_gone", count=4),
        group("invoked", deployment_id=None, count=8),
        group("invoked", count=16),
    )
    assert findings(invocations=view).values[ZOMBIES] == 2


def test_zombies_are_unknown_when_deployments_could_not_be_listed() -> None:
    """A scan without the list of deployments does not say that there are none, nor that all are."""
    view = scan(group("invoked", deployment_id="dp_gone"), known_deployments=None)
    found = findings(invocations=view)
    assert ZOMBIES not in found.values
    assert found.items[ZOMBIES] is None
    assert found.values["invocations.invoked"] == 1


def failed_run(**changes: Any) -> FailedRun:
    facts: dict[str, Any] = {
        "id": "inv_1",
        "service": "Signup",
        "key": "anna",
        "handler": "run",
        "created_at": NOW - 2 * MINUTE,
        "completed_at": NOW - MINUTE,
        "error": "[500] boom",
        "active_siblings": 0,
    }
    return FailedRun(**facts | changes)


def test_failed_keys_are_counted_by_workflow() -> None:
    """Each failed run is one key, whose name is the workflow's and its own."""
    view = scan(failed_runs=(failed_run(), failed_run(key="ben"), failed_run(service="Order")))
    found = findings(invocations=view)
    assert found.values["workflows.failed"] == 3
    assert found.failed_keys == {"Signup": 2, "Order": 1}
    items = found.items["workflows.failed"] or ()
    assert [item.key for item in items] == ["Signup/anna", "Signup/ben", "Order/anna"]
    assert items[0].values["item.age"] == MINUTE


def test_a_cut_list_is_told() -> None:
    """What is left out must not look like all there is."""
    cut = findings(invocations=scan(failed_runs_complete=False, items_complete=False)).values
    assert (cut["workflows.complete"], cut["invocations.complete"]) == (False, False)
    whole = findings(invocations=scan()).values
    assert (whole["workflows.complete"], whole["invocations.complete"]) == (True, True)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("[409] killed", "killed"),
        ("[409] cancelled", "cancelled"),
        ("[409] canceled", "cancelled"),
        ("[500] killed", "error"),
        ("", "error"),
    ],
)
def test_killed_and_cancelled_are_told_from_errors(error: str, cause: str) -> None:
    """They are no statuses: only the failure's text tells them apart."""
    assert failed_run(error=error).cause == cause


def test_earlier_operations_on_an_item_are_counted() -> None:
    """``recoveries`` and ``resumes`` come from the ledger, by the item's key."""
    born = NOW - MINUTE
    paused = InvocationItem("inv_2", "Greeter", "service", None, "run", None, born, NOW)
    view = scan(failed_runs=(failed_run(),), paused=(paused,))
    seen = report(views() | {Component.INVOCATIONS: view})
    key = f"inv_2@{born.isoformat()}"
    tally = Tally(recoveries={"Signup/anna": 2}, resumes={key: 3}, restarts={key: 1})
    found = derive(seen, ONE, now=NOW, tally=tally)
    (run,) = found.items["workflows.failed"] or ()
    (invocation,) = found.items["invocations.paused"] or ()
    assert run.values["item.recoveries"] == 2
    assert invocation.values["item.resumes"] == 3
    assert invocation.values["item.restarts"] == 1


def test_what_has_completed_is_known_only_where_somebody_asked() -> None:
    """Not asked for is unknown, never an empty list; how it ended stands in ``result``."""
    assert findings(invocations=scan()).items["invocations.completed"] is None
    assert findings(invocations=scan(completed=())).items["invocations.completed"] == ()
    done = InvocationItem("inv_2", "Thing", "object", "k", "add", None, NOW, NOW, result="killed")
    view = scan(completed=(done,), paused=(replace(done, result=None),))
    found = findings(invocations=view).items
    (completed,) = found["invocations.completed"] or ()
    (paused,) = found["invocations.paused"] or ()
    assert (completed.values["item.result"], paused.values["item.result"]) == ("killed", "")
    assert (completed.values["item.blocks_key"], paused.values["item.blocks_key"]) == (False, True)


@pytest.mark.parametrize(
    ("service_type", "key", "handler", "blocks"),
    [
        ("service", None, "run", False),
        ("object", "k", "add", True),
        ("object", "k", "get", False),
        ("object", "k", "unheard-of", True),
        ("workflow", "k", "run", True),
        ("workflow", "k", "get", False),
    ],
)
def test_what_blocks_its_key(
    service_type: Any, key: str | None, handler: str, blocks: bool
) -> None:
    """A handler of an object that is not shared, and a workflow's run, keep others waiting."""
    shape = ServiceShape(
        "Thing", service_type, (Handler("add", "Exclusive"), Handler("get", "Shared"))
    )
    item = InvocationItem("inv_3", "Thing", service_type, key, handler, None, NOW, NOW)
    found = findings(
        services=ServicesView((Service(shape, "dp_0", 1),)), invocations=scan(paused=(item,))
    )
    (row,) = found.items["invocations.paused"] or ()
    assert row.values["item.blocks_key"] is blocks
