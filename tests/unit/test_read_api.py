"""The routes that read: what each tells, how lists are narrowed and paged, what is refused."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.operation import Outcome, Phase
from exporter.model.target import Target
from exporter.web import StandingDecision
from exporter.web.api.filters import CALLS
from tests.unit.bureau import Bureau, bureau_at
from tests.unit.fakes import by_person, by_policy, locked, plan_for
from tests.unit.policy_scenes import NOW, URL, policy

LISTS = ("targets", "policies", "decisions", "operations", "pauses", "breakers")


@pytest.fixture
async def bureau(tmp_path: Path) -> AsyncIterator[Bureau]:
    async with bureau_at(tmp_path) as opened:
        yield opened


def issues(body: dict[str, Any]) -> str:
    assert body["code"] == "BAD_REQUEST"
    (issue,) = body["data"]["issues"]
    return f"{issue['path']}: {issue['message']}"


# Every list


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("targets=prod", "query: there is no parameter 'targets'"),
        ("limit=0", "greater than or equal to 1"),
        ("limit=1001", "less than or equal to 1000"),
        ("limit=x", "valid integer"),
        ("cursor=abc", "query.cursor: is no cursor of this list: write the nextCursor"),
    ],
)
async def test_what_a_list_does_not_know_is_refused(bureau: Bureau, query: str, says: str) -> None:
    """Nothing is ignored: a mistyped filter would show everything as if it had been asked for."""
    for path in (*LISTS, "decisions/prod/heal"):
        assert says in issues(await bureau.get(f"{path}?{query}", 422)), path


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("targets?status=fine", "'ok', 'degraded', 'unreachable'"),
        ("targets?kind=cloud", "'restate' or 'dalp'"),
        ("policies?mode=on", "'off', 'observe', 'approve' or 'enforce'"),
        ("policies?target=lab", "there is no such target; write prod"),
        ("policies?remedy=redeploy", "write force-redeploy, cleanup-stale-deployments"),
        ("decisions?policy=heel", "there is no such policy; did you mean 'heal'?"),
        ("decisions?result=maybe", "'clear', 'hold' or 'act'"),
        ("decisions?reason=because", "'mode_off', "),
        ("operations?outcome=good", "'verified', "),
        ("operations?phase=done", "'proposed', "),
        ("operations?source=me", "'policy', 'api' or 'cli'"),
        ("operations?since=yesterday", "query.since: "),
        ("operations?since=2026-05-09T10:00:00", "timezone"),
        ("operations?since=0001-01-01T00:00:00%2B14:00", "write 2026-05-09T10:00:00Z"),
        ("operations?target=prd", "there is no such target; did you mean 'prod'?"),
        ("operations?policy=heel", "there is no such policy; did you mean 'heal'?"),
        ("operations?target=%00", "query.target: String should match pattern"),
        ("pauses?scope=all", "'global', 'target' or 'policy'"),
        ("pauses?name=prd", "there is no such name; did you mean 'prod'?"),
        ("breakers?target=prd", "there is no such target; did you mean 'prod'?"),
        ("operations?remedy=doktor", "did you mean 'doctor'?"),
    ],
)
async def test_a_value_that_cannot_be_is_refused_with_those_that_can(
    bureau: Bureau, query: str, says: str
) -> None:
    """An empty list would look as if all were well."""
    assert says in issues(await bureau.get(query, 422))


@pytest.mark.parametrize(
    ("path", "code", "kind"),
    [
        ("targets/prd", "TARGET_NOT_FOUND", "target"),
        ("policies/heel", "NOT_FOUND", "policy"),
        ("decisions/prd/heal", "TARGET_NOT_FOUND", "target"),
        ("decisions/prod/heel", "NOT_FOUND", "policy"),
        ("decisions/prod/heal?item=x", "NOT_FOUND", "item"),
        ("operations/op_zzz", "NOT_FOUND", "operation"),
        ("pauses/7", "NOT_FOUND", "pause"),
    ],
)
async def test_an_unknown_name_is_not_found(
    bureau: Bureau, path: str, code: str, kind: str
) -> None:
    """In the operator API's shape, with the names there are where they are few."""
    body = await bureau.get(path, 404)
    assert body.keys() == {"code", "message", "data", "requestId"}
    assert (body["code"], body["data"]["kind"]) == (code, kind)
    names = {"target": {"targets": ["prod"]}, "policy": {"policies": ["heal"]}}.get(kind, {})
    assert body["data"].items() >= names.items()


