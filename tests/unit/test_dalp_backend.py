"""A target behind a remote operator API, with the real engine and ledger over a fake platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.backends.dalp import SERVED, RemoteConnection, build_dalp
from exporter.backends.direct import SERVED as DIRECT
from exporter.doctor.remote import RemoteDoctor
from exporter.model.component import RECOVERY_API_COMPONENTS, Component, Reason, Status
from exporter.model.errors import ConfigurationError, MedicError, RefusedError
from exporter.model.operation import Operation, Outcome, Request
from exporter.model.target import Target, Worker
from exporter.operator_api import OperatorApi
from exporter.policy.load import check_against, read_policies
from exporter.policy.policy import Policy
from exporter.transport import Transport
from tests.contract.backends.sides import desk_of
from tests.integration.engine import NAME, Desk
from tests.unit import hostile
from tests.unit.fake_platform import (
    AT,
    CLEANUP,
    KEPT,
    KEY,
    OLD,
    RECOVER,
    REDEPLOY,
    URL,
    FakePlatform,
    deployment,
    failure,
    healthy,
    refusal,
)

DALP = Target(
    NAME,
    kind="dalp",
    workers=(Worker(URL),),
    expected_services=("Signup", "Billing"),
    intervals=dict.fromkeys(RECOVERY_API_COMPONENTS, timedelta(minutes=5)),
)


@asynccontextmanager
async def desk_before(
    platform: FakePlatform, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """An engine whose only target is the platform, with one worker."""
    monkeypatch.setenv("CANARY_KEY", KEY)
    async with platform.serving() as url:
        dalp = {"url": url, "api_key": {"env": "CANARY_KEY"}}
        expected = {"service_url": URL, "expected_services": ["Signup", "Billing"]}
        async with desk_of(folder, {"name": NAME, "dalp": dalp, **expected}) as desk:
            yield desk
            assert KEY.encode() not in desk.stored()


# Doctor


class Time:
    def __init__(self) -> None:
        self.at = datetime(2026, 5, 9, 11, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@asynccontextmanager
async def doctor_of(platform: FakePlatform) -> AsyncIterator[tuple[RemoteDoctor, Time]]:
    clock = Time()
    async with platform.serving() as url, Transport() as transport:
        api = OperatorApi(transport, url=url, key=lambda: KEY, target=None)
        yield RemoteDoctor(api, DALP, clock=clock), clock


async def test_one_call_serves_all_five_components() -> None:
    """Also when only one of them is due; what is not read there asks nothing."""
    platform = FakePlatform()
    async with doctor_of(platform) as (doctor, _):
        readings = await doctor.probe([Component.SERVICES])
        assert [r.component for r in readings] == list(RECOVERY_API_COMPONENTS)
        assert {r.status for r in readings} == {Status.OK}
        assert await doctor.probe([Component.DRIFT]) == ()
    assert len(platform.asked) == 1


async def test_whoever_asks_while_a_call_runs_shares_the_next() -> None:
    """So that no answer was begun before it was asked for, and a crowd makes two calls."""
    began, gate = asyncio.Event(), asyncio.Event()

    async def slow(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        began.set()
        await gate.wait()
        await hostile.json_answer(healthy())(request, writer)

    platform = FakePlatform(doctors=[slow])
    async with doctor_of(platform) as (doctor, _):
        every = frozenset(RECOVERY_API_COMPONENTS)
        first = asyncio.ensure_future(doctor.probe(every))
        await began.wait()
        assert doctor.due_now(every) == frozenset()
        crowd = [asyncio.ensure_future(doctor.probe(every)) for _ in range(10)]
        await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(first, *crowd)
        assert doctor.due_now(every) == every
    assert len(platform.asked) == 2
    assert len({id(answer) for answer in answers}) == 2


async def test_a_call_that_fails_is_five_failed_readings_and_its_wait_is_kept() -> None:
    """Nothing is asked on schedule before the time is up, unless another key came."""
    busy = hostile.answer(429, b"slow down", Retry_After="60")
    platform = FakePlatform(doctors=[busy, busy])
    async with doctor_of(platform) as (doctor, clock):
        every = frozenset(RECOVERY_API_COMPONENTS)
        for _ in range(2):
            readings = await doctor.probe(every)
            assert {(r.status, r.reason, r.view) for r in readings} == {
                (Status.DEGRADED, Reason.THROTTLED, None)
            }
            assert {r.retry_after for r in readings} == {timedelta(minutes=1)}
            assert doctor.due_now(every) == frozenset()
            clock.at += timedelta(seconds=61)
            assert doctor.due_now(every) == every
            clock.at -= timedelta(seconds=61)
        doctor.ask_again()
        assert doctor.due_now(every) == every


async def test_an_admin_api_that_is_not_reached_from_there_is_unreachable() -> None:
    """The one way in which a documented doctor call fails as a whole."""
    platform = FakePlatform(doctors=[refusal(503, "RESTATE_ADMIN_UNREACHABLE")])
    async with doctor_of(platform) as (doctor, _):
        readings = await doctor.probe(RECOVERY_API_COMPONENTS)
    assert {(r.status, r.reason) for r in readings} == {(Status.UNREACHABLE, Reason.REPORTED)}


async def test_a_rotated_key_ends_the_wait() -> None:
    """Whom the other side told to wait came with the old key."""

    class Rotated:
        keys = iter(["first-key", "second-key"])
        key = "none"

        def __call__(self) -> str:
            return self.key

        def refresh(self) -> None:
            self.key = next(self.keys, self.key)

    platform = FakePlatform(doctors=[hostile.answer(429, b"", Retry_After="60")])
    async with platform.serving() as url, Transport() as transport:
        backend = build_dalp(DALP, RemoteConnection(url=url, api_key=Rotated()), transport)
        every = frozenset(RECOVERY_API_COMPONENTS)
        backend.refresh_secrets()
        await backend.probe(every)
        assert backend.due_now(every) == frozenset()
        backend.refresh_secrets()
        assert backend.due_now(every) == every


# Outcomes


def asking(desk: Desk, remedy: str) -> Request:
    if remedy == RECOVER:
        return desk.by_person(RECOVER, serviceName="Signup", serviceKey="stuck")
    return desk.by_person(remedy)


@pytest.mark.parametrize("remedy", [REDEPLOY, CLEANUP, RECOVER])
@pytest.mark.parametrize(
    ("reply", "outcome", "reason"),
    [
        (None, Outcome.VERIFIED, None),
        (refusal(409, "OPERATION_IN_FLIGHT", operationId="op_9"), Outcome.REFUSED, "in-flight"),
        (refusal(401, "UNAUTHORIZED"), Outcome.REFUSED, "unauthorized"),
        (refusal(429, "TOO_MANY_REQUESTS"), Outcome.REFUSED, "throttled"),
        (refusal(502, "OPERATION_FAILED", outcome="failed"), Outcome.FAILED, "operation-failed"),
        (hostile.hang_up(), Outcome.INDETERMINATE, None),
        (hostile.answer(502, "<html>", "text/html"), Outcome.INDETERMINATE, None),
    ],
)
async def test_how_an_operation_ends(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    remedy: str,
    reply: hostile.Reply | None,
    outcome: Outcome,
    reason: str | None,
) -> None:
    """As the other side says; an answer that was lost leaves it unknown. Asked for exactly once."""
    platform = FakePlatform(replies={} if reply is None else {remedy: reply})
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        done = await desk.perform(asking(desk, remedy))
        assert (done.outcome, done.after.get("reason")) == (outcome, reason)
        assert (done.error is None) == (outcome is Outcome.VERIFIED)
        assert KEY not in str(done)
    assert [route for route, _ in platform.writes()] == [remedy]


async def test_a_refusal_over_there_spends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy's limit is whole again, and what failed half-way uses it up."""
    platform = FakePlatform(replies={RECOVER: refusal(409, "OPERATION_IN_FLIGHT")})
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        for answer, counted in (
            (refusal(409, "OPERATION_IN_FLIGHT"), 0),
            (refusal(502, "OPERATION_FAILED", outcome="failed"), 1),
        ):
            platform.replies[RECOVER] = answer
            await desk.perform(by_policy(desk))
            await desk.engine.ledger.refresh()
            usage = desk.engine.ledger.standing.usage(
                target=NAME, remedy=RECOVER, policy="heal", items=(), mode=by_policy(desk).mode
            )
            assert len(usage.target) == counted


