"""The routes that steer: what each does, what it leaves in the ledger, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from exporter.ledger.chain import verify
from exporter.model.component import Component, Reason
from exporter.model.decision import Mode
from exporter.model.errors import CallFailedError, MedicError, RefusedError
from exporter.model.operation import Operation, Outcome
from exporter.model.target import Target
from exporter.wire.alertmanager import TARGET_LABEL
from tests.doors import OPERATOR, VIEWER
from tests.unit.bureau import Bureau, bureau_at
from tests.unit.fakes import REMEDY, FakeRemedy, by_person, by_policy, plan_for
from tests.unit.policy_scenes import NOW
from tests.unit.test_read_api import fail_twice

WRITES = (
    ("POST", "targets/prod/check"),
    ("POST", "pauses"),
    ("DELETE", "pauses?scope=global"),
    ("DELETE", "pauses/1"),
    ("POST", "operations/op_1/approve"),
    ("POST", "operations/op_1/reject"),
    ("POST", "breakers/policy:heal/reset"),
    ("POST", "alertmanager"),
)
DEEDS = (("POST", "targets/prod/plan"), ("POST", "targets/prod/operations"))


@pytest.fixture
async def bureau(tmp_path: Path) -> AsyncIterator[Bureau]:
    """After every test the whole chain is intact."""
    async with bureau_at(tmp_path) as opened:
        yield opened
        ledger = opened.ledger
        assert verify(await ledger.chain(), await ledger.head()) is None


async def attempt(bureau: Bureau) -> Operation:
    """The only row, which is a call's."""
    (row,) = await bureau.rows()
    assert (row.source, row.actor, row.role) == ("api", "ops", "operator")
    assert row.request_id
    assert row.asked_at
    return row