async def test_what_needs_the_ledger_says_so_when_it_is_away(bureau: Bureau) -> None:
    """What is in memory is told all the same."""
    await bureau.ledger.close()
    for path in ("operations", "operations/op_1", "pauses", "breakers", "decisions/prod/heal"):
        assert (await bureau.get(path, 503))["code"] == "LEDGER_UNAVAILABLE"
    for path in ("targets", "targets/prod", "policies", "policies/heal", "decisions"):
        await bureau.get(path)


# Targets and policies


async def test_targets_tell_each_component(bureau: Bureau) -> None:
    """Status, reason, error without secrets, latency and age; the worst names the target."""
    bureau.target.failing[Component.ADMIN] = Reason.REFUSED
    bureau.more_targets = (Target("lab", labels={"tier": "test"}),)
    bureau.people.hasten("prod")
    lab, prod = (await bureau.get("targets"))["targets"]
    assert (lab["name"], lab["status"], lab["labels"]) == ("lab", "unknown", {"tier": "test"})
    assert (prod["name"], prod["status"], prod["operation"]) == ("prod", "unreachable", None)
    components = {c["component"]: c for c in prod["components"]}
    assert components["admin"]["reason"] == "refused"
    assert components["admin"]["error"] == "it failed: refused"
    assert components["ingress"] == {
        "component": "ingress",
        "status": "ok",
        "reason": None,
        "error": None,
        "latencyMs": 10.0,
        "readAt": "2026-11-02T03:00:00.001Z",
        "interval": "15s",
    }
    bad = await bureau.get("targets?status=unreachable")
    assert [one["name"] for one in bad["targets"]] == ["prod"]


async def test_one_target_tells_all_that_is_known(bureau: Bureau) -> None:
    """What doctor answers, workers, deployments and the values that conditions see."""
    bureau.people.hasten("prod")
    prod = await bureau.get("targets/prod")
    assert prod["doctor"]["services"]["items"][0] == {"name": "Greeter", "revision": 1}
    assert prod["expectedServices"] == ["Counter", "Greeter"]
    (worker,) = prod["workers"]
    assert (worker["url"], worker["registered"], worker["missing"]) == (URL, True, [])
    (deployment,) = prod["deployments"]
    assert (deployment["id"], deployment["state"], deployment["owner"]) == (
        *("dp_0", "active"),
        "ours",
    )
    assert prod["values"]["services.registered"] == ["Counter", "Greeter"]
    assert prod["values"]["admin.version"] == "1.7.12"


async def test_what_was_never_read_is_unknown_and_not_empty(bureau: Bureau) -> None:
    """Nor is a reading that is too old."""
    assert (await bureau.get("targets/prod"))["deployments"] is None
    bureau.people.hasten("prod")
    bureau.clock.advance(3600)
    prod = await bureau.get("targets/prod")
    assert (prod["status"], prod["deployments"]) == ("unknown", None)
    assert {(c["status"], c["latencyMs"]) for c in prod["components"]} == {("unknown", None)}
    assert all(c["readAt"] for c in prod["components"])
    assert "services.registered" not in prod["values"]


