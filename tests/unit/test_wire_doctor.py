"""The doctor answer of the operator recovery API: exactly the documented shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings

from exporter.model.component import RECOVERY_API_COMPONENTS, Component, Reason, Status
from exporter.model.report import Reading, Report
from exporter.model.target import Target, Worker
from exporter.model.views import (
    AdminView,
    Deployment,
    DeploymentsView,
    IngressView,
    InvocationGroup,
    InvocationsView,
    RecentFailure,
    Service,
    ServiceShape,
    ServicesView,
    View,
)
from exporter.wire.body import timestamp
from exporter.wire.doctor import doctor_answer
from tests.unit.random_reports import scenes

NOW = datetime(2026, 5, 9, 10, 8, tzinfo=UTC)
TARGET = Target("prod", workers=(Worker("http://ddwf:9080/v1"),))
LISTS = ("deployments", "services", "invocations")

DOCUMENTED = json.loads("""
{
  "ingress": { "status": "ok", "latencyMs": 12 },
  "admin": { "status": "ok", "latencyMs": 9, "version": "1.4.0" },
  "deployments": {
    "status": "ok",
    "items": [
      {
        "id": "dp_01j8m7k2q3r4s5t6u7v8w9x0y1",
        "serviceUrl": "http://ddwf:9080/v1",
        "createdAt": "2026-05-09T10:00:00.000Z"
      }
    ],
    "error": null
  },
  "services": {
    "status": "ok",
    "items": [{ "name": "IdentityRecoveryWorkflow", "revision": 3 }],
    "error": null
  },
  "invocations": {
    "status": "ok",
    "byStatus": { "invoked": 2, "suspended": 1 },
    "recentFailures": [
      {
        "id": "inv_01j8m7p2q3r4s5t6u7v8w9x0z2",
        "serviceName": "IdentityRecoveryWorkflow",
        "serviceKey": "invitation_01j8m7k2q3r4s5t6u7v8w9x0y1",
        "failedAt": "2026-05-09T10:07:19.000Z",
        "errorMessage": "TerminalError: upstream provider returned a terminal failure"
      }
    ],
    "error": null
  }
}
""")
"""The example of the operator API's documentation."""


def group(status: str, count: int, service: str = "IdentityRecoveryWorkflow") -> InvocationGroup:
    return InvocationGroup(None, service, "workflow", status, None, count, NOW, NOW)


def failure(number: int = 0, **changes: Any) -> RecentFailure:
    facts: dict[str, Any] = {
        "id": f"inv_{number}",
        "service": "Signup",
        "key": "anna",
        "failed_at": NOW,
        "error": "[500] boom",
    }
    return RecentFailure(**facts | changes)


def views() -> dict[Component, View]:
    """The environment of the documentation's example."""
    shape = ServiceShape("IdentityRecoveryWorkflow", "workflow", ())
    failed = failure(
        id="inv_01j8m7p2q3r4s5t6u7v8w9x0z2",
        service="IdentityRecoveryWorkflow",
        key="invitation_01j8m7k2q3r4s5t6u7v8w9x0y1",
        failed_at=datetime(2026, 5, 9, 10, 7, 19, tzinfo=UTC),
        error="TerminalError: upstream provider returned a terminal failure",
    )
    deployment = Deployment(
        "dp_01j8m7k2q3r4s5t6u7v8w9x0y1",
        "http://ddwf:9080/v1",
        "http",
        datetime(2026, 5, 9, 10, tzinfo=UTC),
        ("IdentityRecoveryWorkflow",),
    )
    return {
        Component.INGRESS: IngressView(frozenset({"IdentityRecoveryWorkflow"})),
        Component.ADMIN: AdminView("1.4.0"),
        Component.DEPLOYMENTS: DeploymentsView((deployment,)),
        Component.SERVICES: ServicesView((Service(shape, deployment.id, 3),)),
        Component.INVOCATIONS: InvocationsView(
            (group("invoked", 2), group("suspended", 1), group("completed", 90)),
            (failed,),
            frozenset({deployment.id}),
            0.1,
        ),
    }


