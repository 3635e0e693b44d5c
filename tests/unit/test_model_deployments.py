"""Deployments classified: the state as Restate's own command line computes it, and the owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.model.component import Component, Reason
from exporter.model.deployments import DeploymentFact, classify
from exporter.model.derive import derive
from exporter.model.report import Carried, Seen
from exporter.model.target import Target, Worker
from exporter.model.views import (
    Deployment,
    DeploymentsView,
    Discovery,
    DriftView,
    InvocationGroup,
    InvocationsView,
    Reachable,
    Service,
    ServiceShape,
    ServicesView,
    View,
)
from tests.unit.policy_scenes import NOW, report, views

HOUR = timedelta(hours=1)
TARGET = Target("prod", workers=(Worker("http://new:9080/", ("Greeter",)),))


def deployment(id_: str, url: str, *services: str, **metadata: str) -> Deployment:
    return Deployment(id_, url, "http", NOW - 9 * HOUR, services, metadata)


NEW = deployment("dp_new", "http://new:9080/", "Greeter")
OLD = deployment("dp_old", "http://old:9080/", "Greeter")
OTHER = deployment("dp_other", "http://other:9080/", "Billing")


def work(id_: str | None, service: str = "Greeter", status: str = "invoked") -> InvocationGroup:
    return InvocationGroup(id_, service, "service", status, None, 2, NOW - HOUR, NOW - HOUR)


def seen(
    *groups: InvocationGroup,
    deployments: tuple[Deployment, ...] = (NEW, OLD, OTHER),
    latest: Mapping[str, str] | None = None,
    reachable: Mapping[str, Reachable] | None = None,
) -> dict[Component, View]:
    serving = {"Greeter": "dp_new", "Billing": "dp_other"} if latest is None else latest
    found = tuple(
        Discovery(url, "http", word, None, latest=False) for url, word in (reachable or {}).items()
    )
    return views(TARGET) | {
        Component.DEPLOYMENTS: DeploymentsView(deployments),
        Component.SERVICES: ServicesView(
            tuple(
                Service(ServiceShape(name, "service", ()), id_, 1) for name, id_ in serving.items()
            )
        ),
        Component.INVOCATIONS: InvocationsView(
            groups, (), frozenset(d.id for d in deployments), 0.1
        ),
        Component.DRIFT: DriftView(found),
    }


def facts(
    shown: Mapping[Component, View],
    target: Target = TARGET,
    failed: Mapping[Component, Reason] | None = None,
) -> dict[str, DeploymentFact]:
    found = classify(report(shown, target=target, failed=failed), target, NOW)
    assert found is not None
    return {fact.id: fact for fact in found}


def test_active_is_latest_for_a_service() -> None:
    """Whatever work is pinned to it."""
    assert facts(seen(work("dp_new")))["dp_new"].state == "active"


def test_draining_while_unfinished_work_is_pinned() -> None:
    """Work of any status but completed keeps it, one of a later version included."""
    for status in ("invoked", "paused", "scheduled", "of-a-later-version"):
        fact = facts(seen(work("dp_old", status=status)))["dp_old"]
        assert (fact.state, fact.pinned) == ("draining", 2)


def test_drained_without_unfinished_work() -> None:
    """Completed work, and work pinned elsewhere, does not keep it."""
    fact = facts(seen(work("dp_old", status="completed"), work("dp_new")))["dp_old"]
    assert (fact.state, fact.pinned, fact.unpinned) == ("drained", 0, 0)


def test_unpinned_work_that_only_it_serves_keeps_it() -> None:
    """In-flight work that has stored nothing yet has no pin (restate-facts, Deployments)."""
    only = deployment("dp_old", "http://old:9080/", "Legacy", "Greeter")
    shown = seen(work(None, "Legacy"), work(None, "Greeter"), deployments=(NEW, only))
    fact = facts(shown)["dp_old"]
    assert (fact.state, fact.unpinned) == ("draining", 2)


@pytest.mark.parametrize(
    ("component", "states"),
    [
        (Component.SERVICES, {"dp_new": "unknown", "dp_old": "unknown"}),
        (Component.INVOCATIONS, {"dp_new": "active", "dp_old": "unknown"}),
    ],
)
def test_a_state_is_unknown_rather_than_guessed(
    component: Component, states: dict[str, str]
) -> None:
    """What could not be read leaves a state unknown; drained would get it deleted."""
    shown = seen(deployments=(NEW, OLD))
    found = facts(shown, failed={component: Reason.QUERY_FAILED})
    assert {id_: fact.state for id_, fact in found.items()} == states
    values = derive(
        report(shown, target=TARGET, failed={component: Reason.QUERY_FAILED}), TARGET, now=NOW
    ).values
    assert "deployments.drained" not in values
    assert "deployments.draining" not in values


def test_no_deployments_is_not_unknown_deployments() -> None:
    """An empty list is a fact; a list that could not be read is none."""
    empty = seen(deployments=())
    assert classify(report(empty, target=TARGET), TARGET, NOW) == ()
    unread = report(empty, target=TARGET, failed={Component.DEPLOYMENTS: Reason.TIMEOUT})
    assert classify(unread, TARGET, NOW) is None


def test_ours_is_at_a_workers_url_or_serves_only_what_our_workers_serve() -> None:
    """The URL is compared as the server stores it; one foreign service makes it foreign."""
    same = deployment("dp_same", "http://NEW:9080", "Whatever")
    mixed = deployment("dp_mixed", "http://mixed:9080/", "Greeter", "Billing")
    empty = deployment("dp_empty", "http://empty:9080/")
    found = facts(seen(deployments=(NEW, OLD, OTHER, mixed, empty)))
    owners = {id_: fact.owner for id_, fact in found.items()}
    assert owners == {
        "dp_new": "ours",
        "dp_old": "ours",
        "dp_other": "foreign",
        "dp_mixed": "foreign",
        "dp_empty": "foreign",
    }
    assert facts(seen(deployments=(same,)))["dp_same"].owner == "ours"


def test_what_is_registered_at_a_workers_url_counts_as_its_services() -> None:
    """A worker whose services are not configured tells by its registration what is ours."""
    plain = replace(TARGET, workers=(Worker("http://new:9080/"),))
    assert facts(seen(), plain)["dp_old"].owner == "ours"
    assert facts(seen(deployments=(OLD, OTHER)), plain)["dp_old"].owner == "foreign"


def test_protected_needs_every_pair_of_the_metadata() -> None:
    """Protection comes first, even at a worker's URL; without pairs nothing is protected."""
    guarded = replace(TARGET, protected_metadata={"managed-by": "operator", "tier": "1"})
    half = replace(NEW, metadata={"managed-by": "operator"})
    whole = replace(OLD, metadata={"managed-by": "operator", "tier": "1", "more": "x"})
    found = facts(seen(deployments=(half, whole)), guarded)
    assert (found["dp_new"].owner, found["dp_old"].owner) == ("ours", "protected")
    assert facts(seen(deployments=(whole,)))["dp_old"].owner == "ours"