async def test_policies_tell_what_is_in_force(bureau: Bureau) -> None:
    """Durations and limits as they are written, and the mode that wins."""
    bureau.max_mode = Mode.OBSERVE
    bureau.policies += (policy(name="other", targets="{names: [lab]}", mode="off"),)
    bureau.more_targets = (Target("lab"),)
    heal, other = (await bureau.get("policies"))["policies"]
    assert heal == await bureau.get("policies/heal")
    assert (heal["mode"], heal["writtenMode"], heal["remedy"]) == (
        *("observe", "enforce"),
        "force-redeploy",
    )
    assert (heal["when"], heal["for"]) == ("size(services.missing) > 0", "0s")
    assert heal["limits"] == [{"scope": "target", "max": 3, "per": "1d"}]
    assert (heal["cooldown"], heal["targets"]) == ("15m", ["lab", "prod"])
    assert heal["storm"]["maxUnhealthy"] == "40%"
    assert heal["breaker"] == {"failed": 2, "per": "1d", "reset": None}
    assert other["targets"] == ["lab"]
    for query, names in {
        "target=prod": ["heal"],
        "mode=off": ["other"],
        "remedy=force-redeploy&target=lab": ["heal", "other"],
        "remedy=notify": [],
    }.items():
        found = await bureau.get(f"policies?{query}")
        assert [one["name"] for one in found["policies"]] == names


# Decisions


def standing(target: str, name: str, item: str | None = None, **changes: Any) -> StandingDecision:
    decision = Decision(
        Subject(name, target, item), Result.HOLD, HoldReason.STORM, remedy="force-redeploy"
    )
    return StandingDecision(replace(decision, **changes), NOW)


async def test_decisions_are_narrowed_by_everything_that_they_tell(bureau: Bureau) -> None:
    """And each filter takes the others' away as well."""
    bureau.decisions = (
        standing("prod", "heal"),
        standing("prod", "heal", "b", reason=HoldReason.PENDING, mode=Mode.OBSERVE),
        standing("lab", "tidy", result=Result.CLEAR, reason=None, remedy="notify"),
    )
    for query, count in {
        "reason=storm": 1,
        "reason=cooldown": 0,
        "mode=observe": 1,
        "remedy=notify": 1,
        "target=prod": 2,
        "policy=tidy&target=lab": 1,
        "result=hold&mode=enforce": 1,
    }.items():
        assert len((await bureau.get(f"decisions?{query}"))["decisions"]) == count, query


async def test_no_cursor_tells_a_secret(bureau: Bureau) -> None:
    """An item may be a URL with user info; two that differ in nothing else are still two pages."""
    secret = "http://u:hunter2hunter2@w:9080/"
    bureau.decisions = (standing("prod", "heal", secret), standing("prod", "heal", "z"))
    first = await bureau.get("decisions?limit=1")
    assert first["decisions"][0]["item"] == "http://REDACTED@w:9080/"
    padded = first["nextCursor"] + "=" * (-len(first["nextCursor"]) % 4)
    assert b"hunter2" not in base64.urlsafe_b64decode(padded)
    last = await bureau.get(f"decisions?limit=1&cursor={first['nextCursor']}")
    assert [d["item"] for d in last["decisions"]] == ["z"]
    assert last["nextCursor"] is None


async def test_one_decision_tells_how_it_changed(bureau: Bureau) -> None:
    """Newest first, in pages; of one item when that is asked for, by the name it is shown by."""
    item = "http://u:hunter2hunter2@w:9080/"
    reasons = (HoldReason.PENDING, HoldReason.STORM, HoldReason.COOLDOWN)
    for number, reason in enumerate(reasons):
        decided = [standing("prod", "heal", one, reason=reason).decision for one in (item, "z")]
        await bureau.ledger.note_changes(decided, now=bureau.clock.advance(number))
    bureau.decisions = (standing("prod", "heal", item), standing("prod", "heal", "z"))
    whole = await bureau.get("decisions/prod/heal")
    assert len(whole["decisions"]) == 2
    assert [c["reason"] for c in whole["changes"]] == [
        *("cooldown", "cooldown", "storm", "storm"),
        *("pending", "pending"),
    ]
    shown = whole["decisions"][0]["item"]
    of_item = await bureau.get(f"decisions/prod/heal?item={shown}&limit=2")
    assert [c["reason"] for c in of_item["changes"]] == ["cooldown", "storm"]
    assert len(of_item["decisions"]) == 1
    rest = await bureau.get(
        f"decisions/prod/heal?item={shown}&limit=2&cursor={of_item['nextCursor']}"
    )
    assert [c["reason"] for c in rest["changes"]] == ["pending"]
    assert rest["nextCursor"] is None
    assert "hunter2" not in str(whole)