async def proposed(bureau: Bureau) -> Operation:
    request = by_policy(mode=Mode.APPROVE)
    return await bureau.ledger.propose(request, plan_for(request), owner="me", now=NOW)


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("rm_wrong", 401), (VIEWER, 403)])
async def test_steering_needs_an_operators_key(
    bureau: Bureau, key: str | None, status: int
) -> None:
    """Nothing is ordered, and nothing is in the ledger of who did not get in."""
    for method, path in (*WRITES, *DEEDS):
        answer = await bureau.ask(method, path, {}, key=key)
        assert answer.status_code == status, path
    assert (await bureau.rows(), await bureau.ledger.pauses(), bureau.woken) == ((), (), [])


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.test"}, {"sec_fetch_site": "cross-site"}]
)
async def test_no_other_sites_page_steers(bureau: Bureau, headers: dict[str, str]) -> None:
    """Not even with a key."""
    for method, path in (*WRITES, *DEEDS):
        answer = await bureau.ask(method, path, {}, key=OPERATOR, **headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN"), path
    assert await bureau.rows() == ()


# What a remedy would do


@pytest.mark.parametrize(
    ("refusal", "status", "code", "word"),
    [
        (
            RefusedError("not-latest", "it is not the latest"),
            409,
            "PREFLIGHT_REFUSED",
            "not-latest",
        ),
        (CallFailedError(Reason.REFUSED, "refused"), 503, "RESTATE_ADMIN_UNREACHABLE", "refused"),
    ],
    ids=["refused", "unreachable"],
)
async def test_a_plan_that_could_not_be_made_is_in_the_ledger(
    bureau: Bureau, refusal: MedicError, status: int, code: str, word: str
) -> None:
    """Whatever the reason: whoever asked, and why there was no plan."""
    remedy = FakeRemedy(refusal=refusal)
    bureau.target.backend = replace(bureau.target.backend, remedies={REMEDY: remedy.built()})
    for path in ("targets/prod/plan", "targets/prod/operations"):
        body = await bureau.order("POST", path, {"remedy": REMEDY}, status=status)
        assert body["code"] == code
    found = [(row.remedy, row.outcome, row.error) for row in await bureau.rows()]
    assert found == [(name, Outcome.REFUSED, f"{word}: {refusal}") for name in (REMEDY, "plan")]


# Check now


async def test_a_check_reads_everything_now_and_tells_what_it_saw(bureau: Bureau) -> None:
    """It is in the ledger as doctor's calls are."""
    body = await bureau.order("POST", "targets/prod/check", {"reason": "deployed"})
    assert set(body["read"]) == set(bureau.target.target.intervals)
    assert (body["waiting"], body["kept"], body["target"]["status"]) == ([], [], "ok")
    row = await attempt(bureau)
    assert (row.remedy, row.target, row.outcome) == ("check", "prod", Outcome.ANSWERED)
    assert (row.reason, row.route) == ("deployed", "/api/v1/targets/{name}/check")
    assert row.after["admin"] == "ok"


async def test_a_check_of_some_reads_those_only(bureau: Bureau) -> None:
    """Without a body, or with an empty one, it is everything."""
    body = await bureau.order("POST", "targets/prod/check", {"components": ["services"]})
    assert body["read"] == ["services"]
    assert bureau.woken == [("prod", frozenset({Component.SERVICES}))]
    nothing: tuple[dict[str, str] | None, ...] = (None, {})
    for sent in nothing:
        body = await bureau.order("POST", "targets/prod/check", sent)
        assert set(body["read"]) == set(bureau.target.target.intervals)


async def test_what_is_late_is_answered_as_such(bureau: Bureau) -> None:
    """202 in bounded time, with what was read until then."""
    bureau.late = {Component.DRIFT}
    body = await bureau.order("POST", "targets/prod/check", {}, status=202)
    assert body["waiting"] == ["drift"]
    assert "services" in body["read"]
    found = {c["component"]: c["status"] for c in body["target"]["components"]}
    assert (found["services"], found["drift"]) == ("ok", "unknown")


# Pauses


async def test_a_pause_holds_until_it_is_lifted(bureau: Bureau) -> None:
    """Its owner is the key's name; both calls are rows, with the entries of what they did."""
    wanted = {"scope": "target", "name": "prod", "reason": "rollout", "for": "2h"}
    made = await bureau.order("POST", "pauses", wanted, status=201, x_request_id="mine-1")
    assert made == {
        "id": made["id"],
        "scope": "target",
        "name": "prod",
        "owner": "ops",
        "reason": "rollout",
        "createdAt": "2026-11-02T03:00:00.000Z",
        "expiresAt": "2026-11-02T05:00:00.000Z",
        "inForce": True,
    }
    assert (await bureau.get("pauses"))["pauses"] == [made]
    row = await attempt(bureau)
    assert (row.remedy, row.target, row.request_id) == ("pause", "prod", "mine-1")
    assert row.arguments == {"scope": "target", "name": "prod", "for": "2h"}
    entries = await bureau.ledger.entries(row.id)
    assert [(e.kind, e.seq == made["id"]) for e in entries] == [
        *(("answered", False), ("paused", True)),
    ]
    lifted = await bureau.order("DELETE", f"pauses/{made['id']}", x_reason="done")
    assert lifted["id"] == made["id"]
    assert (await bureau.get("pauses?status=any"))["pauses"] == []
    last = (await bureau.rows())[0]
    assert (last.remedy, last.reason, last.outcome) == ("unpause", "done", Outcome.ANSWERED)
    assert [e.kind for e in await bureau.ledger.entries(last.id)] == ["answered", "unpaused"]
    again = await bureau.order("DELETE", f"pauses/{made['id']}", status=404)
    assert (again["code"], again["data"]["kind"]) == ("NOT_FOUND", "pause")
    refused = (await bureau.rows())[0]
    assert (refused.remedy, refused.outcome) == ("unpause", Outcome.REFUSED)
    assert (refused.error or "").startswith("pause-not-found: ")


async def test_every_pause_of_something_is_lifted_at_once(bureau: Bureau) -> None:
    """Of one target, of one policy, or those of everything; the others stay."""
    everything = await bureau.order(
        "POST", "pauses", {"scope": "global", "reason": "a"}, status=201
    )
    for _ in range(2):
        heal = {"scope": "policy", "name": "heal", "expiresAt": "2026-11-02T04:00:00+00:00"}
        await bureau.order("POST", "pauses", heal, status=201, x_reason="b")
    body = await bureau.order("DELETE", "pauses?scope=policy&name=heal")
    assert [one["name"] for one in body["pauses"]] == ["heal", "heal"]
    assert [p["id"] for p in (await bureau.get("pauses"))["pauses"]] == [everything["id"]]
    await bureau.order("DELETE", "pauses?scope=global")
    await bureau.order("DELETE", "pauses?scope=global", status=404)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"scope": "all", "reason": "x"}, "'global', 'target' or 'policy'"),
        ({"scope": "target", "reason": "x"}, "name a target or a policy"),
        ({"scope": "global", "name": "prod", "reason": "x"}, "or nothing with the scope global"),
        ({"scope": "global"}, "body.reason: is needed, here or in X-Reason"),
        ({"scope": "global", "reason": "  "}, "body.reason: is needed"),
        ({"scope": "global", "reason": "x", "for": "2"}, "is not a duration; write"),
        ({"scope": "global", "reason": "x", "for": "0s"}, "is no time at all"),
        ({"scope": "global", "reason": "x", "for": 7200}, "body.for: "),
        ({"scope": "global", "reason": "x", "expiresAt": "soon"}, "write 2026-05-09T10:00:00Z"),
        (
            {"scope": "global", "reason": "x", "expiresAt": "2026-12-01T00:00:00"},
            "with its time zone",
        ),
        (
            {"scope": "global", "reason": "x", "expiresAt": "2026-11-02T03:00:00Z"},
            "body.expiresAt: is over",
        ),
        (
            {
                "scope": "global",
                "reason": "x",
                "for": "1h",
                "expiresAt": "2026-12-01T00:00:00Z",
            },
            "write for or expiresAt, not both",
        ),
        ({"scope": "global", "reason": "x", "owner": "me"}, "body.owner"),
        ([], "body"),
    ],
)
async def test_a_pause_that_says_nothing_clear_is_refused(
    bureau: Bureau, body: Any, says: str
) -> None:
    """With what to write instead; the attempt is in the ledger."""
    answer = await bureau.order("POST", "pauses", body, status=422)
    assert answer["code"] == "BAD_REQUEST"
    assert says in answer["message"]
    row = await attempt(bureau)
    assert (row.remedy, row.outcome) == ("pause", Outcome.REFUSED)
    assert says in (row.error or "")
    assert await bureau.ledger.pauses() == ()


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "targets/prd/check", {}, "TARGET_NOT_FOUND"),
        ("POST", "pauses", {"scope": "target", "name": "prd", "reason": "x"}, "TARGET_NOT_FOUND"),
        ("POST", "pauses", {"scope": "policy", "name": "heel", "reason": "x"}, "NOT_FOUND"),
        ("POST", "operations/op_zzz/approve", None, "NOT_FOUND"),
        ("POST", "operations/op_zzz/reject", {}, "NOT_FOUND"),
        ("POST", "breakers/heal/reset", None, "NOT_FOUND"),
        ("POST", "breakers/policy:heel/reset", None, "NOT_FOUND"),
        ("POST", "breakers/target:prd:force-redeploy/reset", None, "TARGET_NOT_FOUND"),
        ("POST", "breakers/target:prod:redeploy/reset", None, "NOT_FOUND"),
    ],
)
async def test_an_order_about_what_is_not_there_is_refused_and_kept(
    bureau: Bureau, method: str, path: str, body: Any, code: str
) -> None:
    """404 in the operator API's shape, and a row that tells who tried what."""
    answer = await bureau.order(method, path, body, status=404, x_reason="by hand")
    assert (answer["code"], answer.keys()) == (code, {"code", "message", "data", "requestId"})
    row = await attempt(bureau)
    assert (row.outcome, row.reason) == (Outcome.REFUSED, "by hand")
    assert (row.route or "").startswith(f"/api/v1/{path.partition('/')[0]}")


