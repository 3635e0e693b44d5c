"""What the chapters look for from outside, each with a deadline, and how it is put into words.

Everything raises NotSeenError when it is not seen; what is done on the scene is the chapters'.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stage.medic import TARGET, Sample
from stage.scene import Invocation, NotSeenError, Registry, Scene

_SHORT_ID = 9


def require(condition: object, expected: str, seen: object) -> None:
    """Insist on what needs no waiting."""
    if not condition:
        raise NotSeenError(expected, seen)


def metric(scene: Scene, name: str, value: float | None = None, **labels: str) -> Sample:
    """A line of the daemon's /metrics, once it is there and has that value."""
    wanted = "" if value is None else f" at {value:g}"
    sample = scene.see(
        f"metric restate_medic_{name} of {labels or TARGET}{wanted}",
        lambda: scene.medic.sample(name, **labels),
        lambda sample: sample is not None and value in {None, sample.value},
    )
    return sample or Sample("", 0)


def held(scene: Scene, policy: str, reason: str, *, detail: str = "") -> str:
    """The daemon's sentence about a hold, once the policy is held by that reason."""
    hold = scene.see(
        f"policy {policy} be held by {reason}",
        lambda: scene.medic.hold(policy),
        lambda hold: hold is not None and hold[0] == reason and detail in hold[1],
    )
    return f"/api/v1/decisions: {reason}, {hold[1] if hold else ''}"


def more_rounds(scene: Scene, component: str, times: int) -> int:
    """Wait until the daemon has read a component some more times; returns how often."""
    before = scene.medic.probes(component)
    now = scene.see(
        f"restate-medic read {component} {times} more times",
        lambda: scene.medic.probes(component),
        lambda count: count >= before + times,
    )
    return now - before


def unchanged(scene: Scene, before: Registry) -> None:
    """What is registered is still exactly that."""
    now = scene.registry()
    require(now == before, f"no change of {before}", now)


def invocation(scene: Scene, invocation_id: str, wanted: Invocation) -> str:
    """Wait until an invocation is as wanted; returns it in words."""
    scene.see(
        f"the invocation {wanted.status} and pinned to {wanted.deployment_id}",
        lambda: scene.invocation(invocation_id),
        lambda seen: seen == wanted,
    )
    return f"{wanted.status}, pinned to {short(str(wanted.deployment_id))}"


def verified(scene: Scene, policy: str, remedy: str) -> str:
    """The policy's only operation, in words, once the ledger says that it is verified."""
    # The ledger is read by a command, which takes seconds: only when there is something to read.
    metric(scene, "operations_total", policy=policy)
    [operation] = scene.see(
        f"one {remedy} by {policy} in the ledger, verified",
        lambda: [o for o in scene.medic.operations() if o["policy"] == policy],
        lambda rows: [(o["remedy"], o["outcome"]) for o in rows] == [(remedy, "verified")],
    )
    return f"`restate-medic audit list --json`: {_in_words(operation)}"


def short(*ids: str) -> str:
    """Deployment ids, as much as tells them apart."""
    return ", ".join(f"{deployment_id[:_SHORT_ID]}…" for deployment_id in ids)


def listing(names: Iterable[str]) -> str:
    """Names in a row."""
    return ", ".join(sorted(names))


def _in_words(operation: dict[str, Any]) -> str:
    return f"{operation['remedy']} by {operation['actor']}, {operation['outcome']}"
