"""The client of a remote operator API: what it sends, and what each answer means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.families import value_rows
from exporter.model.component import RECOVERY_API_COMPONENTS, Component, Reason, Status
from exporter.model.derive import derive
from exporter.model.errors import CallFailedError, RefusedElsewhereError, RefusedError
from exporter.model.report import Reading, Report
from exporter.model.target import Target
from exporter.model.views import DeploymentList, InvocationSummary, ServiceList
from exporter.operator_api import Acknowledgement, OperatorApi, Told, told_of
from exporter.policy.sight import known_values
from exporter.transport import Transport
from exporter.wire.doctor import doctor_answer
from tests.unit import hostile
from tests.unit.fake_platform import (
    CLEANUP,
    FAILED,
    KEPT,
    KEY,
    RECOVER,
    REDEPLOY,
    URL,
    FakePlatform,
    deployment,
    failure,
    healthy,
    refusal,
)

NOW = datetime(2026, 5, 9, 10, 10, tzinfo=UTC)
SHORT = timedelta(seconds=0.5)


@asynccontextmanager
async def calling(platform: FakePlatform, target: str | None = None) -> AsyncIterator[OperatorApi]:
    async with platform.serving() as url, Transport() as transport:
        yield OperatorApi(
            transport,
            url=url,
            key=lambda: KEY,
            target=target,
            doctor_timeout=SHORT,
            write_timeout=SHORT,
        )


# What is sent


async def test_only_documented_fields_are_sent_with_the_key_in_its_header() -> None:
    """A platform may refuse what it does not know; why goes in a header, as it was written."""
    platform = FakePlatform()
    async with calling(platform, target="eu-1") as api:
        await api.doctor()
        await api.force_redeploy(URL, force=True, why="policy:heal: Grüße\nan alle")
        await api.cleanup(URL)
        await api.recover("Signup", "stuck")
    assert [(route, body) for route, body, _ in platform.asked] == [
        ("doctor", {}),
        (REDEPLOY, {"serviceUrl": URL, "force": True}),
        (CLEANUP, {"serviceUrl": URL, "forceDrain": False}),
        (RECOVER, {"serviceName": "Signup", "serviceKey": "stuck"}),
    ]
    for _, _, request in platform.asked:
        assert request.path.endswith("?target=eu-1")
        assert (request.headers["x-api-key"], "authorization" in request.headers) == (KEY, False)
    reason = platform.asked[1][2].headers["x-reason"]
    assert reason.encode("latin-1").decode() == "policy:heal: Grüße an alle"


async def test_an_override_is_sent_when_a_person_gives_one() -> None:
    """And not as an empty list otherwise."""
    platform = FakePlatform()
    async with calling(platform) as api:
        await api.force_redeploy(URL, force=False, allow=["rollback", "foreign"])
        await api.recover("Signup", "stuck", allow=["unknown-sleeps"])
    assert [body["allow"] for _, body in platform.writes()] == [
        ["foreign", "rollback"],
        ["unknown-sleeps"],
    ]


# What doctor tells


def told(**changes: Any) -> dict[Component, Told]:
    return told_of(healthy() | changes)


def test_the_documented_example_is_read_whole() -> None:
    """Every fact of it, and none that it does not hold."""
    found = told()
    assert {one.status for one in found.values()} == {Status.OK}
    assert found[Component.INGRESS].latency_seconds == 0.012
    deployments = found[Component.DEPLOYMENTS].view
    assert isinstance(deployments, DeploymentList)
    first = deployments.items[0]
    assert (first.id, first.url, first.kind) == (KEPT, URL, "http")
    assert first.created_at == datetime(2026, 5, 9, 10, tzinfo=UTC)
    services = found[Component.SERVICES].view
    assert isinstance(services, ServiceList)
    assert dict(services.revisions) == {"Signup": 3}
    summary = found[Component.INVOCATIONS].view
    assert isinstance(summary, InvocationSummary)
    assert (summary.by_status, summary.complete) == ({"invoked": 2, "suspended": 1}, True)
    assert [(f.id, f.key) for f in summary.recent_failures] == [(FAILED, "stuck")]


@pytest.mark.parametrize(
    ("component", "part"),
    [
        ("ingress", None),
        ("ingress", {"status": "ok", "latencyMs": "12"}),
        ("ingress", {"status": "ok", "latencyMs": True}),
        ("ingress", {"status": "ok", "latencyMs": -1}),
        ("admin", {"status": "healthy", "latencyMs": 1}),
        ("admin", {"status": ["ok"]}),
        ("admin", {"latencyMs": 1}),
        ("admin", {"status": "ok", "latencyMs": 1, "version": 1.4}),
        ("deployments", {"status": "ok"}),
        ("deployments", {"status": "ok", "items": None}),
        ("deployments", {"status": "ok", "items": [{"id": "dp"}]}),
        ("deployments", {"status": "ok", "items": [deployment(at="yesterday")]}),
        ("deployments", {"status": "ok", "items": [deployment(at="2026-05-09T10:00:00")]}),
        ("deployments", {"status": "ok", "items": [deployment(at="0001-01-01T00:00:00+14:00")]}),
        ("deployments", {"status": "ok", "items": [deployment(), deployment()]}),
        ("deployments", {"status": "ok", "items": [deployment(id_="dp\ud800")]}),
        ("services", {"status": "ok"}),
        ("services", {"status": "ok", "items": [{"name": "", "revision": 1}]}),
        ("services", {"status": "ok", "items": [{"name": "A", "revision": 2**70}]}),
        ("invocations", {"status": "ok", "byStatus": {}}),
        ("invocations", {"status": "ok", "recentFailures": []}),
        ("invocations", {"status": "ok", "byStatus": {"paused": -1}, "recentFailures": []}),
        ("invocations", {"status": "ok", "byStatus": {"paused": "1"}, "recentFailures": []}),
        ("invocations", {"status": "ok", "byStatus": {"a b": 1}, "recentFailures": []}),
        (
            "invocations",
            {"status": "ok", "byStatus": {f"w{n}": 1 for n in range(60)}, "recentFailures": []},
        ),
        ("invocations", {"status": "ok", "byStatus": {}, "recentFailures": [{"id": "inv"}]}),
    ],
)
def test_what_deviates_degrades_its_own_component_only(component: str, part: Any) -> None:
    """With a bounded reason and where it is; never as an empty list or a zero."""
    found = told(**{component: part})
    bad = found.pop(Component(component))
    assert (bad.status, bad.reason, bad.view) == (Status.DEGRADED, Reason.BAD_BODY, None)
    assert bad.error
    assert component in bad.error
    assert {one.status for one in found.values()} == {Status.OK}


def test_what_is_not_documented_is_ignored() -> None:
    """A newer platform does no harm."""
    body = healthy()
    for part in body.values():
        part["something"] = {"new": [1]}
    body["deployments"]["items"][0]["services"] = ["Signup"]
    assert told_of({**body, "cluster": "c"}) == told()


def test_more_failures_than_documented_make_a_list_that_was_cut() -> None:
    """So what is absent from it may still be there."""
    rows = [failure(id_=f"inv_{n}", at=f"2026-05-09T10:07:{n:02}.000Z") for n in range(25)]
    body = {"status": "ok", "byStatus": {}, "recentFailures": rows}
    summary = told(invocations=body)[Component.INVOCATIONS].view
    assert isinstance(summary, InvocationSummary)
    assert (len(summary.recent_failures), summary.complete) == (20, False)


@pytest.mark.parametrize(
    ("by_status", "counts"),
    [
        ({}, {"invoked": 0, "paused": 0}),
        ({"suspended": 3, "completed": 9, "killed": 1}, {"suspended": 3, "paused": 0}),
        ({"running": 2, "paused": 1}, {"paused": 1, "invoked": None, "inboxed": None}),
    ],
)
def test_a_status_that_is_not_listed_is_zero_only_where_all_words_are_known(
    by_status: dict[str, int], counts: dict[str, int | None]
) -> None:
    """Another platform may call it running; then how many are invoked is not known."""
    body = {"status": "ok", "byStatus": by_status, "recentFailures": []}
    found = told(invocations=body)
    findings = derive(report_of(found), TARGET, now=NOW)
    rows = dict(value_rows(findings))["invocations"]
    for status, count in counts.items():
        assert findings.values.get(f"invocations.{status}") == count
        assert rows.get((status,)) == count
    assert ("completed",) not in rows


@pytest.mark.parametrize("status", ["degraded", "unreachable"])
def test_what_the_other_side_calls_broken_is_broken_here(status: str) -> None:
    """In its words, without anything secret, and with a reason of ours."""
    part = {"status": status, "error": "no route to http://u:hidden-word@h\nnow", "items": []}
    found = told(services=part)[Component.SERVICES]
    assert (found.status, found.reason, found.view) == (Status(status), Reason.REPORTED, None)
    assert found.error == "no route to http://h now"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
WORDS = st.sampled_from(["ok", "degraded", "unreachable", "9" * 400, "\ud800", ""])


@st.composite
def deviating(draw: st.DrawFn) -> Any:
    """The documented answer with a few of its parts replaced, dropped or made more."""
    body = deepcopy(healthy())
    for _ in range(draw(st.integers(1, 4))):
        place: Any = body
        for _ in range(draw(st.integers(0, 4))):
            inner = list(place.values()) if isinstance(place, dict) else list(place)
            inner = [one for one in inner if isinstance(one, (dict, list)) and one]
            if not inner:
                break
            place = draw(st.sampled_from(inner))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys)) if keys else None
        if key is None:
            continue
        match draw(st.sampled_from(["replace", "drop", "word"])):
            case "replace":
                place[key] = draw(JSON)
            case "drop":
                del place[key]
            case _:
                place[key] = draw(WORDS)
    return body


@given(body=deviating() | st.dictionaries(st.sampled_from(list(Component)), JSON))
def test_no_answer_breaks_anything_and_unknown_is_never_zero(body: Any) -> None:
    """Findings, conditions, metrics and our own doctor route hold with whatever comes.

    A component without a view binds nothing of its own.
    """
    found = told_of({str(name): part for name, part in body.items()})
    assert tuple(found) == RECOVERY_API_COMPONENTS
    for one in found.values():
        assert (one.view is not None) == (one.status is Status.OK)
        assert (one.reason is not None) == (one.error is not None) == (one.view is None)
    findings = derive(report_of(found), TARGET, now=NOW)
    values = known_values(findings)
    for component, prefix in (
        (Component.SERVICES, "services.missing"),
        (Component.DEPLOYMENTS, "deployments.registered"),
        (Component.INVOCATIONS, "invocations.paused"),
    ):
        if found[component].view is None:
            assert prefix not in values
    assert (findings.items["workflows.failed"] is None) == (
        found[Component.INVOCATIONS].view is None
    )
    for _, rows in value_rows(findings):
        assert all(isinstance(value, float) for value in rows.values())
    json.dumps(doctor_answer(report_of(found), now=NOW).as_json(), ensure_ascii=False).encode()


TARGET = Target(
    "platform",
    kind="dalp",
    expected_services=("Signup",),
    intervals=dict.fromkeys(RECOVERY_API_COMPONENTS, timedelta(minutes=5)),
)


def report_of(found: dict[Component, Told]) -> Report:
    readings = {
        component: Reading(
            component,
            one.status,
            NOW,
            NOW,
            timedelta(minutes=5),
            one.latency_seconds,
            one.reason,
            one.error,
            one.view,
        )
        for component, one in found.items()
    }
    return Report("platform", readings)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (hostile.answer(200, "<html>log in</html>", "text/html"), Reason.BAD_BODY),
        (hostile.answer(200, b""), Reason.BAD_BODY),
        (hostile.answer(200, b"[]"), Reason.BAD_BODY),
        (hostile.answer(200, b"[" * 100_000), Reason.BAD_BODY),
        (hostile.answer(200, b"\xff\xfe"), Reason.BAD_BODY),
        (hostile.endless(64 * 1024 * 1024), Reason.TOO_LARGE),
        (hostile.endless(64 * 1024 * 1024, chunked=True), Reason.TOO_LARGE),
        (hostile.drip(json.dumps(healthy()).encode()), Reason.TIMEOUT),
        (hostile.hang, Reason.TIMEOUT),
        (hostile.hang_up(), Reason.RESET),
        (hostile.breaks_after(b'{"ingress"', promised=500), Reason.RESET),
        (hostile.answer(302, b"", location="https://login"), Reason.HTTP_STATUS),
        (hostile.answer(204, b""), Reason.HTTP_STATUS),
        (hostile.answer(404, "<html>no</html>", "text/html"), Reason.HTTP_STATUS),
        (hostile.answer(502, "<html>no</html>", "text/html"), Reason.HTTP_STATUS),
        (refusal(401, "UNAUTHORIZED"), Reason.UNAUTHORIZED),
        (refusal(403, "OFFCHAIN_USER_PERMISSION_REQUIRED"), Reason.UNAUTHORIZED),
        (refusal(404, "TARGET_NOT_FOUND"), Reason.HTTP_STATUS),
        (refusal(503, "RESTATE_ADMIN_UNREACHABLE"), Reason.REPORTED),
        (refusal(503, "LEDGER_UNAVAILABLE"), Reason.THROTTLED),
        (refusal(429, "TOO_MANY_REQUESTS"), Reason.THROTTLED),
    ],
)
async def test_a_doctor_call_without_a_usable_answer(reply: hostile.Reply, reason: Reason) -> None:
    """A bounded reason, a sentence, and nothing of the key even when the other side quotes it."""
    platform = FakePlatform(doctors=[reply])
    async with calling(platform) as api:
        with pytest.raises(CallFailedError) as caught:
            await api.doctor()
    assert caught.value.reason is reason
    assert KEY not in str(caught.value)


async def test_a_wait_that_is_asked_for_is_kept() -> None:
    """Retry-After of a 429."""
    platform = FakePlatform(doctors=[hostile.answer(429, b"slow down", Retry_After="7")])
    async with calling(platform) as api:
        with pytest.raises(CallFailedError) as caught:
            await api.doctor()
    assert caught.value.retry_after == timedelta(seconds=7)


# What became of a write

BLOCKED = "RESTATE_WORKFLOW_RETRY_BLOCKED"
UNREACHABLE = "RESTATE_ADMIN_UNREACHABLE"


@pytest.mark.parametrize(
    ("reply", "word", "data"),
    [
        (
            refusal(409, BLOCKED, reason="active-invocation", invocationIds=["inv_2"]),
            "active-invocation",
            {"invocationIds": ["inv_2"]},
        ),
        (
            refusal(409, BLOCKED, reason="already-succeeded", invocationIds="inv_2"),
            "already-succeeded",
            {"invocationIds": []},
        ),
        (refusal(502, BLOCKED, reason="query-failed"), "query-failed", {"invocationIds": []}),
        (refusal(404, "RESTATE_DEPLOYMENT_NOT_FOUND"), "deployment-not-found", {}),
        (
            refusal(409, "OPERATION_IN_FLIGHT", operationId="op_9"),
            "in-flight",
            {"remoteOperationId": "op_9"},
        ),
        (refusal(409, "PREFLIGHT_REFUSED", reason="not-latest"), "not-latest", {}),
        (refusal(409, "PREFLIGHT_REFUSED", reason="Not A Word!"), "preflight-refused", {}),
        (refusal(422, "REMEDY_UNSUPPORTED"), "remedy-unsupported", {}),
        (refusal(422, "TARGET_AMBIGUOUS", targets=["a", "b"]), "target-ambiguous", {}),
        (refusal(404, "TARGET_NOT_FOUND"), "target-not-found", {}),
        (refusal(422, "BAD_REQUEST"), "bad-request", {}),
        (refusal(503, "SHUTTING_DOWN", reason="stopping"), "stopping", {}),
        (refusal(401, "UNAUTHORIZED"), "unauthorized", {}),
        (refusal(403, "OFFCHAIN_USER_PERMISSION_REQUIRED"), "unauthorized", {}),
        (hostile.answer(403, "<html>", "text/html"), "unauthorized", {}),
        (hostile.answer(429, b"slow down"), "throttled", {}),
        (hostile.answer(404, "<html>", "text/html"), "rejected", {}),
        (refusal(418, "TEAPOT"), "rejected", {}),
        (refusal(503, UNREACHABLE, cause="refused"), "admin-unreachable", {}),
        (refusal(502, "DISCOVERY_FAILED", cause="http_status"), "discovery-failed", {}),
        (refusal(502, "OPERATION_FAILED", outcome="refused"), "operation-failed", {}),
    ],
)
async def test_a_refusal_over_there_is_a_refusal_here(
    reply: hostile.Reply, word: str, data: dict[str, Any]
) -> None:
    """With the same word and ids, and where to find it in the other side's records."""
    error = await failed(reply)
    assert isinstance(error, RefusedElsewhereError)
    assert error.reason == word
    known = {k: v for k, v in error.data.items() if k != "remoteRequestId"}
    assert known == data


