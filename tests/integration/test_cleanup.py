"""cleanup-stale-deployments on a real Restate: what goes, what stays, and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.model.errors import RefusedError
from exporter.model.operation import Operation, Outcome, Request
from lab import Restate, ServiceSpec, Version, Worker, wait_until
from tests.integration import proxy
from tests.integration.engine import Desk, desk_at, nothing_changes
from tests.integration.proxy import Fault, Matches, Proxy
from tests.support import ServerFactory

CLEANUP = "cleanup-stale-deployments"
AT_ONCE = timedelta(milliseconds=1)
MANAGED = {"managed-by": "restate-operator"}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Serves a workflow; each path of its URL is a deployment of its own."""
    with Worker([ServiceSpec("Signup", "workflow", ("run", "peek"))]) as worker:
        yield worker


@pytest.fixture(scope="module")
def other() -> Iterator[Worker]:
    """Another team's worker."""
    with Worker([ServiceSpec("Other", handlers=("go",))]) as worker:
        yield worker


# What goes


async def test_a_drained_deployment_goes_and_one_with_work_stays_until_it_has_drained(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path, any_version: Version
) -> None:
    """The suspended run keeps its deployment; the skip is recorded; later it goes as well."""
    restate = fresh_restate(any_version)
    busy = registered(restate, worker, "v1")
    run = start(restate, "k1")
    idle, kept = registered(restate, worker, "v2"), registered(restate, worker, "v3")
    async with desk_at(tmp_path, restate, service_url=f"{worker.url}/v3") as desk:
        done = await desk.perform(now(desk, reason="tidy up"))
        assert (done.outcome, done.reason) == (Outcome.PARTIAL, "tidy up")
        assert ids(restate) == {busy, kept}
        assert done.before["drained"] == [idle]
        assert done.before["draining"] == [busy]
        assert done.after == {"deleted": [idle], "skipped": {busy: "it is draining"}, "killed": []}
        assert await items(desk, done) == {idle: "deleted", busy: "skipped"}
        assert restate.status(run) == "suspended"
        resolve(restate, "k1", run)
        done = await desk.perform(now(desk))
        assert done.outcome is Outcome.VERIFIED
        assert ids(restate) == {kept}
        done = await desk.perform(now(desk))
        assert (done.outcome, done.after["deleted"]) == (Outcome.NOTHING_TO_DO, [])
    assert restate.call("Signup", "run", "x", key="k2").json() == "done"