# Operations


async def test_operations_are_narrowed_and_newest_first(bureau: Bureau) -> None:
    """By target, policy, remedy, outcome, phase, source and time."""
    clock = bureau.clock
    old = await bureau.ledger.refuse(by_person(), reason="no", message="x", now=clock.now())
    later = clock.advance(60)
    asked = by_policy(mode=Mode.APPROVE)
    plan = await bureau.ledger.propose(asked, plan_for(asked), owner="me", now=later)
    whole = (await bureau.get("operations"))["operations"]
    assert [row["id"] for row in whole] == [plan.id, old.id]
    moment = "2026-11-02T03:01:00Z"
    for query, ids in {
        "phase=proposed": [plan.id],
        "outcome=refused": [old.id],
        "source=cli": [old.id],
        "policy=heal": [plan.id],
        "remedy=force-redeploy&target=prod": [plan.id, old.id],
        "remedy=doctor": [],
        f"since={moment}": [plan.id],
        f"until={moment}": [old.id],
    }.items():
        narrowed = (await bureau.get(f"operations?{query}"))["operations"]
        assert [row["id"] for row in narrowed] == ids, query
    assert whole[0]["expiresAt"]


async def test_a_name_that_only_the_ledger_knows_is_no_mistake(bureau: Bureau) -> None:
    """A target may have been taken out of the configuration; its record stays."""
    gone = by_person(target="gone")
    row = await bureau.ledger.refuse(gone, reason="no", message="x", now=NOW)
    found = await bureau.get("operations?target=gone")
    assert [one["id"] for one in found["operations"]] == [row.id]
    assert (await bureau.get("operations?target=gone&source=policy"))["operations"] == []


async def test_one_operation_tells_everything_that_happened(bureau: Bureau) -> None:
    """By its id or the beginning of it; the plan's steps are in its first entry."""
    request = by_policy(mode=Mode.APPROVE)
    made = replace(plan_for(request), steps=("register it",))
    plan = await bureau.ledger.propose(request, made, owner="me", now=NOW)
    await bureau.ledger.approve(plan.id, actor="mira", reason="seen", now=NOW)
    found = await bureau.get(f"operations/{plan.id}")
    assert (found["id"], found["approvedBy"]) == (plan.id, "mira")
    for name in (plan.id[:-2], plan.id.removeprefix("op_")):
        assert await bureau.get(f"operations/{name}") == found
    first, second = found["entries"]
    assert (first["kind"], first["body"]["steps"]) == ("proposed", ["register it"])
    assert (second["kind"], second["body"]["reason"]) == ("approved", "seen")
    assert len(first["hash"]) == 64


async def test_the_beginning_of_several_ids_is_refused_with_some_of_them(bureau: Bureau) -> None:
    """Which one is meant, nobody can know."""
    for _ in range(2):
        await bureau.ledger.refuse(by_person(), reason="no", message="x", now=NOW)
    body = await bureau.get("operations/op_", 422)
    assert len(body["data"]["matches"]) == 2


async def test_a_cursor_of_another_ledger_is_refused(bureau: Bureau) -> None:
    """After a restored copy its operation may be gone: that is not the end of the list."""
    other = "WyJvcGVyYXRpb25zIiwib3BfemV6ZSJd"
    body = await bureau.get(f"operations?cursor={other}", 422)
    assert "begin again without one" in issues(body)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 12),
    st.lists(st.integers(0, 3), max_size=6),
    st.integers(1, 5),
    st.lists(st.integers(-100, 100), min_size=40, max_size=40),
)
def test_paging_over_operations_shows_each_once_while_more_come(
    count: int, between: list[int], limit: int, clock: list[int]
) -> None:
    """Newest first; what comes between two pages is on none of the later ones, whatever the
    clock does."""
    moments = iter(clock)

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with bureau_at(Path(folder)) as bureau:

                async def add() -> str:
                    now = bureau.clock.advance(next(moments))
                    row = await bureau.ledger.refuse(by_person(), reason="n", message="", now=now)
                    return row.id

                there = [await add() for _ in range(count)]
                shown: list[str] = []
                more, query = iter(between), f"limit={limit}"
                while True:
                    answer = await bureau.get(f"operations?{query}")
                    shown += [row["id"] for row in answer["operations"]]
                    if answer["nextCursor"] is None:
                        break
                    query = f"limit={limit}&cursor={answer['nextCursor']}"
                    for _ in range(next(more, 0)):
                        await add()
                assert shown == there[::-1]

    asyncio.run(play())