async def test_what_is_tried_is_kept_without_secrets(bureau: Bureau) -> None:
    """Whatever was pasted into it; what is too long is not kept at all."""
    secret = "rm_canarycanarycanarycanary"
    body = {"scope": "global", "reason": secret, "token": "hunter2", "url": f"http://u:{secret}@h"}
    await bureau.order("POST", "pauses", body, status=422)
    await bureau.order("POST", "pauses", {"scope": "x" * 5000}, status=422)
    last, first = await bureau.rows()
    assert first.arguments["url"] == "http://REDACTED@h"
    assert last.arguments == {"body": "too long to keep"}
    stored = json.dumps([e.body for e in await bureau.ledger.chain()])
    assert "canary" not in stored
    assert "hunter2" not in stored


# A yes or a no


async def test_a_yes_lets_the_next_round_carry_the_plan_out(bureau: Bureau) -> None:
    """That round comes at once; who said yes and why is with the plan."""
    plan = await proposed(bureau)
    body = await bureau.order(
        "POST", f"operations/{plan.id[:-2]}/approve", {"reason": "seen"}, status=202
    )
    assert (body["id"], body["phase"], body["approvedBy"]) == (plan.id, "proposed", "ops")
    assert bureau.woken == [("prod", frozenset(bureau.target.target.intervals))]
    kinds = [(e.kind, e.data.get("reason")) for e in await bureau.ledger.entries(plan.id)]
    assert kinds[-1] == ("approved", "seen")
    row = (await bureau.rows())[0]
    assert (row.remedy, row.target, row.arguments) == ("approve", "prod", {"operation": plan.id})
    again = await bureau.order("POST", f"operations/{plan.id}/approve", status=409)
    assert (again["code"], again["data"]["reason"]) == (
        *("OPERATION_NOT_WAITING", "already-approved"),
    )


