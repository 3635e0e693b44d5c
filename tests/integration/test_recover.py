"""recover-stuck-workflow on real servers: a failed key is freed, and everything else is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest

from exporter.model.errors import RefusedError
from exporter.model.operation import Outcome
from lab import Restate, ServiceSpec, Version
from tests.integration.surgery import Hand, row_of, send, surgery, until
from tests.medic import PATIENCE_SECONDS, Medic, target_of
from tests.support import ServerFactory, WorkerFactory
from tests.toll import TollGate

FLOW = ServiceSpec("Flow", "workflow", ("run", "ask"))
CART = ServiceSpec("Cart", "object")
RECOVER = "recover-stuck-workflow"


def recover_failed(**changes: object) -> dict[str, object]:
    """A quick form of the policy that frees failed keys."""
    arguments = changes.pop("arguments", {"service": "Flow", "max_items": 10})
    return {
        "name": "free-keys",
        "mode": "enforce",
        "for_each": "workflows.failed",
        "when": "item.active_siblings == 0 && item.recoveries < 1",
        "for": "1s",
        "action": {RECOVER: arguments},
        "cooldown": "1s",
        "limits": [
            {"scope": "item", "max": 1, "per": "24h"},
            {"scope": "target", "max": 1, "per": "24h"},
        ],
        "verify": {"within": "20s", "healthy_for": "1s"},
        **changes,
    }


def _failed(restate: Restate, key: str) -> str:
    return until(restate, send(restate, "Flow", "fail", key), "completed")


def _left(restate: Restate, key: str) -> list[dict[str, object]]:
    where = f"WHERE service_key = '{key}'"
    return [
        *restate.query(f"SELECT key FROM state {where}"),
        *restate.query(f"SELECT key FROM sys_promise {where}"),
    ]


async def test_a_failed_key_is_freed_and_runs_with_success(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Submitting a failed key again runs nothing; after the recovery it runs to its end."""
    restate = fresh_restate(any_version)
    restate.register(worker_factory(FLOW).url)
    run = _failed(restate, "k1")
    other = _failed(restate, "k2")
    again = restate.call("Flow", "run", "go", key="k1", send=True).json()
    assert again["status"] == "PreviouslyAccepted"
    assert _left(restate, "k1") != []
    async with surgery(tmp_path, restate) as person:
        done = await person.perform(RECOVER, serviceName="Flow", serviceKey="k1")
        assert (done.outcome, done.error) == (Outcome.VERIFIED, None)
        assert await person.items(done) == {"Flow/k1": "recovered"}
        assert done.before["Flow/k1"]["run"] == run
        assert "told to fail" in done.before["Flow/k1"]["error"]
        assert (row_of(restate, run), _left(restate, "k1")) == ({}, [])
        nothing = await person.perform(RECOVER, serviceName="Flow", serviceKey="k1")
        assert nothing.outcome is Outcome.NOTHING_TO_DO
    fresh = restate.call("Flow", "run", "go", key="k1", send=True).json()
    assert (fresh["status"], fresh["invocationId"]) == ("Accepted", run)
    until(restate, run, "completed")
    assert row_of(restate, run)["completion_result"] == "success"
    assert row_of(restate, other)["completion_result"] == "failure"