def by_policy(desk: Desk, *rows: Any, **arguments: Any) -> Request:
    """A policy's request for the keys of these failures."""
    found = rows or (failure(),)
    items = [
        {
            "item.service": row["serviceName"],
            "item.key": row["serviceKey"],
            "item.invocation_id": row["id"],
        }
        for row in found
    ]
    given = {"service": ("Signup",), "causes": ["error"], "max_items": 10, **arguments}
    return replace(
        desk.by_policy(RECOVER, **given),
        items=tuple(f"{i['item.service']}/{i['item.key']}" for i in items),
        item_values=items[0],
        each_item=tuple(items),
    )


# What the preflight and the second look refuse


async def refused(desk: Desk, request: Request) -> str:
    """The word with which it was refused; nothing was asked for."""
    try:
        done = await desk.perform(request)
    except RefusedError as error:
        return error.reason
    except MedicError as error:
        return str(getattr(error, "reason", error))
    assert done.outcome is Outcome.REFUSED, done
    return str(done.after["reason"])


@pytest.mark.parametrize(
    ("remedy", "arguments", "changes", "word"),
    [
        (REDEPLOY, {}, {"services": ["Signup", "Billing"]}, "would-not-help"),
        (REDEPLOY, {"url": "http://other:9080/"}, {}, "unlisted-url"),
        (REDEPLOY, {"url": "http://h.example.com/"}, {}, "placeholder-url"),
        (REDEPLOY, {}, {"deployments": None}, "bad_body"),
        (CLEANUP, {}, {"deployments": [deployment()]}, "would-not-help"),
        (CLEANUP, {}, {"deployments": [deployment(OLD, "http://o:1/")]}, "deployment-not-found"),
        (CLEANUP, {"drained_for": timedelta(days=3650)}, {}, "would-not-help"),
        (CLEANUP, {"max_items": 1}, {"more": 3}, "too-many"),
        (CLEANUP, {"force_drain": True, "max_kills": 1}, {}, "remedy-unsupported"),
    ],
)
async def test_what_a_policy_may_not_ask_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    remedy: str,
    arguments: dict[str, Any],
    changes: dict[str, Any],
    word: str,
) -> None:
    """Refused before anything is asked for."""
    platform = FakePlatform()
    if "services" in changes:
        platform.body["services"]["items"] = [{"name": n} for n in changes["services"]]
    if "deployments" in changes:
        platform.body["deployments"]["items"] = changes["deployments"]
    rows = platform.body["deployments"]["items"]
    for number in range(changes.get("more", 0)):
        rows.append(deployment(f"dp_{number}", f"http://o:{number + 1}/"))
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        assert await refused(desk, desk.by_policy(remedy, **arguments)) == word
    assert platform.writes() == []