async def test_a_no_closes_the_plan(bureau: Bureau) -> None:
    """Its sentence names who said it; a second answer comes too late, and is kept as well."""
    plan = await proposed(bureau)
    body = await bureau.order("POST", f"operations/{plan.id}/reject", x_reason="by hand")
    assert (body["outcome"], body["error"]) == ("rejected", "rejected by ops: by hand")
    for word in ("reject", "approve"):
        late = await bureau.order("POST", f"operations/{plan.id}/{word}", status=409)
        assert (late["code"], late["data"]["reason"]) == ("OPERATION_NOT_WAITING", "not-waiting")
    refused = (await bureau.rows())[0]
    assert (refused.remedy, refused.outcome) == ("approve", Outcome.REFUSED)
    assert (refused.error or "").startswith("not-waiting: ")


async def test_a_yes_after_its_time_is_refused(bureau: Bureau) -> None:
    """A plan stands for an hour."""
    plan = await proposed(bureau)
    bureau.clock.advance(3601)
    late = await bureau.order("POST", f"operations/{plan.id}/approve", status=409)
    assert late["data"]["reason"] == "expired"


async def test_what_people_order_is_no_work_on_a_target(bureau: Bureau) -> None:
    """It starts no manual hold, no cooldown, and spends no budget."""
    await bureau.order("POST", "targets/prod/check")
    await bureau.order("POST", "pauses", {"scope": "global", "reason": "x"}, status=201)
    await bureau.ledger.refresh()
    assert bureau.ledger.standing.last_manual("prod") is None
    assert bureau.ledger.standing.open == {}


# Breakers


async def test_a_breaker_is_reset_by_its_id(bureau: Bureau) -> None:
    """What failed counts no more; with nothing to close it says so, and both are kept."""
    await fail_twice(bureau)
    (open_,) = (await bureau.get("breakers"))["breakers"]
    path = f"breakers/{open_['id']}/reset"
    body = await bureau.order("POST", path, {"reason": "mended"})
    assert body == {"id": "target:prod:force-redeploy", "reset": True}
    assert (await bureau.get("breakers"))["breakers"] == []
    row = (await bureau.rows())[0]
    assert (row.remedy, row.target, row.reason) == ("reset-breaker", "prod", "mended")
    kinds = [e.kind for e in await bureau.ledger.entries(row.id)]
    assert kinds == ["answered", "breaker_reset"]
    assert (await bureau.order("POST", path))["reset"] is False
    assert [row.remedy for row in await bureau.rows()][:2] == ["reset-breaker"] * 2


async def test_a_policys_own_breaker_is_reset_by_its_name(bureau: Bureau) -> None:
    """Those of the single targets stay open until each is reset."""
    bureau.more_targets = (Target("a"), Target("b"), Target("c"))
    for name in ("prod", "a", "b"):
        await fail_twice(bureau, name)
    assert len((await bureau.get("breakers"))["breakers"]) == 4
    assert (await bureau.order("POST", "breakers/policy:heal/reset"))["reset"] is True
    left = (await bureau.get("breakers"))["breakers"]
    assert {one["target"] for one in left} == {"prod", "a", "b"}


# Without a ledger


@pytest.mark.parametrize(("method", "path"), WRITES[1:7])
async def test_without_the_ledger_nothing_is_ordered(
    tmp_path: Path, method: str, path: str
) -> None:
    """503, and ask again: what nobody wrote down did not happen."""
    async with bureau_at(tmp_path) as bureau:
        await bureau.ledger.close()
        body = {"scope": "global", "reason": "x"} if path == "pauses" else None
        answer = await bureau.order(method, path, body, status=503)
        assert answer["code"] == "LEDGER_UNAVAILABLE"


