"""Things that are taken away, set or broken while the daemon is at work, on real servers.

Nothing is lost, nothing is done twice, and it is said clearly.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from lab import RestateServer
from tests.integration.rolled import BILLING, GREETER, re_register, registered
from tests.medic import PATIENCE_SECONDS, Medic, target_of
from tests.support import ServerFactory, WorkerFactory
from tests.toll import TollGate

REGISTERING = b'"dry_run":false'
ONCE = re_register(cooldown="1s", limits=[{"scope": "target", "max": 1, "per": "24h"}])
ALWAYS = ("Greeter", "Billing", "Never")
"""What can never be all there: there is always a reason to act."""
DEPLOYMENTS = {"component": "deployments", "target": "prod"}
LEASE = "5s"
_SMALL = "2m"

Disk: TypeAlias = Path
Trouble: TypeAlias = Callable[[Path], Any]


def revisions(restate: RestateServer) -> dict[str, int]:
    """How often each service was registered, by the server's own count."""
    return {str(s["name"]): int(s["revision"]) for s in restate.services()}


def said(medic: Medic, words: str) -> bool:
    """Whether the log has told of the ledger in these words."""
    return any(words in str(event["error"]) for event in medic.events("ledger.unavailable"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system of its own for a ledger, which is quickly full and can be made read-only."""
    folder = tmp_path / "data"
    folder.mkdir()
    mount = shutil.which("mount")
    options = f"size={_SMALL},mode=755"
    command = [mount or "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - beside mount


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Until its end nothing more fits on the disk."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Until its end another process writes to the ledger."""
    with closing(sqlite3.connect(folder / "medic.db", isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("trouble", "words"), [(full, "free some space"), (locked, "another process holds its lock")]
)
def test_a_ledger_that_fails_in_the_middle_of_an_operation_loses_and_repeats_nothing(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    small_disk: Disk,
    trouble: Trouble,
    words: str,
) -> None:
    """Restate has registered the worker, and that cannot be recorded any more.

    While it lasts everything holds and watching goes on. Afterwards the operation is interrupted,
    it counts, and nothing is registered again.
    """
    restate, worker, target = registered(fresh_restate(), worker_factory, expects=ALWAYS)
    with TollGate(restate.admin_url, marker=REGISTERING, place="answer") as gate:
        medic = Medic(
            small_disk.parent,
            targets=[target | {"admin_url": gate.url}],
            policies=[ONCE],
            timeout="60s",
            lease=LEASE,
        )
        with medic:
            worker.roll([GREETER, BILLING])
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            with trouble(small_disk):
                gate.release()
                medic.wait_for(lambda: said(medic, words), "the log to say so")
                medic.wait_for(lambda: medic.events("operation.stopped"), "it to be given up")
                assert medic.status("/-/healthy") == 200
                after = revisions(restate)
                hold = {"ledger_unavailable"}
                medic.wait_for(lambda: medic.holds("re-register") == hold, "the hold")
            medic.wait_for(lambda: medic.events("operation.interrupted"), "the lease to run out")
            medic.wait_for(lambda: medic.holds("re-register") == {"limit_target"}, "the limit")
            (row,) = medic.operations()
    assert (row["outcome"], row["remedy"]) == ("interrupted", "force-redeploy")
    assert "Billing" in after
    assert revisions(restate) == after


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Until its end nothing on the disk can be written."""
    remount = ["mount", "-o", "remount,ro", str(folder)]
    subprocess.run(remount, check=True)
    try:
        yield
    finally:
        subprocess.run([word.replace(",ro", ",rw") for word in remount], check=True)


@contextmanager
def newer(folder: Path) -> Iterator[None]:
    """Until its end the ledger is one of a later restate-medic."""
    with closing(sqlite3.connect(folder / "medic.db", isolation_level=None)) as ledger:
        (version,) = ledger.execute("SELECT version_num FROM alembic_version").fetchone()
        ledger.execute("UPDATE alembic_version SET version_num = '9001'")
        yield
        ledger.execute("UPDATE alembic_version SET version_num = ?", (version,))


@pytest.mark.parametrize(
    ("trouble", "words"), [(read_only, "this user may write to it"), (newer, "newer restate-medic")]
)
def test_a_ledger_that_cannot_be_used_from_the_start_holds_until_it_can(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    small_disk: Disk,
    trouble: Trouble,
    words: str,
) -> None:
    """The daemon starts, watches, says why and acts on nothing; it needs no restart afterwards."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    medic = Medic(small_disk.parent, targets=[target], policies=[ONCE], lease=LEASE)
    with medic:
        assert medic.terminate() == 0  # now there is a ledger
    worker.roll([GREETER, BILLING])
    with ExitStack() as stack:
        with trouble(small_disk):
            stack.enter_context(medic)
            medic.wait_for(lambda: medic.holds("re-register") == {"ledger_unavailable"}, "the hold")
            assert said(medic, words)
            assert medic.sample("up", target="prod") == 1
            refused = medic.command("redeploy", "--yes")
            assert refused.returncode != 0
            assert words in refused.stderr
            assert "Billing" not in restate.exposed()
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal after all")


def test_a_policy_that_is_removed_while_its_operation_runs_ends_with_it(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """The operation is verified as it was begun; then nobody acts any more."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    with TollGate(restate.admin_url, marker=REGISTERING, place="request") as gate:
        tolled = target | {"admin_url": gate.url}
        policy = re_register(cooldown="1s")
        with Medic(tmp_path, targets=[tolled], policies=[policy], timeout="60s") as medic:
            worker.roll([GREETER, BILLING])
            assert gate.stopped.wait(PATIENCE_SECONDS), medic.child.log_tail()
            medic.write(targets=[tolled], policies=[], timeout="60s")
            assert medic.post("/-/reload").status_code == 200
            medic.wait_for(lambda: medic.decisions() == [], "the policy to be gone")
            gate.release()
            medic.wait_for(lambda: medic.events("operation.closed"), "the operation to be closed")
            (row,) = medic.operations()
            assert (row["outcome"], row["policy"]) == ("verified", "re-register")
            assert "Billing" in restate.exposed()
            (deployment,) = restate.deployments()
            restate.register(f"{worker.url}/other")  # else it would look like another Restate
            restate.delete_deployment(str(deployment["id"]))
            seen = medic.sample("component_last_run_timestamp_seconds", **DEPLOYMENTS) or 0
            medic.wait_for(lambda: read_since(medic, seen + 2), "two more rounds")
            assert len(medic.operations()) == 1


def read_since(medic: Medic, moment: float) -> bool:
    """Whether the deployments were read after that moment."""
    return (medic.sample("component_last_run_timestamp_seconds", **DEPLOYMENTS) or 0) > moment


def test_a_policy_that_is_gone_after_a_crash_leaves_an_operation_that_says_so(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Nothing tells any more what to verify, so it is unverified, and not open for ever."""
    _, worker, target = registered(fresh_restate(), worker_factory)
    slow = re_register(verify={"within": "5m", "healthy_for": "2m"})
    medic = Medic(tmp_path, targets=[target], policies=[slow], lease=LEASE)
    with medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: [r["phase"] for r in medic.operations()] == ["verifying"], "it")
        medic.kill()
    medic.write(targets=[target], policies=[], lease=LEASE)
    with medic:
        medic.wait_for(lambda: medic.operations()[0]["outcome"], "it to be closed")
        (row,) = medic.operations()
    assert row["outcome"] == "unverified"
    assert row["error"].startswith("its policy or target is gone or has changed")


def test_a_target_that_is_removed_while_it_is_paused_comes_back_paused(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """A pause is a person's word: it is listed and can be lifted without the target."""
    restate, worker, target = registered(fresh_restate(), worker_factory)
    other = target_of(fresh_restate(), "other")
    settings: dict[str, Any] = {"policies": [re_register(targets={"names": ["prod"]})]}
    with Medic(tmp_path, targets=[target, other]) as medic:
        paused = medic.command("pause", "--target", "prod", "--reason", "moving", "--json")
        assert paused.returncode == 0, paused.stderr
        worker.roll([GREETER, BILLING])
        medic.write(targets=[target, other], **settings)
        assert medic.post("/-/reload").status_code == 200
        medic.wait_for(lambda: medic.holds("re-register") == {"paused"}, "the hold")
        medic.write(targets=[other])
        assert medic.post("/-/reload").status_code == 200
        listed = medic.command("pauses", "--json")
        assert [pause["name"] for pause in json.loads(listed.stdout)] == ["prod"]
        medic.write(targets=[target, other], **settings)
        assert medic.post("/-/reload").status_code == 200
        medic.wait_for(lambda: medic.holds("re-register") == {"paused"}, "the hold again")
        assert "Billing" not in restate.exposed()
        medic.write(targets=[other])
        assert medic.post("/-/reload").status_code == 200
        lifted = medic.command("unpause", "--target", "prod")
        assert lifted.returncode == 0, lifted.stderr
        medic.write(targets=[target, other], **settings)
        assert medic.post("/-/reload").status_code == 200
        medic.wait_for(lambda: "Billing" in restate.exposed(), "the heal")


def test_a_clock_that_goes_backwards_gives_no_limit_back(
    fresh_restate: ServerFactory, worker_factory: WorkerFactory, tmp_path: Path
) -> None:
    """Set back by an hour: everything holds for a while, and what was done still counts.

    So it does after a restart, when nobody remembers the jump and the operation lies in the future.
    """
    restate, worker, target = registered(fresh_restate(), worker_factory, expects=ALWAYS)
    wrong_by = tmp_path / "wrong-by"
    wrong_by.write_text("0")
    program = (sys.executable, "-m", "tests.clocked", str(wrong_by))
    useless = {**ONCE, "verify": {"within": "3s", "healthy_for": "1s"}}
    medic = Medic(tmp_path, targets=[target], policies=[useless], program=program, lease=LEASE)
    with medic:
        worker.roll([GREETER, BILLING])
        medic.wait_for(lambda: medic.holds("re-register") == {"limit_target"}, "the limit")
        wrong_by.write_text("-3600")
        medic.wait_for(lambda: medic.holds("re-register") == {"clock_suspect"}, "the hold")
        (jump,) = medic.events("clock.jumped")
        assert jump["detail"].startswith("the clock was set back by")
        medic.kill()
    after = revisions(restate)
    with medic:
        medic.wait_for(lambda: medic.holds("re-register") == {"cooldown"}, "the hold")
    assert [row["outcome"] for row in medic.operations()] == ["unverified"]
    assert revisions(restate) == after