async def test_what_must_not_be_replayed_is_refused_with_reason_and_ids(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Active, succeeded, an object's key, a timer still to fire: refused, recorded, unchanged."""
    restate = fresh_restate(any_version)
    restate.register(worker_factory(FLOW, CART).url)
    waiting = until(restate, send(restate, "Flow", "wait", "active"), "suspended")
    _failed(restate, "asked")
    asker = until(restate, send(restate, "Flow", "wait", "asked", "ask"), "suspended")
    good = until(restate, send(restate, "Flow", "go", "good"), "completed")
    until(restate, send(restate, "Cart", "fail", "thing"), "completed")
    asleep = until(restate, send(restate, "Flow", "sleep", "slept"), "suspended")
    restate.admin("PATCH", f"/invocations/{asleep}/kill").raise_for_status()
    until(restate, asleep, "completed")
    before = restate.query("SELECT id, status, modified_at FROM sys_invocation_status ORDER BY id")
    async with surgery(tmp_path, restate) as person:
        for service, key, reason, ids in (
            ("Flow", "active", "active-invocation", [waiting]),
            ("Flow", "asked", "active-invocation", [asker]),
            ("Flow", "good", "already-succeeded", [good]),
            ("Flow", "slept", "unfired-sleep", [asleep]),
            ("Cart", "thing", "not-a-workflow", None),
            ("Flow", "no/slash", "bad-argument", None),
        ):
            with pytest.raises(RefusedError) as refused:
                await person.perform(RECOVER, serviceName=service, serviceKey=key)
            assert refused.value.reason == reason, key
            assert refused.value.data.get("invocationIds") == ids, key
        assert {o.outcome for o in await person.engine.ledger.operations()} == {Outcome.REFUSED}
        nobody = await person.perform(RECOVER, serviceName="Nobody", serviceKey="k")
        assert nobody.outcome is Outcome.NOTHING_TO_DO
    after = restate.query("SELECT id, status, modified_at FROM sys_invocation_status ORDER BY id")
    assert after == before


async def test_a_run_whose_journal_is_gone_needs_a_word(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Without a journal nobody knows of sleeps; who knows there are none says so, on the record."""
    restate = fresh_restate()
    restate.register(worker_factory(FLOW).url)
    settings = {"journal_retention": "0s"}
    restate.admin("PATCH", "/services/Flow", settings).raise_for_status()
    _failed(restate, "k1")
    async with surgery(tmp_path, restate) as person:
        with pytest.raises(RefusedError, match="journal") as refused:
            await person.perform(RECOVER, serviceName="Flow", serviceKey="k1")
        assert refused.value.override == "unknown-sleeps"
        done = await person.perform(
            RECOVER, ["unknown-sleeps"], serviceName="Flow", serviceKey="k1"
        )
        assert (done.outcome, done.allowed) == (Outcome.VERIFIED, ("unknown-sleeps",))


async def test_a_key_that_was_submitted_again_after_the_plan_is_left_alone(
    restate: Restate, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The fresh run has the same id: its birth and status tell, and nothing is written."""
    restate.register(worker_factory(FLOW, CART).url)
    async with surgery(tmp_path, restate) as person:
        remedy = person.backend.remedies[RECOVER]
        for body, status, reason in (
            ("wait", "suspended", "active-invocation"),
            ("go", "completed", "already-succeeded"),
            ("fail", "completed", "changed"),
        ):
            key = f"again-{body}-{uuid4()}"
            run = _failed(restate, key)
            plan = await person.plan(RECOVER, serviceName="Flow", serviceKey=key)
            restate.admin("PATCH", f"/invocations/{run}/purge").raise_for_status()
            assert send(restate, "Flow", body, key) == run
            until(restate, run, status)
            before, hand = row_of(restate, run), Hand()
            with pytest.raises(RefusedError) as refused:
                await remedy.act(person.context, plan, hand)
            assert (refused.value.reason, hand.steps) == (reason, []), body
            assert row_of(restate, run) == before
            assert [item.outcome for item in hand.items] == ["skipped"]


async def test_state_without_a_run_is_cleared_and_a_purged_one_is_no_failure(
    restate: Restate, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """What somebody else purged meanwhile is done; state that stayed behind goes."""
    restate.register(worker_factory(FLOW, CART).url)
    key = f"left-{uuid4()}"
    run = _failed(restate, key)
    async with surgery(tmp_path, restate) as person:
        remedy = person.backend.remedies[RECOVER]
        plan = await person.plan(RECOVER, serviceName="Flow", serviceKey=key)
        restate.admin("PATCH", f"/invocations/{run}/purge").raise_for_status()
        hand = Hand()
        assert (await remedy.act(person.context, plan, hand)).nothing_to_do
        assert hand.steps == []
        body = {"object_key": key, "new_state": {"calls": [49]}}
        restate.admin("POST", "/services/Flow/state", body).raise_for_status()
        done = await person.perform(RECOVER, serviceName="Flow", serviceKey=key)
        assert (done.outcome, _left(restate, key)) == (Outcome.VERIFIED, [])


@pytest.mark.parametrize("place", ["request", "answer"])
async def test_a_purge_without_an_answer_is_indeterminate(
    restate: Restate,
    worker_factory: WorkerFactory,
    tmp_path: Path,
    place: Literal["request", "answer"],
) -> None:
    """Whether it happened is not known, so it is neither a success nor a failure, and it counts."""
    restate.register(worker_factory(FLOW, CART).url)
    key = f"toll-{uuid4()}"
    _failed(restate, key)
    with TollGate(restate.admin_url, marker=b"/purge", place=place) as gate:
        async with surgery(tmp_path, restate, admin_url=gate.url, timeout="2s") as person:
            done = await person.perform(RECOVER, serviceName="Flow", serviceKey=key)
            assert done.outcome is Outcome.INDETERMINATE
            assert await person.items(done) == {f"Flow/{key}": "indeterminate"}


def test_300_failed_keys_are_a_storm_and_beyond_that_only_as_many_go_as_the_limit_allows(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Nothing is done about so many until a person raises ``storm.max_items``.

    Then one operation of ``max_items``, those that failed first, and the limit holds the rest.
    """
    restate = fresh_restate()
    restate.register(worker_factory(FLOW, ServiceSpec("Other", "workflow")).url)
    ids = {n: _failed(restate, f"old{n}") for n in range(10)}
    other = until(restate, send(restate, "Other", "fail", "o"), "completed")
    killed = until(restate, send(restate, "Flow", "wait", "killed"), "suspended")
    restate.admin("PATCH", f"/invocations/{killed}/kill").raise_for_status()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: send(restate, "Flow", "fail", f"new{n}"), range(290)))
    targets = [target_of(restate)]
    with Medic(tmp_path, targets=targets, policies=[recover_failed()]) as medic:
        medic.wait_for(lambda: medic.holds("free-keys") == {"storm"}, "the storm to hold")
        assert len(medic.decisions()) == 300
        assert medic.operations() == []
        medic.write(targets=targets, policies=[recover_failed(storm={"max_items": 300})])
        assert medic.post("/-/reload").status_code == 200
        medic.wait_for(lambda: medic.events("operation.closed"), "the operation to be closed")
        medic.wait_for(lambda: medic.holds("free-keys") == {"limit_target"}, "the limit")
        (row,) = medic.operations()
        assert row["outcome"] == "verified"
        assert set(row["items"]) == {f"Flow/old{n}" for n in range(10)}
        assert set(row["values"]["item.recoveries"]) == set(row["items"])
    rows = restate.query("SELECT id FROM sys_invocation_status WHERE status = 'completed'")
    left = {str(r["id"]) for r in rows}
    assert len(left) == 292
    assert not left & set(ids.values())
    assert {other, killed} <= left


def test_a_crash_between_two_keys_counts_and_nothing_is_done_twice(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """SIGKILL before the second purge: one key is free, two still failed, the limit is spent."""
    restate = fresh_restate()
    restate.register(worker_factory(FLOW).url)
    first, second, third = (_failed(restate, f"k{n}") for n in range(3))
    policy = recover_failed()
    with TollGate(restate.admin_url, marker=f"{second}/purge".encode(), place="request") as gate:
        target = target_of(restate)
        tolled = target | {"admin_url": gate.url}
        medic = Medic(tmp_path, targets=[tolled], policies=[policy], lease="5s", timeout="60s")
        with medic:
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            medic.kill()
    assert (row_of(restate, first), len(row_of(restate, second)) > 0) == ({}, True)
    # What comes up again under the key of the first is nobody's business.
    assert send(restate, "Flow", "fail", "k0") == first
    until(restate, first, "completed")
    medic.write(targets=[target], policies=[policy], lease="5s")
    with medic:
        medic.wait_for(lambda: medic.holds("free-keys") == {"limit_item"}, "the limit")
        (row,) = medic.operations()
        assert row["outcome"] == "interrupted"
    assert all(row_of(restate, one) for one in (first, second, third))
    assert _left(restate, "k1") != []