async def test_a_person_waits_a_little_for_what_drains(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """Work that ends while a person's cleanup waits does not keep its deployment."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    run = start(restate, "k1")
    kept = registered(restate, worker, "v2")
    async with Proxy(restate.admin_url) as between:
        between.on(proxy.scanning, proxy.after(lambda: resolve(restate, "k1", run)), skip=2)
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2"}
        async with desk_at(tmp_path, restate, **target) as desk:
            request = desk.by_person(CLEANUP, drain_timeout=timedelta(seconds=1))
            done = await desk.perform(request)
    assert done.outcome is Outcome.VERIFIED
    assert ids(restate) == {kept}


async def test_scheduled_work_without_a_pin_does_not_need_the_old_deployment(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """It runs on the latest deployment when its time comes, also after the old one is gone."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    later = schedule(restate, "Signup/k1/run", delay="2s")
    kept = registered(restate, worker, "v2")
    async with desk_at(tmp_path, restate, service_url=f"{worker.url}/v2") as desk:
        assert (await desk.perform(now(desk))).outcome is Outcome.VERIFIED
    assert ids(restate) == {kept}
    wait_until(lambda: restate.status(later) == "completed", what="the scheduled run")


async def test_a_url_as_doctor_shows_it_finds_the_deployment(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """User info is hidden wherever it is shown, so the shown form must do; nothing leaks."""
    restate = fresh_restate()
    secret = worker.url.replace("http://", "http://user:canary-of-a-url@")
    gone = restate.register(f"{secret}/v1")["id"]
    kept = restate.register(f"{secret}/v2")["id"]
    url = secret.replace("user:canary-of-a-url", "REDACTED") + "/v2"
    async with desk_at(tmp_path, restate) as desk:
        done = await desk.perform(now(desk, url=url))
        assert (done.outcome, done.after["deleted"]) == (Outcome.VERIFIED, [gone])
        assert b"canary-of-a-url" not in desk.stored()
        assert b"REDACTED@127.0.0.1" in desk.stored()
    assert ids(restate) == {kept}


# What stays


async def test_what_is_latest_foreign_protected_or_a_workers_is_never_deleted(
    fresh_restate: ServerFactory, worker: Worker, other: Worker, tmp_path: Path
) -> None:
    """All of them have no work at all; still only the plain old deployment of ours goes."""
    restate = fresh_restate()
    plain = registered(restate, worker, "plain")
    protected = registered(restate, worker, "protected", metadata=MANAGED)
    second = registered(restate, worker, "second")
    kept = registered(restate, worker, "kept")
    foreign, latest = registered(restate, other, "old"), registered(restate, other, "new")
    target = {
        "workers": [{"url": f"{worker.url}/kept"}, {"url": f"{worker.url}/second"}],
        "protect": {"deployment_metadata": MANAGED},
    }
    async with desk_at(tmp_path, restate, **target) as desk:
        done = await desk.perform(now(desk, url=f"{worker.url}/kept"))
        assert done.before["skipped"] == {
            protected: "protected",
            second: "at a worker's URL",
            foreign: "foreign",
            latest: "foreign",
        }
        assert (done.outcome, done.after["deleted"]) == (Outcome.VERIFIED, [plain])
    assert ids(restate) == {protected, second, kept, foreign, latest}


async def test_naming_another_teams_deployment_does_not_make_its_old_ones_ours(
    fresh_restate: ServerFactory, worker: Worker, other: Worker, tmp_path: Path
) -> None:
    """Where the configuration says what is ours, nothing else is deleted whoever asks."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    registered(restate, other, "old")
    registered(restate, other, "new")
    async with desk_at(tmp_path, restate, service_url=f"{worker.url}/v1") as desk:
        with nothing_changes(restate):
            done = await desk.perform(now(desk, url=f"{other.url}/new", allow=["foreign"]))
            assert done.outcome is Outcome.NOTHING_TO_DO


async def test_a_service_only_an_old_deployment_offers_keeps_it(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """It is the latest for that service, so neither the service nor its scheduled work is lost."""
    restate = fresh_restate()
    legacy = ServiceSpec("Legacy", handlers=("go",))
    with Worker([ServiceSpec("Signup", "workflow", ("run", "peek")), legacy]) as old:
        holder = restate.register(old.url)["id"]
        schedule(restate, "Legacy/go", delay="1h")
        registered(restate, worker, "v2")
        expected = ["Legacy", "Signup"]
        target = {"service_url": f"{worker.url}/v2", "expected_services": expected}
        async with desk_at(tmp_path, restate, **target) as desk:
            with nothing_changes(restate):
                done = await desk.perform(now(desk))
                assert done.outcome is Outcome.NOTHING_TO_DO
                assert done.before["skipped"] == {holder: "latest for a service"}


async def test_what_is_to_be_kept_must_be_there_and_the_latest(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """A URL that is not registered, or that was replaced, is refused for everybody."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    registered(restate, worker, "v2")
    wrong = {"v0": "deployment-not-found", "v1": "not-latest"}
    async with desk_at(tmp_path, restate, service_url=f"{worker.url}/v2") as desk:
        with nothing_changes(restate):
            for path, reason in wrong.items():
                url = f"{worker.url}/{path}"
                for request in (desk.by_policy(CLEANUP, url=url), now(desk, url=url)):
                    assert (await desk.refused(request)).reason == reason
        rows = await desk.rows()
        assert [row.outcome for row in rows] == 2 * [Outcome.REFUSED]


# The world changes in between


@pytest.mark.parametrize("reads", [1, 2], ids=["before-the-second-read", "before-the-narrow-read"])
async def test_a_deployment_that_becomes_the_latest_meanwhile_is_skipped(
    fresh_restate: ServerFactory, worker: Worker, other: Worker, tmp_path: Path, reads: int
) -> None:
    """Somebody removes the newer one, so the service falls back to what was about to go."""
    restate = fresh_restate()
    fallback, newest = registered(restate, other, "old"), registered(restate, other, "new")
    registered(restate, worker, "v1")
    async with Proxy(restate.admin_url) as between:
        remove = proxy.after(lambda: restate.delete_deployment(newest))
        between.on(proxy.listing, remove, skip=reads)
        target = {"service_url": f"{worker.url}/v1", "expected_services": ["Other"]}
        async with desk_at(tmp_path, restate, admin_url=between.url, **target) as desk:
            done = await desk.perform(now(desk))
            assert done.before["drained"] == [fallback]
            assert done.after["skipped"] == {fallback: "it is latest for a service"}
            assert done.outcome is Outcome.NOTHING_TO_DO
        assert between.writes == []
    assert restate.call("Other", "go", "x").status_code == 200


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        pytest.param(proxy.scanning, "it is draining", id="before-the-second-read"),
        pytest.param(proxy.counting, "it has 1 unfinished invocations again", id="before-narrow"),
    ],
)
async def test_a_deployment_that_gets_work_meanwhile_is_skipped(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path, moment: Matches, said: str
) -> None:
    """A run that is pinned to it after the plan, or after the second full read, keeps it."""
    restate = fresh_restate()
    old = registered(restate, worker, "v1")
    registered(restate, worker, "v2")

    def back_and_forth() -> None:
        registered(restate, worker, "v1")
        start(restate, "k1")
        registered(restate, worker, "v2")

    async with Proxy(restate.admin_url) as between:
        between.on(moment, proxy.after(back_and_forth), skip=1 if moment is proxy.scanning else 0)
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2"}
        async with desk_at(tmp_path, restate, **target) as desk:
            done = await desk.perform(now(desk))
            assert (done.outcome, done.after["skipped"]) == (Outcome.NOTHING_TO_DO, {old: said})
            assert await items(desk, done) == {old: "skipped"}
        assert between.writes == []