def report(
    changed: Mapping[Component, View] | None = None,
    *,
    failing: Mapping[Component, tuple[Reason, float | None]] | None = None,
    at: datetime = NOW,
) -> Report:
    """A report of the example; ``failing`` gives a reason, and the latency if there was one."""
    latencies = {Component.INGRESS: 0.012, Component.ADMIN: 0.009}
    readings = {}
    for component, view in (views() | dict(changed or {})).items():
        reason, latency = (failing or {}).get(component, (None, latencies.get(component)))
        readings[component] = Reading(
            component,
            reason.status if reason else Status.OK,
            at,
            at,
            TARGET.intervals[component],
            latency_seconds=latency,
            reason=reason,
            error=f"it says {reason}" if reason else None,
            view=None if reason else view,
        )
    return Report("prod", readings)


def answer(seen: Report, now: datetime = NOW) -> Any:
    """As it comes out of a JSON parser."""
    return json.loads(json.dumps(doctor_answer(seen, now=now).as_json()))


def test_a_healthy_environment_is_the_documented_example() -> None:
    """Key for key, in the documented order, with nothing beside it."""
    found = answer(report())
    assert found == DOCUMENTED
    assert list(found) == list(DOCUMENTED)
    for component in found:
        assert set(found[component]) == set(DOCUMENTED[component])


@pytest.mark.parametrize("component", RECOVERY_API_COMPONENTS)
@pytest.mark.parametrize(
    ("reason", "status"),
    [(Reason.REFUSED, "unreachable"), (Reason.HTTP_STATUS, "degraded")],
)
def test_a_failing_component_degrades_only_itself(
    component: Component, reason: Reason, status: str
) -> None:
    """With its status and its error; the lists are there and empty, the others untouched."""
    found = answer(report(failing={component: (reason, None)}))
    mine = found.pop(component)
    assert (mine["status"], mine["error"]) == (status, f"it says {reason}")
    assert set(mine) == set(DOCUMENTED[component]) | {"error"}
    assert found == {name: DOCUMENTED[name] for name in found}
    match component:
        case Component.DEPLOYMENTS | Component.SERVICES:
            assert mine["items"] == []
        case Component.INVOCATIONS:
            assert (mine["byStatus"], mine["recentFailures"]) == ({}, [])
        case Component.ADMIN:
            assert (mine["latencyMs"], mine["version"]) == (None, None)
        case _:
            assert mine["latencyMs"] is None


def test_a_wrong_answer_still_has_its_latency() -> None:
    """It answered, although wrongly: how long that took was measured."""
    found = answer(report(failing={Component.ADMIN: (Reason.UNAUTHORIZED, 0.02345)}))
    assert (found["admin"]["latencyMs"], found["admin"]["status"]) == (23.4, "degraded")


def test_what_was_never_read_is_degraded() -> None:
    """Right after the start nothing is ok, and nothing looks as if it were not there."""
    found = answer(Report("prod"))
    assert {part["status"] for part in found.values()} == {"degraded"}
    assert {part["error"] for part in found.values()} == {"not read yet"}


def test_what_was_read_too_long_ago_is_degraded() -> None:
    """Three intervals later its lists are no longer told."""
    seen = report()
    minute = answer(seen, NOW + timedelta(seconds=46))
    assert {name: part["status"] for name, part in minute.items()} == {
        "ingress": "degraded",
        "admin": "degraded",
        "deployments": "degraded",
        "services": "degraded",
        "invocations": "ok",
    }
    assert minute["deployments"]["items"] == []
    assert minute["deployments"]["error"] == "the newest reading is stale"
    assert minute["admin"]["version"] is None
    assert answer(seen, NOW - timedelta(hours=1))["ingress"]["status"] == "degraded"


