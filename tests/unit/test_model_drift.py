"""Drift: what an endpoint offers beside what is registered, by name, type and handlers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.model.component import Component
from exporter.model.derive import derive
from exporter.model.drift import Drift, compare, fingerprint
from exporter.model.target import Target, Worker
from exporter.model.views import (
    Discovery,
    DriftView,
    Handler,
    Reachable,
    ServiceShape,
    ServiceType,
)
from tests.unit.policy_scenes import NOW, ONE, URL, report, views

MANY = settings(max_examples=80, deadline=None)
DRIFT_VALUES = {f"drift.{w}" for w in ("added", "dropped", "changed", "type_changed", "stable")}
words = st.text(st.sampled_from("ab:;,()|\"'/ "), min_size=1, max_size=4)
offers = st.lists(
    st.builds(
        ServiceShape,
        name=words,
        type=st.sampled_from(["service", "object", "workflow"]),
        handlers=st.lists(
            st.builds(Handler, name=words, type=words | st.just("")),
            max_size=2,
            unique_by=lambda handler: handler.name,
        ).map(tuple),
    ),
    max_size=3,
    unique_by=lambda offered: offered.name,
)


def service(name: str, kind: ServiceType = "service", **handlers: str) -> ServiceShape:
    return ServiceShape(name, kind, tuple(Handler(n, t) for n, t in handlers.items()))


def test_every_kind_of_difference_has_its_list() -> None:
    """Whole services by name, handlers as ``Svc/handler``; each list is sorted."""
    offered = [
        service("New", run="Workflow"),
        service("Kept", "object", add="Shared", more="Exclusive", same="Shared"),
        service("Abc"),
    ]
    registered = [
        service("Kept", add="Exclusive", gone="Shared", same="Shared"),
        service("Old", run=""),
    ]
    assert compare(offered, registered) == Drift(
        added=("Abc", "Kept/more", "New"),
        dropped=("Kept/gone", "Old"),
        changed=("Kept/add",),
        type_changed=("Kept",),
    )


@MANY
@given(offers)
def test_what_is_equal_does_not_drift(offered: list[ServiceShape]) -> None:
    """In whatever order services and handlers are listed."""
    turned = [ServiceShape(s.name, s.type, tuple(reversed(s.handlers))) for s in reversed(offered)]
    assert compare(offered, turned) == Drift()
    assert fingerprint(offered) == fingerprint(turned)


@MANY
@example(
    [ServiceShape("A", "service", (Handler("b:c"),))],
    [ServiceShape("A", "service", (Handler("b", "c:"),))],
)
@given(offers, offers)
def test_drift_and_fingerprint_agree(one: list[ServiceShape], other: list[ServiceShape]) -> None:
    """Two offers have the same fingerprint exactly when nothing differs, whatever the names."""
    assert (fingerprint(one) == fingerprint(other)) == (not compare(one, other).any)


@MANY
@given(offers, offers)
def test_seen_from_the_other_side(one: list[ServiceShape], other: list[ServiceShape]) -> None:
    """What one side adds the other drops; what changed has changed for both."""
    there, back = compare(one, other), compare(other, one)
    assert (there.added, there.dropped) == (back.dropped, back.added)
    assert (there.changed, there.type_changed) == (back.changed, back.type_changed)
    for names in (there.added, there.dropped, there.changed, there.type_changed):
        assert list(names) == sorted(names)


def test_as_json_has_the_same_four_lists() -> None:
    """Ledger and answers name them alike."""
    drift = Drift(("A",), ("B",), ("C/x",), ("D",))
    assert drift.as_json() == {
        "added": ["A"],
        "dropped": ["B"],
        "changed": ["C/x"],
        "typeChanged": ["D"],
    }


def found(url: str, id_: str | None = None, *, reachable: Reachable = "yes") -> Discovery:
    """An endpoint that offers one service nobody registered."""
    latest = id_ == "dp_new"
    return Discovery(url, "http", reachable, id_, latest, (service(f"At-{url[7:10]}"),))


OLD = found("http://old:9080/", "dp_old")
OTHER = found("http://its:9080/", "dp_new")


def values_of(*discoveries: Discovery, target: Target = ONE) -> Mapping[str, object]:
    shown = views(target) | {Component.DRIFT: DriftView(discoveries)}
    return derive(report(shown, target=target), target, now=NOW).values


def test_only_workers_count_where_they_are_named() -> None:
    """Registered as the latest or not at all; what drains on purpose differs by design."""
    values = values_of(OLD, OTHER, found(URL))
    assert values["drift.added"] == ["At-w1:"]
    assert values_of(found(URL, "dp_new"))["drift.added"] == ["At-w1:"]
    assert values_of(found(URL, "dp_old"))["drift.added"] == []


def test_without_workers_whatever_is_latest_counts() -> None:
    """Somebody who configured no workers still sees that something is not registered."""
    assert values_of(OLD, OTHER, target=Target("prod"))["drift.added"] == ["At-its"]


@pytest.mark.parametrize("reachable", ["no", "unknown"])
def test_what_a_worker_offers_that_does_not_answer_is_unknown(reachable: Reachable) -> None:
    """The drift of the others is not the whole: no list says that nothing differs."""
    two = replace(ONE, workers=(*ONE.workers, Worker("http://w2:9080/")))
    silent = found("http://w2:9080/", reachable=reachable)
    values = values_of(found(URL), silent, target=two)
    assert not [name for name in values if name in DRIFT_VALUES]
    assert values["drift.status"] == "ok"
    assert values_of(found(URL), replace(OLD, reachable=reachable))["drift.added"] == ["At-w1:"]