@pytest.mark.parametrize("change", ["replaced", "registered-anew", "removed"])
async def test_when_what_was_to_be_kept_changes_nothing_is_deleted(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path, change: str
) -> None:
    """The plan rests on the deployment to keep; without it the old one may be needed again."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    kept = registered(restate, worker, "v2")

    def hook() -> None:
        if change == "replaced":
            registered(restate, worker, "v3")
            return
        restate.delete_deployment(kept)
        if change == "registered-anew":
            registered(restate, worker, "v2")

    async with Proxy(restate.admin_url) as between:
        between.on(proxy.listing, proxy.after(hook), skip=1)
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2"}
        async with desk_at(tmp_path, restate, **target) as desk:
            done = await desk.perform(now(desk))
        assert done.outcome is Outcome.REFUSED, done.error
        assert between.writes == []


# What a policy may


async def test_a_policy_deletes_only_what_was_seen_drained_for_long_enough(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """Ages come from readings: none at all holds, too short holds, and then it goes.

    What still drains is not even waited for.
    """
    restate = fresh_restate()
    busy = registered(restate, worker, "v1")
    run = start(restate, "k1")
    old, kept = registered(restate, worker, "v2"), registered(restate, worker, "v3")
    async with desk_at(tmp_path, restate, service_url=f"{worker.url}/v3") as desk:
        with nothing_changes(restate):
            unread = await desk.refused(desk.by_policy(CLEANUP, drained_for=AT_ONCE))
            await desk.read()
            too_early = await desk.refused(desk.by_policy(CLEANUP, drained_for=timedelta(hours=1)))
            by_default = await desk.refused(desk.by_policy(CLEANUP))
            assert {e.reason for e in (unread, too_early, by_default)} == {"would-not-help"}
        request = desk.by_policy(CLEANUP, drained_for=timedelta(seconds=0.5))
        done = await performed_in_the_end(desk, request)
        after = {"deleted": [old], "skipped": {}, "killed": []}
        assert (done.outcome, done.after) == (Outcome.VERIFIED, after)
        assert done.arguments["waitFor"] == []
        assert done.actor == "policy:heal"
        resolve(restate, "k1", run)
        still_seen_draining = await desk.refused(desk.by_policy(CLEANUP, drained_for=AT_ONCE))
        assert still_seen_draining.reason == "would-not-help"
    assert ids(restate) == {busy, kept}


async def test_a_scan_that_fails_makes_every_age_unknown(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """Drained before, unknown now: a policy waits until it is seen again."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    registered(restate, worker, "v2")
    async with Proxy(restate.admin_url) as between:
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2"}
        async with desk_at(tmp_path, restate, **target) as desk:
            await desk.read()
            between.on(proxy.scanning, proxy.answering(503))
            await desk.read()
            request = desk.by_policy(CLEANUP, drained_for=AT_ONCE)
            assert (await desk.refused(request)).reason == "would-not-help"
            assert (await performed_in_the_end(desk, request)).outcome is Outcome.VERIFIED