def test_counts_are_of_unfinished_work_in_restates_words() -> None:
    """Summed over services; completed work is not counted, a word of a later version is."""
    groups = (
        group("invoked", 2, "A"),
        group("invoked", 3, "B"),
        group("completed", 7),
        group("paused", 1),
        group("of-a-later-version", 4),
    )
    view = InvocationsView(groups, (), frozenset(), 0.1)
    found = answer(report({Component.INVOCATIONS: view}))
    assert found["invocations"]["byStatus"] == {
        "invoked": 5,
        "paused": 1,
        "of-a-later-version": 4,
    }


def test_at_most_twenty_failures_in_the_order_of_the_scan() -> None:
    """Newest first, as the scan lists them."""
    rows = tuple(failure(n) for n in range(30))
    view = InvocationsView((), rows, frozenset(), 0.1)
    found = answer(report({Component.INVOCATIONS: view}))["invocations"]["recentFailures"]
    assert [row["id"] for row in found] == [f"inv_{n}" for n in range(20)]


def test_a_plain_service_has_a_null_key() -> None:
    """Recovery is for keys only: use it only when it is present."""
    view = InvocationsView((), (failure(key=None),), frozenset(), 0.1)
    (row,) = answer(report({Component.INVOCATIONS: view}))["invocations"]["recentFailures"]
    assert row["serviceKey"] is None
    assert set(row) == set(DOCUMENTED["invocations"]["recentFailures"][0])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:hunter2@ddwf:9080/v1?a=b#c", "http://REDACTED@ddwf:9080/v1?a=b#c"),
        ("http://ddwf:9080/", "http://ddwf:9080/"),
        (
            "arn:aws:lambda:eu-central-1:1:function:x:1",
            "arn:aws:lambda:eu-central-1:1:function:x:1",
        ),
    ],
)
def test_the_service_url_is_as_registered_without_user_info(url: str, shown: str) -> None:
    """Exact, trailing slash and all; a Lambda function is its ARN."""
    items = (Deployment("dp_1", url, "http", NOW, ()),)
    found = answer(report({Component.DEPLOYMENTS: DeploymentsView(items)}))
    assert found["deployments"]["items"][0]["serviceUrl"] == shown


def test_a_failure_message_hides_secrets() -> None:
    """It is text from a worker, which may quote whatever it was given."""
    failed = failure(error="cannot reach http://u:hunter2@h/x with Bearer hunter2hunter2")
    view = InvocationsView((), (failed,), frozenset(), 0.1)
    (row,) = answer(report({Component.INVOCATIONS: view}))["invocations"]["recentFailures"]
    assert "hunter2" not in row["errorMessage"]
    assert row["errorMessage"].startswith("cannot reach http://REDACTED@h/x with Bearer")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 5, 9, 10, tzinfo=UTC), "2026-05-09T10:00:00.000Z"),
        (datetime(2026, 5, 9, 10, 0, 0, 571_999, tzinfo=UTC), "2026-05-09T10:00:00.571Z"),
        (
            datetime(2026, 5, 9, 12, tzinfo=timezone(timedelta(hours=2))),
            "2026-05-09T10:00:00.000Z",
        ),
    ],
)
def test_a_timestamp_is_utc_in_milliseconds(moment: datetime, text: str) -> None:
    """With a Z, whatever zone it came in."""
    assert timestamp(moment) == text


@settings(max_examples=25, deadline=None)
@given(scenes())
def test_the_shape_is_the_same_whatever_was_read(scene: tuple[Target, Report]) -> None:
    """All five components with their documented keys, a documented status, ``error`` as it must."""
    _, seen = scene
    found = answer(seen)
    assert list(found) == list(DOCUMENTED)
    for name, part in found.items():
        assert part["status"] in {"ok", "degraded", "unreachable"}
        optional = set() if name in LISTS else {"error"}
        assert set(part) - optional == set(DOCUMENTED[name]) - optional
        assert ("error" in part) == (name in LISTS or part["status"] != "ok")
        assert (part.get("error") is None) == (part["status"] == "ok")
        for row in part.get("items", []):
            assert set(row) == set(DOCUMENTED[name]["items"][0])