@pytest.mark.parametrize(
    ("remedy", "then"),
    [
        (REDEPLOY, {"deployments": [deployment(at=AT), deployment(OLD, "http://ddwf:9080/v0")]}),
        (REDEPLOY, {"services": [{"name": "Signup", "revision": 4}]}),
        (CLEANUP, {"deployments": [deployment(), deployment("dp_new", "http://ddwf:9080/v2")]}),
        (RECOVER, {"recentFailures": [failure(at="2026-05-09T10:08:00.000Z")]}),
        (RECOVER, {"recentFailures": []}),
    ],
)
async def test_a_world_that_changed_after_the_plan_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remedy: str, then: dict[str, Any]
) -> None:
    """Somebody else registered, deleted or submitted meanwhile: nothing is asked for."""
    later = healthy()
    for part in later.values():
        for name, value in then.items():
            if name in part:
                part[name] = value
    later["deployments"]["items"] = then.get("deployments", later["deployments"]["items"])
    later["services"]["items"] = then.get("services", later["services"]["items"])
    platform = FakePlatform(doctors=[hostile.json_answer(healthy()), hostile.json_answer(later)])
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        request = by_policy(desk) if remedy == RECOVER else desk.by_policy(remedy)
        assert await refused(desk, request) == "changed"
    assert platform.writes() == []


async def test_of_several_keys_each_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One recovers, one is blocked, one is gone, one cannot be sent: partial, each recorded."""
    rows = [
        failure("good", "inv_1"),
        failure("busy", "inv_2"),
        failure("a/b", "inv_3"),
    ]
    platform = FakePlatform()
    platform.body["invocations"]["recentFailures"] = list(rows)
    ok = hostile.json_answer({"acknowledged": True})
    blocked = refusal(409, "RESTATE_WORKFLOW_RETRY_BLOCKED", reason="active-invocation")

    async def each(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        good = b"good" in request.body
        if good:
            platform.body["invocations"]["recentFailures"] = rows[1:]
        await (ok if good else blocked)(request, writer)

    platform.replies[RECOVER] = each
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        done = await desk.perform(by_policy(desk, *rows, failure("gone", "inv_4")))
        items = {k: i and i.outcome for k, i in await desk.engine.ledger.items(done.id)}
    assert done.outcome is Outcome.PARTIAL, done.error
    assert items == {"Signup/good": "recovered", "Signup/busy": "skipped"}
    assert [body["serviceKey"] for _, body in platform.writes()] == ["good", "busy"]


@pytest.mark.parametrize(
    ("failures", "missing"),
    [
        ([failure()], "still listed"),
        ([failure(id_=f"n{n}", at="2026-05-09T11:00:00.000Z") for n in range(20)], "hide"),
    ],
)
async def test_a_key_that_is_not_seen_to_be_free_is_unverified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[Any], missing: str
) -> None:
    """Acknowledged is not seen; and a list of twenty newer failures shows nothing."""
    platform = FakePlatform()

    async def acknowledge(request: hostile.Request, writer: asyncio.StreamWriter) -> None:
        platform.body["invocations"]["recentFailures"] = failures
        await hostile.json_answer({"acknowledged": True})(request, writer)

    platform.replies[RECOVER] = acknowledge
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        done = await desk.perform(by_policy(desk), within=timedelta(seconds=1))
    assert done.outcome is Outcome.UNVERIFIED
    assert missing in str(done.error)


async def test_what_was_done_there_and_not_seen_there_is_judged_by_our_own_readings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """502 OPERATION_UNVERIFIED: it is registered after all."""
    platform = FakePlatform(replies={REDEPLOY: refusal(502, "OPERATION_UNVERIFIED")})
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        done: Operation = await desk.perform(desk.by_person(REDEPLOY))
    assert (done.outcome, done.after["deploymentId"]) == (Outcome.VERIFIED, KEPT)
    assert "it says no" in done.after["remoteUnverified"]


async def test_a_worker_with_a_password_is_known_though_it_is_shown_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for unregistered, and is sent as the other side needs it."""
    platform = FakePlatform()
    platform.body["deployments"]["items"] = [deployment(url="http://REDACTED@ddwf:9080/v1")]
    secret = "http://user:hidden-word@ddwf:9080/v1"
    async with desk_before(platform, tmp_path, monkeypatch) as desk:
        done = await desk.perform(desk.by_person(REDEPLOY, url=secret))
        assert (done.outcome, done.before["deploymentId"]) == (Outcome.VERIFIED, KEPT)
        assert b"hidden-word" not in desk.stored()
    assert platform.writes() == [(REDEPLOY, {"serviceUrl": secret, "force": True})]