async def test_a_refusal_names_the_word_that_overrides_it() -> None:
    """As the local one does."""
    error = await failed(refusal(409, "PREFLIGHT_REFUSED", reason="not-latest", allow="rollback"))
    assert isinstance(error, RefusedElsewhereError)
    assert (error.override, error.data["remoteRequestId"]) == ("rollback", "req_1")


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (refusal(502, BLOCKED, reason="purge-failed", invocationIds=["inv_2"]), "purge-failed"),
        (refusal(502, "OPERATION_FAILED", outcome="failed"), "operation-failed"),
        (refusal(502, "DISCOVERY_FAILED", outcome="failed"), "discovery-failed"),
        (refusal(503, UNREACHABLE, outcome="failed", cause="reset"), "admin-unreachable"),
    ],
)
async def test_what_was_begun_over_there_and_failed_is_no_refusal(
    reply: hostile.Reply, word: str
) -> None:
    """Something of it may be done: it counts as failed."""
    error = await failed(reply)
    assert type(error) is RefusedError
    assert error.reason == word


@pytest.mark.parametrize(
    "reply",
    [
        refusal(503, UNREACHABLE),
        refusal(503, UNREACHABLE, outcome="indeterminate"),
        refusal(502, "OPERATION_FAILED", outcome="interrupted"),
        refusal(503, "LEDGER_UNAVAILABLE"),
        refusal(500, "INTERNAL"),
        hostile.answer(500, "<html>", "text/html"),
        hostile.answer(502, "<html>", "text/html"),
        hostile.answer(503, b""),
        hostile.answer(504, b""),
        hostile.answer(302, b"", location="https://login"),
        hostile.answer(200, "<html>log in</html>", "text/html"),
        hostile.answer(200, b""),
        hostile.answer(202, b"{}"),
        hostile.json_answer({"acknowledged": "true", "deploymentId": KEPT}),
        hostile.json_answer({"acknowledged": True}),
        hostile.json_answer([]),
        hostile.hang,
        hostile.hang_up(),
        hostile.breaks_after(b'{"ackn', promised=500),
        hostile.endless(64 * 1024 * 1024),
    ],
)
async def test_an_answer_that_was_lost_leaves_the_outcome_unknown(reply: hostile.Reply) -> None:
    """It may have been done: never retried, never called refused."""
    error = await failed(reply)
    assert isinstance(error, CallFailedError)
    assert error.outcome_unknown


