"""Resume, cancel, kill, purge and restart on real servers, by policies and by people."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.errors import RefusedError
from exporter.model.operation import Outcome
from lab import Restate, ServiceSpec, Version, Worker, wait_until
from tests.integration.surgery import Hand, row_of, send, surgery, until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

PLAIN = ServiceSpec("Plain", pause_after=2)
CART = ServiceSpec("Cart", "object", pause_after=2)
SLOW = ServiceSpec("Slow", "object")
FLOW = ServiceSpec("Flow", "workflow", ("run", "ask"))
NOBODY = "inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
SHORT = timedelta(seconds=4)


def resume_paused(**changes: object) -> dict[str, object]:
    """A quick form of the policy that resumes what its retries gave up on."""
    return {
        "name": "resume",
        "mode": "enforce",
        "for_each": "invocations.paused",
        "when": 'item.paused_by == "retries" && item.resumes < 2',
        "for": "1s",
        "action": {"resume-invocations": {"service": "Plain", "max_items": 2}},
        "cooldown": "1s",
        "limits": [{"scope": "item", "max": 2, "per": "forever"}],
        "verify": {"within": "20s", "healthy_for": "1s"},
        **changes,
    }


def _paused(restate: Restate, service: str, key: str | None = None) -> str:
    return until(restate, send(restate, service, "crash", key), "paused")


def test_paused_work_is_resumed_once_its_worker_is_back(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Nothing while the endpoint is dead; then in batches, the longest paused first; all done."""
    restate = fresh_restate(any_version)
    worker = worker_factory(PLAIN, CART)
    restate.register(worker.url)
    worker.stop()
    ids = [until(restate, send(restate, "Plain", "go"), "paused") for _ in range(3)]
    other = until(restate, send(restate, "Cart", "go", "k"), "paused")
    asyncio.run(_refused_while_dead(restate, worker, tmp_path, ids))
    worker.start()
    target, folder = target_of(restate), tmp_path / "medic"
    with Medic(folder, targets=[target], policies=[resume_paused()]) as medic:
        medic.wait_for(lambda: len(medic.events("operation.closed")) == 2, "both operations")
        second, first = medic.operations()
    assert [r["outcome"] for r in (first, second)] == ["verified", "verified"]
    held = [[key.partition("@")[0] for key in row["items"]] for row in (first, second)]
    assert held == [ids[:2], ids[2:]]
    assert {str(row_of(restate, one)["completion_result"]) for one in ids} == {"success"}
    assert restate.status(other) == "paused"


async def _refused_while_dead(
    restate: Restate, worker: Worker, folder: Path, ids: list[str]
) -> None:
    """Dead when it is asked for, and dead only after the plan was made."""
    async with surgery(folder, restate) as person:
        with pytest.raises(RefusedError, match="does not answer") as refused:
            await person.perform("resume-invocations", ids=ids)
        assert refused.value.reason == "endpoint-dead"
        worker.start()
        plan, hand = await person.plan("resume-invocations", ids=ids), Hand()
        worker.stop()
        act = person.backend.remedies["resume-invocations"].act
        with pytest.raises(RefusedError) as refused:
            await act(person.context, plan, hand)
        assert (refused.value.reason, hand.steps) == ("endpoint-dead", [])


def _paused_by_hand(restate: Restate, body: str, key: str) -> str:
    """Only what runs or backs off can be paused; what is suspended does neither."""
    held = until(restate, send(restate, "Slow", body, key), "backing-off")
    restate.admin("PATCH", f"/invocations/{held}/pause").raise_for_status()
    return until(restate, held, "paused")