async def test_without_the_ledger_a_check_still_tells(tmp_path: Path) -> None:
    """Whoever looks why things are broken must see it even then."""
    async with bureau_at(tmp_path) as bureau:
        await bureau.ledger.close()
        with structlog.testing.capture_logs() as logs:
            body = await bureau.order("POST", "targets/prod/check")
        assert body["target"]["status"] == "ok"
        assert [e["event"] for e in logs if e["log_level"] == "warning"] == ["audit.not_recorded"]


# Alertmanager


def notification(*targets: str | None, status: str = "firing") -> dict[str, Any]:
    """As Alertmanager 0.28 writes it."""
    alerts = [
        {
            "status": status,
            "labels": {"alertname": "Down"} | ({} if name is None else {TARGET_LABEL: name}),
            "annotations": {"summary": "it is down"},
            "startsAt": "2026-11-02T02:59:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "c0ffee",
        }
        for name in targets
    ]
    return {
        "version": "4",
        "groupKey": '{}:{alertname="Down"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "medic",
        "groupLabels": {"alertname": "Down"},
        "commonLabels": {"alertname": "Down"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": alerts,
    }


@pytest.mark.parametrize("status", ["firing", "resolved"])
async def test_alerts_wake_the_targets_they_name(bureau: Bureau, status: str) -> None:
    """Each once; alerts that name none, or one that is unknown, are counted."""
    sent = notification("prod", "prod", "lab", "lab", None, status=status)
    with structlog.testing.capture_logs() as logs:
        body = await bureau.order("POST", "alertmanager", sent, status=202)
    assert body == {"woken": ["prod"], "unknown": 2, "unlabelled": 1}
    assert bureau.woken == [("prod", frozenset(bureau.target.target.intervals))]
    assert [e["woken"] for e in logs if e["event"] == "alertmanager.received"] == [("prod",)]
    assert await bureau.rows() == ()


async def test_alertmanager_may_send_its_key_as_a_bearer_token(bureau: Bureau) -> None:
    """Which it can always do; elsewhere such a token writes nothing."""
    bearer = {"authorization": f"Bearer {OPERATOR}"}
    answer = await bureau.ask("POST", "alertmanager", notification("prod"), **bearer)
    assert answer.status_code == 202
    viewer = {"authorization": f"Bearer {VIEWER}"}
    assert (await bureau.ask("POST", "alertmanager", {}, **viewer)).status_code == 403
    for method, path in WRITES[:-1]:
        assert (await bureau.ask(method, path, {}, **bearer)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": "3", "alerts": []},
        {"version": "4", "alerts": [{"status": "maybe", "labels": {}}]},
        {"version": "4", "alerts": [{"status": "firing", "labels": {"target": 1}}]},
        "text",
    ],
)
async def test_what_is_no_notification_is_refused(bureau: Bureau, body: Any) -> None:
    """It wakes nothing."""
    answer = await bureau.order("POST", "alertmanager", body, status=422)
    assert answer["code"] == "BAD_REQUEST"
    assert bureau.woken == []


async def test_a_long_group_of_alerts_is_taken_and_an_endless_one_is_not(bureau: Bureau) -> None:
    """A mebibyte; other bodies stay as short as they were."""
    many = notification(*["prod"] * 1000)
    assert len(json.dumps(many)) > 200_000
    body = await bureau.order("POST", "alertmanager", many, status=202)
    assert body["woken"] == ["prod"]
    endless = notification(*["prod"] * 5000)
    refused = await bureau.order("POST", "alertmanager", endless, status=413)
    assert "1048576 bytes" in refused["message"]
    pause = {"scope": "global", "reason": "x" * 70_000}
    assert "65536 bytes" in (await bureau.order("POST", "pauses", pause, status=413))["message"]


async def test_a_persons_other_rows_are_as_they_were(bureau: Bureau) -> None:
    """A call beside them changes nothing about what they count for."""
    await bureau.ledger.refuse(by_person(), reason="no", message="x", now=NOW)
    await bureau.order("POST", "targets/prod/check")
    assert [row.remedy for row in await bureau.rows()] == ["check", "force-redeploy"]