async def test_a_platform_that_was_never_reached_did_nothing() -> None:
    """Nothing was sent, so nothing is unknown."""
    async with Transport() as transport:
        api = OperatorApi(transport, url="http://127.0.0.1:1", key=lambda: KEY, target=None)
        with pytest.raises(CallFailedError) as caught:
            await api.cleanup(URL)
    assert (caught.value.reason, caught.value.outcome_unknown) == (Reason.REFUSED, False)


async def test_what_was_done_and_not_seen_is_verified_here() -> None:
    """It was done: our own readings decide."""
    platform = FakePlatform(replies={REDEPLOY: refusal(502, "OPERATION_UNVERIFIED", outcome="x")})
    async with calling(platform) as api:
        answer = await api.force_redeploy(URL, force=True)
    assert isinstance(answer, Acknowledgement)
    assert (answer.deployment_id, bool(answer.unverified)) == (None, True)
    assert KEY not in answer.unverified


async def failed(reply: hostile.Reply) -> Exception:
    platform = FakePlatform(replies={REDEPLOY: reply})
    async with calling(platform) as api:
        with pytest.raises((CallFailedError, RefusedError)) as caught:
            await api.force_redeploy(URL, force=True)
    assert KEY not in str(caught.value)
    assert KEY not in repr(getattr(caught.value, "data", ""))
    return caught.value