async def test_a_policy_takes_the_oldest_first_and_no_more_than_it_may(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """Three have drained and ``max_items`` is two: the newest of them stays."""
    restate = fresh_restate()
    old = [registered(restate, worker, f"v{n}") for n in range(3)]
    kept = registered(restate, worker, "v3")
    async with desk_at(tmp_path, restate, service_url=f"{worker.url}/v3") as desk:
        await desk.read()
        request = desk.by_policy(CLEANUP, drained_for=AT_ONCE, max_items=2)
        done = await performed_in_the_end(desk, request)
        assert done.after["deleted"] == old[:2]
    assert ids(restate) == {old[2], kept}


async def test_nothing_to_delete_is_fine_for_a_person_and_no_repair_for_a_policy(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """A person's operation is closed as such; a policy's is refused before it costs anything."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    async with desk_at(tmp_path, restate, service_url=f"{worker.url}/v1") as desk:
        await desk.read()
        with nothing_changes(restate):
            assert (await desk.perform(now(desk))).outcome is Outcome.NOTHING_TO_DO
            error = await desk.refused(desk.by_policy(CLEANUP, drained_for=AT_ONCE))
            assert error.reason == "would-not-help"
        assert len(await desk.rows()) == 1


# Reads and writes that break


@pytest.mark.parametrize(
    ("fault", "outcome", "item", "gone"),
    [
        pytest.param(proxy.answering(503), Outcome.INDETERMINATE, "indeterminate", 0, id="503"),
        pytest.param(proxy.lost, Outcome.INDETERMINATE, "indeterminate", 0, id="lost"),
        pytest.param(proxy.slow(3), Outcome.INDETERMINATE, "indeterminate", 1, id="slow"),
        pytest.param(proxy.answering(500), Outcome.FAILED, "failed", 0, id="told-no"),
    ],
)
async def test_a_deletion_without_an_answer_has_an_unknown_outcome(
    fresh_restate: ServerFactory,
    worker: Worker,
    tmp_path: Path,
    fault: Fault,
    outcome: Outcome,
    item: str,
    gone: int,
) -> None:
    """It may have happened or not; the row says so, names the item, and nothing more is deleted."""
    restate = fresh_restate()
    old = [registered(restate, worker, f"v{n}") for n in range(2)]
    registered(restate, worker, "v2")
    async with Proxy(restate.admin_url) as between:
        between.on(proxy.deleting, fault, times=2)  # aiohttp repeats a DELETE that was lost
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2", "timeout": "1s"}
        async with desk_at(tmp_path, restate, **target) as desk:
            done = await desk.perform(now(desk))
            assert done.outcome is outcome, done.error
            assert await items(desk, done) == {old[0]: item}
        assert {path for _, path in between.writes} == {f"/deployments/{old[0]}?force=true"}
    assert len(set(old) - ids(restate)) == gone


async def test_a_deletion_whose_answer_is_lost_once_is_found_done(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """The repeated DELETE says that there is no such deployment, and verification agrees."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    kept = registered(restate, worker, "v2")
    async with Proxy(restate.admin_url) as between:
        between.on(proxy.deleting, proxy.answer_lost)
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2"}
        async with desk_at(tmp_path, restate, **target) as desk:
            assert (await desk.perform(now(desk))).outcome is Outcome.VERIFIED
    assert ids(restate) == {kept}


BROKEN_READS: dict[str, tuple[Matches, Fault]] = {
    "the scan is throttled": (proxy.scanning, proxy.answering(429)),
    "the scan has no server": (proxy.scanning, proxy.answering(503)),
    "the scan has no rows": (proxy.scanning, proxy.changing(lambda _answer: {"rows": None})),
    "the scan's connection breaks": (proxy.scanning, proxy.lost),
    "the list is an error": (proxy.listing, proxy.answering(500)),
}


async def test_unknown_is_not_zero_before_the_first_deletion(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """A second read that fails in any way: failed, nothing deleted, and known to be so."""
    restate = fresh_restate()
    registered(restate, worker, "v1")
    registered(restate, worker, "v2")
    async with Proxy(restate.admin_url) as between:
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2"}
        async with desk_at(tmp_path, restate, **target) as desk:
            for why, (matches, fault) in BROKEN_READS.items():
                between.on(matches, fault, skip=1)
                with nothing_changes(restate):
                    assert (await desk.perform(now(desk))).outcome is Outcome.FAILED, why
        assert between.writes == []


async def test_a_narrow_read_that_fails_stops_the_rest_and_hides_nothing(
    fresh_restate: ServerFactory, worker: Worker, tmp_path: Path
) -> None:
    """What was deleted before is known, so the outcome is failed and not indeterminate."""
    restate = fresh_restate()
    old = [registered(restate, worker, f"v{n}") for n in range(2)]
    kept = registered(restate, worker, "v2")
    async with Proxy(restate.admin_url) as between:
        between.on(proxy.counting, proxy.lost, skip=1)
        target = {"admin_url": between.url, "service_url": f"{worker.url}/v2"}
        async with desk_at(tmp_path, restate, **target) as desk:
            done = await desk.perform(now(desk))
            assert done.outcome is Outcome.FAILED
            assert f"{old[1]} could not be confirmed as drained" in (done.error or "")
            assert await items(desk, done) == {old[0]: "deleted"}
    assert ids(restate) == {old[1], kept}


# What a person at a keyboard does and sees


def registered(
    restate: Restate, worker: Worker, path: str, metadata: dict[str, str] | None = None
) -> str:
    """Register one path of a worker; its deployment's id."""
    return str(restate.register(f"{worker.url}/{path}", metadata=metadata or {})["id"])


def ids(restate: Restate) -> set[str]:
    return {deployment["id"] for deployment in restate.deployments()}


def start(restate: Restate, key: str) -> str:
    """Start a run that waits, pinned to what is the latest deployment now; its id."""
    answer = restate.call("Signup", "run", "wait", key=key, send=True)
    run = str(answer.raise_for_status().json()["invocationId"])
    wait_until(lambda: restate.status(run) == "suspended", what="the run to wait")
    return run


def resolve(restate: Restate, key: str, run: str) -> None:
    """Let a run that waits come to its end."""
    restate.call("Signup", "peek", "resolve", key=key).raise_for_status()
    wait_until(lambda: restate.status(run) == "completed", what="the run to complete")


def schedule(restate: Restate, path: str, *, delay: str) -> str:
    """Hand in a call for later, which is pinned to nothing until then; its id."""
    url = f"{restate.ingress_url}/{path}/send?delay={delay}"
    answer = httpx.post(url, json="x", trust_env=False)
    return str(answer.raise_for_status().json()["invocationId"])


def now(desk: Desk, **more: Any) -> Request:
    """A person's cleanup that waits for nothing."""
    return desk.by_person(CLEANUP, drain_timeout=AT_ONCE, **more)


async def items(desk: Desk, operation: Operation) -> dict[str, str | None]:
    """What the ledger says became of each item."""
    found = await desk.engine.ledger.items(operation.id)
    return {key: outcome.outcome if outcome else None for key, outcome in found}


async def performed_in_the_end(desk: Desk, request: Request) -> Operation:
    """Ask again, with fresh readings, until it is not refused any more."""
    async with asyncio.timeout(30):
        while True:
            await desk.read()
            with contextlib.suppress(RefusedError):
                return await desk.perform(request)