def test_ghosts_are_draining_with_a_dead_endpoint() -> None:
    """An endpoint that may be alive, or was not tried, makes no ghost; nor does a drained one."""

    def ghosts(word: Reachable, *groups: InvocationGroup) -> object:
        shown = seen(*groups, reachable={"http://old:9080/": word})
        return derive(report(shown, target=TARGET), TARGET, now=NOW).values["deployments.ghost"]

    assert ghosts("no", work("dp_old")) == ["dp_old"]
    assert ghosts("unknown", work("dp_old")) == []
    assert ghosts("yes", work("dp_old")) == []
    assert ghosts("no") == []
    assert facts(seen())["dp_old"].reachable == "unknown"


def test_the_age_of_a_state_comes_from_earlier_readings() -> None:
    """Seen in this state since: only if it is still the same one, and never negative."""
    shown = seen(work("dp_old"))
    for value, since, age in (
        ("draining", NOW - HOUR, HOUR),
        ("draining", NOW + HOUR, timedelta(0)),
        ("drained", NOW - HOUR, timedelta(0)),
    ):
        carried = Carried(states={"dp_old": Seen(value, since, since)})
        found = classify(replace(report(shown, target=TARGET), carried=carried), TARGET, NOW)
        assert found is not None
        assert {f.id: f.state_age for f in found}["dp_old"] == age