async def test_what_pauses_again_counts_as_failed_and_stops_the_batch(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The first one is watched, also when it is alone; of several only the first is tried."""
    restate = fresh_restate()
    restate.register(worker_factory(PLAIN, CART).url)
    ids = [_paused(restate, "Cart", f"k{n}") for n in range(3)]
    before = [row_of(restate, one)["modified_at"] for one in ids]
    async with surgery(tmp_path, restate) as person:
        alone = await person.perform("resume-invocations", ids=ids[:1], within=SHORT)
        assert alone.outcome is Outcome.FAILED
        assert "paused again at once" in (alone.error or "")
        assert list((await person.items(alone)).values()) == ["failed"]
        several = await person.perform("resume-invocations", ids=ids[1:], within=SHORT)
        assert several.outcome is Outcome.FAILED
        assert "paused again at once" in (several.error or "")
        assert list((await person.items(several)).values()) == ["failed", "skipped"]
    after = [row_of(restate, one)["modified_at"] for one in ids]
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, True, False]


async def test_what_a_person_paused_stays_paused_unless_a_person_says_otherwise(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Refused with the word that overrides it; and what cannot be resumed at all says why."""
    restate = fresh_restate(any_version)
    worker = worker_factory(PLAIN, SLOW)
    gone = restate.register(worker.url)["id"]
    done = until(restate, send(restate, "Plain", "go"), "completed")
    worker.stop()
    held = _paused_by_hand(restate, "sleep", "k1")
    worker.start()
    async with surgery(tmp_path, restate) as person:
        for ids, reason in (
            ([held], "paused-by-person"),
            ([done], "not-paused"),
            (["x"], "malformed-id"),
            ([NOBODY], "gone"),
        ):
            with pytest.raises(RefusedError) as refused:
                await person.perform("resume-invocations", ids=ids)
            assert refused.value.reason == reason
        both = await person.perform(
            "resume-invocations", ["paused-by-person"], ids=[held, done], within=SHORT
        )
        assert (both.outcome, both.allowed) == (Outcome.PARTIAL, ("paused-by-person",))
        assert sorted((await person.items(both)).values()) == ["resumed", "skipped"]
        until(restate, held, "suspended")
        pinned = _paused_by_hand(restate, "crash", "k2")
        assert row_of(restate, pinned)["pinned_deployment_id"] == gone
        restate.delete_deployment(gone)
        with pytest.raises(RefusedError) as refused:
            await person.perform("resume-invocations", ["paused-by-person"], ids=[pinned])
        assert refused.value.reason == "zombie"


async def test_kill_cancel_restart_and_purge_do_what_they_say_and_nothing_else(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Each seen from outside; each refuses the status it does not suit."""
    restate = fresh_restate(any_version)
    restate.register(worker_factory(PLAIN, CART, FLOW).url)
    killed, cancelled, kept = (
        until(restate, send(restate, "Plain", "sleep"), "suspended") for _ in range(3)
    )
    stuck = _paused(restate, "Cart", "k")
    async with surgery(tmp_path, restate) as person:
        for verb, word in (("purge", "not-completed"), ("restart", "not-completed")):
            with pytest.raises(RefusedError) as refused:
                await person.perform(f"{verb}-invocations", ids=[killed])
            assert refused.value.reason == word
        done = await person.perform("kill-invocations", ids=[killed, stuck])
        assert done.outcome is Outcome.VERIFIED
        for one in (killed, stuck):
            assert row_of(restate, one)["completion_failure"] == "[409] killed"
        done = await person.perform("cancel-invocations", ids=[cancelled])
        assert done.outcome is Outcome.VERIFIED
        assert "cancel" in str(row_of(restate, cancelled)["completion_failure"])
        for verb in ("kill", "cancel"):
            with pytest.raises(RefusedError) as refused:
                await person.perform(f"{verb}-invocations", ids=[killed])
            assert refused.value.reason == "already-completed"
        again = await person.perform("restart-invocations", ids=[killed])
        assert again.outcome is Outcome.VERIFIED
        (new,) = again.after["restarted"].values()
        until(restate, new, "suspended")
        flow = until(restate, send(restate, "Flow", "fail", "k"), "completed")
        with pytest.raises(RefusedError) as refused:
            await person.perform("restart-invocations", ids=[flow])
        assert refused.value.reason == "is-a-workflow"
        gone = await person.perform("purge-invocations", ids=[killed, flow])
        assert (gone.outcome, row_of(restate, killed), row_of(restate, flow)) == (
            Outcome.VERIFIED,
            {},
            {},
        )
    assert restate.status(kept) == "suspended"


async def test_an_id_that_came_back_is_not_the_one_that_was_decided_on(
    restate: Restate, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A workflow's run has its key's id for ever: only its birth tells the runs apart."""
    restate.register(worker_factory(FLOW).url)
    run = until(restate, send(restate, "Flow", "fail", "came-back"), "completed")
    async with surgery(tmp_path, restate) as person:
        for verb, body, status in (("purge", "fail", "completed"), ("kill", "wait", "suspended")):
            plan = await person.plan(f"{verb}-invocations", ids=[run])
            restate.admin("PATCH", f"/invocations/{run}/kill")
            restate.admin("PATCH", f"/invocations/{run}/purge").raise_for_status()
            wait_until(lambda: not row_of(restate, run), what="it to be gone")
            assert send(restate, "Flow", "wait" if verb == "purge" else body, "came-back") == run
            until(restate, run, "suspended" if verb == "purge" else status)
            before, hand = row_of(restate, run), Hand()
            act = person.backend.remedies[f"{verb}-invocations"].act
            assert (await act(person.context, plan, hand)).nothing_to_do
            assert (hand.steps, row_of(restate, run)) == ([], before)


def test_people_do_it_from_the_command_line(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The plan, the outcome, the exit codes; the ledger knows who and why."""
    restate = fresh_restate()
    restate.register(worker_factory(PLAIN, FLOW).url)
    asleep = until(restate, send(restate, "Plain", "sleep"), "suspended")
    until(restate, send(restate, "Flow", "fail", "k1"), "completed")
    active = until(restate, send(restate, "Flow", "wait", "k2"), "suspended")
    medic = Medic(tmp_path, targets=[target_of(restate)])
    plan = medic.command("invocations", "kill", asleep, "--dry-run")
    assert (plan.returncode, asleep in plan.stdout) == (0, True), plan.stderr
    assert restate.status(asleep) == "suspended"
    done = medic.command("invocations", "kill", asleep, "--yes", "--reason", "stuck since May")
    assert (done.returncode, done.stdout.split()[0]) == (0, "verified"), done.stderr
    done = medic.command("recover", "Flow", "k1", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    refused = medic.command("recover", "Flow", "k2", "--yes", "--json")
    assert refused.returncode == 1
    assert '"active-invocation"' in refused.stdout
    assert active in refused.stdout
    rows = medic.operations()
    assert [r["outcome"] for r in rows] == ["refused", "verified", "verified"]
    assert rows[2]["reason"] == "stuck since May"