# What people ordered


async def test_pauses_in_force_are_listed_and_others_when_asked_for(bureau: Bureau) -> None:
    """With who, why and until when."""
    ledger = bureau.ledger
    first = await ledger.pause("global", "", owner="mira", reason="night", now=NOW)
    until = bureau.clock.now().replace(hour=4)
    second = await ledger.pause(
        "target", "prod", owner="jo", reason="work", now=NOW, expires_at=until
    )
    found = (await bureau.get("pauses"))["pauses"]
    assert [one["id"] for one in found] == [first.id, second.id]
    assert found[1] == {
        "id": second.id,
        "scope": "target",
        "name": "prod",
        "owner": "jo",
        "reason": "work",
        "createdAt": "2026-11-02T03:00:00.000Z",
        "expiresAt": "2026-11-02T04:00:00.000Z",
        "inForce": True,
    }
    for query, ids in {
        "scope=target": [second.id],
        "name=prod": [second.id],
        "limit=1": [first.id],
    }.items():
        assert [p["id"] for p in (await bureau.get(f"pauses?{query}"))["pauses"]] == ids
    bureau.clock.advance(7200)
    assert [p["id"] for p in (await bureau.get("pauses"))["pauses"]] == [first.id]
    any_ = (await bureau.get("pauses?status=any"))["pauses"]
    assert [(p["id"], p["inForce"]) for p in any_] == [(first.id, True), (second.id, False)]
    assert (await bureau.get(f"pauses/{second.id}"))["inForce"] is False


async def fail_twice(bureau: Bureau, target: str = "prod") -> None:
    for _ in range(2):
        request = by_policy(target=target)
        lease = timedelta(hours=1)
        row = await bureau.ledger.reserve(
            request, plan_for(request), owner="me", lease=lease, now=bureau.clock.now()
        )
        await bureau.ledger.advance(
            row.id, Phase.ACTING, owner="me", lease=lease, now=bureau.clock.now()
        )
        now = bureau.clock.advance(1)
        await bureau.ledger.finish(row.id, Outcome.FAILED, owner="me", now=now)


async def test_open_breakers_tell_which_one_to_reset(bureau: Bureau) -> None:
    """Of a remedy on a target; of a policy, once it is open on three."""
    assert (await bureau.get("breakers"))["breakers"] == []
    await fail_twice(bureau)
    (one,) = (await bureau.get("breakers"))["breakers"]
    assert (one["id"], one["policy"], one["target"], one["remedy"], one["closesAt"]) == (
        *("target:prod:force-redeploy", "heal", "prod", "force-redeploy"),
        None,
    )
    assert "failed 2 times on this target" in one["why"]
    bureau.more_targets = (Target("a"), Target("b"), Target("c"))
    for name in ("a", "b"):
        await fail_twice(bureau, name)
    found = {b["target"]: b["id"] for b in (await bureau.get("breakers"))["breakers"]}
    assert found["c"] == "policy:heal"
    assert found["a"] == "target:a:force-redeploy"
    for query, count in {"target=c": 1, "policy=heal": 4, "remedy=notify": 0}.items():
        assert len((await bureau.get(f"breakers?{query}"))["breakers"]) == count


async def test_every_word_for_a_call_is_a_filter(bureau: Bureau) -> None:
    """What the ledger calls a call can be asked for."""
    for call in CALLS:
        assert (await bureau.get(f"operations?remedy={call}"))["operations"] == []


async def test_reading_does_not_wait_for_whoever_writes(bureau: Bureau, tmp_path: Path) -> None:
    """A ledger that another process has locked is read all the same."""
    with locked(tmp_path):
        await bureau.get("operations")
        await bureau.get("pauses")
