"""A worker that is well just long enough to be believed, on a real server."""

from __future__ import annotations

from pathlib import Path

from exporter.model.hold import HoldReason
from lab import Restate, ServiceSpec, Version, wait_until
from tests.integration.surgery import row_of, send, until
from tests.medic import Medic, target_of
from tests.support import ServerFactory, WorkerFactory

FRAGILE = ServiceSpec("Fragile", pause_after=1)
RULE: dict[str, object] = {
    "name": "resume",
    "mode": "enforce",
    "for_each": "invocations.paused",
    "when": 'item.paused_by == "retries"',
    "for": "1s",
    "action": {"resume-invocations": {"service": "Fragile", "max_items": 1}},
    "cooldown": "1s",
    "limits": [{"scope": "item", "max": 9, "per": "forever"}],
    "verify": {"within": "30s", "healthy_for": "1s"},
    "breaker": {"failed": 2, "per": "1h", "reset": "manual"},
}


def test_what_pauses_again_later_opens_the_breaker(
    fresh_restate: ServerFactory,
    worker_factory: WorkerFactory,
    any_version: Version,
    tmp_path: Path,
) -> None:
    """Each verified operation counts once, whatever is restarted; after two it is left alone."""
    restate, scene = fresh_restate(any_version), tmp_path / "scene"
    scene.mkdir()
    worker = worker_factory(FRAGILE)
    restate.register(worker.url)
    worker.stop()
    id_ = until(restate, send(restate, "Fragile", f"hold {scene}"), "paused")
    worker.start()
    medic = Medic(tmp_path / "medic", targets=[target_of(restate)], policies=[RULE])
    with medic:
        crash_after(medic, restate, scene, id_, 1)
        medic.wait_for(lambda: medic.events("operation.relapsed"), "the first relapse")
        assert medic.holds("resume") != {HoldReason.BREAKER_OPEN}, "one failure is not two"
        medic.terminate()
    with medic:
        crash_after(medic, restate, scene, id_, 2)
        medic.wait_for(
            lambda: medic.holds("resume") == {HoldReason.BREAKER_OPEN}, "the breaker to open"
        )
        medic.terminate()
    with medic:
        medic.wait_for(
            lambda: medic.holds("resume") == {HoldReason.BREAKER_OPEN}, "it to be open still"
        )
        rows = medic.operations()
    assert [row["outcome"] for row in rows] == ["verified"] * 2
    for row in rows:
        assert [kind for kind in kinds(medic, row["id"]) if kind == "relapsed"] == ["relapsed"]
    assert row_of(restate, id_)["status"] == "paused"
    assert sorted(path.name for path in scene.glob("began-*")) == ["began-1", "began-2"]
    done = medic.command("breaker", "list", "--json")
    assert "failed 2 times on this target" in done.stdout, done.stderr


def crash_after(medic: Medic, restate: Restate, scene: Path, id_: str, number: int) -> None:
    """Let the nth operation be verified, and only then let what it resumed crash and pause."""
    medic.wait_for(
        lambda: [e["outcome"] for e in medic.events("operation.closed")] == ["verified"] * number,
        "verification",
        seconds=45,
    )
    assert (scene / f"began-{number}").exists()
    (scene / f"crash-{number}").touch()
    wait_until(lambda: restate.status(id_) == "paused", what="it to pause again")


def kinds(medic: Medic, operation: str) -> list[str]:
    shown = medic.command("audit", "show", operation)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.split()