# What is refused when a policy is loaded

POLICY = """\
policies:
  - name: heal
    mode: enforce
    when: size(services.missing) > 0
    action:
      force-redeploy: {}
    cooldown: 15m
    limits: [{scope: target, max: 3, per: 24h}]
"""


def policies(folder: Path, **changes: str) -> tuple[Policy, ...]:
    text = POLICY
    for old, new in changes.items():
        wanted = {"mode": "enforce", "when": "size(services.missing) > 0", "action": "{}"}[old]
        text = text.replace(wanted, new)
    (folder / "p.yaml").write_text(text)
    loaded = read_policies(["p.yaml"], base=folder)
    assert loaded.problems == ()
    return loaded.policies


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ["p.yaml:3:11: mode: enforce is more than force-redeploy may have on target 'prod'"]),
        ({"mode": "approve"}, []),
        ({"mode": "observe"}, []),
        (
            {"mode": "approve", "action": "{stable_for: 1m}"},
            ["p.yaml:6:36: action.force-redeploy.stable_for: target 'prod' cannot do this"],
        ),
        (
            {"mode": "approve", "when": "size(drift.added) > 0"},
            ["p.yaml:4:11: when: drift.added is never known on target 'prod'"],
        ),
        (
            {"mode": "approve", "when": "invocations.retrying > size(deployments.drained)"},
            [
                "p.yaml:4:11: when: deployments.drained is never known on target 'prod'",
                "p.yaml:4:11: when: invocations.retrying is never known on target 'prod'",
            ],
        ),
    ],
)
def test_what_it_cannot_serve_is_refused_when_loaded(
    tmp_path: Path, changes: dict[str, str], said: list[str]
) -> None:
    """With the place and the mend; a Restate itself serves all of it."""
    rules = policies(tmp_path, **changes)
    check_against(rules, [replace(DALP, kind="restate", intervals=_all())], {NAME: DIRECT})
    found = problems(rules)
    assert len(found) == len(said)
    for line, start in zip(found, said, strict=True):
        assert line.startswith(start)
        assert "targets" in line


def _all() -> dict[Component, timedelta]:
    return dict.fromkeys(Component, timedelta(seconds=15))


def problems(rules: Iterable[Policy]) -> list[str]:
    try:
        check_against(rules, [DALP], {NAME: SERVED})
    except ConfigurationError as error:
        return error.problems
    return []


def test_a_remedy_that_only_restate_has_is_refused_when_loaded(tmp_path: Path) -> None:
    """As on any target that does not support it."""
    text = POLICY.replace("force-redeploy: {}", "resume-invocations: {service: A, max_items: 1}")
    text = text.replace("when:", "for_each: invocations.paused\n    when:")
    (tmp_path / "p.yaml").write_text(text.replace("size(services.missing) > 0", "item.retries > 1"))
    rules = read_policies(["p.yaml"], base=tmp_path).policies
    found = problems(rules)
    assert "does not support resume-invocations" in found[0]
    assert "4:15: for_each: invocations.paused is never known on target 'prod'" in found[1]
    assert "when: item.retries is never known on target 'prod'" in found[2]
