"""The chapters of the story. Each acts, looks from outside, and tells only what it has seen.

"From outside" is the ingress, the admin API, a worker, or the ledger as a command prints it. What
the daemon says of itself (its metrics, its decisions) is shown beside that, never instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stage.medic import TARGET, Answer, Sample
from stage.scene import INVOICES, ORDERS, REFUNDS, SIGNUP, Invocation, NotSeenError, Registry, Scene

COMPONENTS = ("ingress", "admin", "deployments", "services", "invocations")
REGISTER = "register-what-was-rolled"
CLEAN_UP = "clean-up-after-rollouts"
CARELESS = "follow-the-worker-blindly"
# Looks at what it must not touch, a second apart: by then it would have. Twice a policy's `for`,
# nearly, for what must not begin; a few for what is ready and held.
_MANY_LOOKS = 7
_MORE_LOOKS = 3
_SHORT_ID = 9


@dataclass(frozen=True, slots=True)
class Healed:
    """The first repair: how long callers saw a 404, and until it was proven."""

    broken_seconds: float
    proven_seconds: float


def curtain(scene: Scene) -> None:
    """Say what was started, and where a person would look."""
    timeline = scene.timeline
    restate, worker, medic = scene.restate, scene.first, scene.medic
    timeline.event(
        "you",
        f"Start a real restate-server {restate.version()} and a worker, and register it.",
        seen=f"admin: POST {restate.admin_url}/deployments: "
        f"{_short(restate.register(worker.url)['id'])}",
    )
    with timeline.waiting("restate-medic to start"):
        medic.start()
        scene.see("restate-medic be ready", medic.is_ready)
        scene.see("its page", medic.has_page)
    timeline.event(
        "you",
        "Start restate-medic beside it, with the policies of deploy/demo/policies.",
        seen=f"GET {medic.url}/-/ready: 200",
    )
    timeline.say()
    timeline.row("page", f"{medic.url}/")
    timeline.row("metrics", f"{medic.url}/metrics")
    timeline.row("Restate", f"{restate.admin_url} (its own page)")


def all_is_well(scene: Scene) -> None:
    """A service answers, and so does every part that the doctor looks at."""
    tell = scene.timeline.event
    reply = scene.see_call("Orders", "place", 200)
    tell("you", "Place an order, as the shop's customers do.", seen=str(reply))
    with scene.timeline.waiting("restate-medic doctor"):
        doctor = scene.medic.command("doctor", "--json")
    _require(doctor.exit_code == 0, "`restate-medic doctor` exit with 0", doctor.said)
    parts = ", ".join(COMPONENTS)
    tell("you", "Ask how Restate is.", seen=f"`{doctor.command}`: exit 0; ok: {parts}")
    up = _metric(scene, "up", 1)
    tell("restate-medic", "Sees the same, once a second.", seen=up.line)


def nobody_registers(scene: Scene) -> Healed:
    """A rolled worker is not registered again: found, repaired, verified."""
    tell = scene.timeline.event
    scene.first.roll([ORDERS, SIGNUP, INVOICES])
    offered = scene.offered(scene.first)
    _require("Invoices" in offered, "the worker offer Invoices", offered)
    registered = ", ".join(scene.registry().names)
    tell(
        "you",
        "Roll the worker: it serves Invoices now. Nobody tells Restate.",
        seen=f"admin: a dry run of the worker lists {', '.join(offered)}; "
        f"GET /services: {registered}",
    )
    reply = scene.see_call("Invoices", "create", 404)
    broken = tell("Restate", "Refuses the first customer who wants an invoice.", seen=str(reply))

    _, detail = _held(scene, REGISTER, "pending")
    added = _metric(scene, "worker_drift", 1, change="added")
    tell("restate-medic", "Sees what is missing.", seen=added.line)
    tell(
        "restate-medic",
        "Waits until it is sure: the policy says `for: 2s`.",
        seen=f"/api/v1/decisions: pending, {detail}",
    )
    reply = scene.see_call("Invoices", "create", 200)
    healed = tell("restate-medic", "Registers the worker again.", seen=str(reply))

    operation = _recorded(scene, REGISTER, "force-redeploy")
    proven = tell(
        "restate-medic",
        "Has read everything anew: it helped, and stays.",
        seen=_in_ledger(operation),
    )
    return Healed(healed - broken, proven - broken)


def one_replaces_the_other(scene: Scene) -> float:
    """A rollout to another URL, done properly; returns how long the old one outlived its work."""
    tell = scene.timeline.event
    answer = scene.restate.call("Signup", "run", "wait", key="ann", send=True)
    invocation_id = str(answer.raise_for_status().json()["invocationId"])
    [old] = scene.registry().ids
    waiting = Invocation("suspended", old)
    _invocation(scene, invocation_id, waiting)
    tell(
        "you",
        "Ann signs up, and has to click the link in a mail.",
        seen=f"introspection: Signup/ann is {waiting.status}, pinned to {_short(old)}",
    )
    new = _roll_out(scene, old)
    _invocation(scene, invocation_id, waiting)
    latest = scene.registry().latest()
    _require(latest == {new}, f"every service be served by {new}", sorted(latest))
    tell(
        "Restate",
        "Sends new calls to the new one. Ann's stays where it began.",
        seen=f"admin: GET /services: all {_short(new)}; "
        f"introspection: Signup/ann pinned to {_short(old)}",
    )
    _leaves_draining_alone(scene, {old, new})

    scene.restate.call("Signup", "confirm", "resolve", key="ann").raise_for_status()
    done = _invocation(scene, invocation_id, Invocation("completed", old))
    ended = tell(
        "you",
        "Ann clicks the link: nothing needs the old one any more.",
        seen=f"introspection: Signup/ann is {done.status}",
    )
    left = scene.see(
        f"only {new} be registered", lambda: scene.registry().ids, lambda ids: ids == [new]
    )
    cleaned = tell(
        "restate-medic",
        "Deletes the old one, once it has been drained for 3 s.",
        seen=f"admin: GET /deployments: {_shorts(left)}",
    )
    tell(
        "restate-medic",
        "Has read everything anew: it is gone, all else is well.",
        seen=_in_ledger(_recorded(scene, CLEAN_UP, "cleanup-stale-deployments")),
    )
    scene.first.stop()
    reply = scene.see_call("Invoices", "create", 200)
    tell("you", "Switch the old worker off. Nobody notices.", seen=str(reply))
    return cleaned - ended


def too_soon(scene: Scene) -> None:
    """The same failure within the cooldown is held; a person may act, and does."""
    tell = scene.timeline.event
    scene.second.roll([ORDERS, SIGNUP, INVOICES, REFUNDS])
    reply = scene.see_call("Refunds", "pay", 404)
    tell("you", "Roll the worker, and again nobody tells Restate.", seen=str(reply))
    before = scene.registry()
    reason, detail = _held(scene, REGISTER, "cooldown")
    held = _metric(scene, "policy_held_since_timestamp_seconds", policy=REGISTER, reason=reason)
    tell(
        "restate-medic",
        "Holds, and says why: cooldown.",
        seen=f"/api/v1/decisions: cooldown, {detail}",
    )
    tell("restate-medic", "Says so where an alert can see it.", seen=held.line)
    _look_more(scene, "drift", _MORE_LOOKS)
    _unchanged(scene, before)
    reply = scene.see_call("Refunds", "pay", 404)
    tell("Restate", "Nothing was done, however long we look.", seen=str(reply))

    answer = _redeploy(scene, "customers wait for refunds")
    _require(answer.exit_code == 0, f"`{answer.command}` exit with 0", answer.said)
    reply = scene.see_call("Refunds", "pay", 200)
    tell(
        "you",
        "Do not wait: a cooldown holds policies, not people.",
        seen=f"`{answer.command}`: exit 0; {reply}",
    )


def something_is_lost(scene: Scene) -> None:
    """A worker that no longer offers a registered service is not registered again, by nobody."""
    tell = scene.timeline.event
    before = scene.registry()
    scene.second.roll([SIGNUP, INVOICES, REFUNDS])
    offered = scene.offered(scene.second)
    _require("Orders" not in offered, "the worker not offer Orders", offered)
    tell(
        "you",
        "Roll a worker that has lost Orders. A careless policy wants to register it.",
        seen=f"admin: a dry run of the worker lists {', '.join(offered)}",
    )
    _, detail = _held(scene, CARELESS, "preflight_refused")
    tell(
        "restate-medic",
        "Refuses: customers would lose Orders.",
        seen=f"/api/v1/decisions: preflight_refused, {detail}",
    )
    answer = _redeploy(scene, "surely it is fine")
    refused = answer.exit_code == 1 and "drop-service" in answer.said
    _require(refused, f"`{answer.command}` be refused (drop-service)", answer.said)
    tell(
        "you",
        "Insist. People are refused too, until they name what they would break.",
        seen=f"`{answer.command}`: exit 1: {answer.said}",
    )
    _look_more(scene, "drift", _MORE_LOOKS)
    _unchanged(scene, before)
    tell(
        "Restate",
        "Nothing was changed.",
        seen="admin: GET /deployments and GET /services are what they were, word for word",
    )
    scene.second.roll([ORDERS, SIGNUP, INVOICES, REFUNDS])
    reply = scene.see_call("Orders", "place", 200)
    tell("you", "Roll back. That is all it takes.", seen=str(reply))


def what_the_ledger_says(scene: Scene) -> None:
    """Every operation, and nothing else, is in the ledger."""
    expected = [
        ("force-redeploy", "cli", "refused"),
        ("force-redeploy", "cli", "verified"),
        ("cleanup-stale-deployments", "policy", "verified"),
        ("force-redeploy", "policy", "verified"),
    ]
    with scene.timeline.waiting("restate-medic audit list"):
        operations = scene.medic.operations()
        listed = [(o["remedy"], o["source"], o["outcome"]) for o in operations]
        _require(listed == expected, f"the ledger list {expected}", listed)
        terminal = scene.timeline.columns if scene.timeline.is_terminal else None
        table = scene.medic.command("audit", "list", columns=terminal)
    scene.timeline.event(
        "you",
        "Ask what was done, by whom, and how it ended. Holds are not operations.",
        seen=f"`{table.command} --json`: {len(operations)} operations, as told here",
    )
    scene.timeline.output(table.out)


def _roll_out(scene: Scene, old: str) -> str:
    """Bring the worker up at its new URL, register it and tell the daemon; returns the new id."""
    tell = scene.timeline.event
    with scene.timeline.waiting("the new worker to start"):
        scene.second.start()
    new = str(scene.restate.register(scene.second.url)["id"])
    ids = scene.registry().ids
    _require(set(ids) == {old, new}, f"{old} and {new} be registered", ids)
    tell(
        "you",
        "Roll out to a new URL, properly: start it there, register it.",
        seen=f"admin: POST /deployments: {_short(new)}; GET /deployments: {_shorts(ids)}",
    )
    scene.medic.configure(scene.second.url)
    answer = scene.medic.reload()
    _require(answer.is_success, "the daemon take the new configuration", answer.text.strip())
    tell(
        "you",
        "Move `service_url` in restate-medic.yaml to the new URL.",
        seen=f"POST /-/reload: {answer.status_code} {answer.text.strip()}",
    )
    return new


def _leaves_draining_alone(scene: Scene, ids: set[str]) -> None:
    tell = scene.timeline.event
    draining = _metric(scene, "deployments", 1, state="draining", owner="ours")
    tell("restate-medic", "Sees the old one draining.", seen=draining.line)
    looks = _look_more(scene, "deployments", _MANY_LOOKS)
    listed = set(scene.registry().ids)
    _require(listed == ids, f"{sorted(ids)} be registered still", sorted(listed))
    tell(
        "restate-medic",
        f"Lets it drain: {looks} more looks, and it is still there.",
        seen=f"admin: GET /deployments: {_shorts(sorted(listed))}",
    )


def _look_more(scene: Scene, component: str, times: int) -> int:
    """Wait until the daemon has read a component some more times; returns how often."""
    before = scene.medic.probes(component)
    now = scene.see(
        f"restate-medic look at {component} {times} more times",
        lambda: scene.medic.probes(component),
        lambda count: count >= before + times,
    )
    return now - before


def _unchanged(scene: Scene, before: Registry) -> None:
    now = scene.registry()
    _require(now == before, f"no change of {before}", now)


def _held(scene: Scene, policy: str, reason: str) -> tuple[str, str]:
    held = scene.see(
        f"policy {policy} be held by {reason}",
        lambda: scene.medic.hold(policy),
        lambda hold: hold is not None and hold[0] == reason,
    )
    return held or (reason, "")


def _metric(scene: Scene, name: str, value: float | None = None, **labels: str) -> Sample:
    wanted = "" if value is None else f" at {value:g}"
    sample = scene.see(
        f"metric restate_medic_{name} of {labels or TARGET}{wanted}",
        lambda: scene.medic.sample(name, **labels),
        lambda sample: sample is not None and value in {None, sample.value},
    )
    return sample or Sample("", 0)


def _invocation(scene: Scene, invocation_id: str, wanted: Invocation) -> Invocation:
    scene.see(
        f"Signup/ann {wanted.status} and pinned to {wanted.deployment_id}",
        lambda: scene.invocation(invocation_id),
        lambda seen: seen == wanted,
    )
    return wanted


def _recorded(scene: Scene, policy: str, remedy: str) -> dict[str, Any]:
    """The policy's only operation once the ledger says that it is verified."""
    found = scene.see(
        f"one {remedy} by {policy} in the ledger, verified",
        lambda: [o for o in scene.medic.operations() if o["policy"] == policy],
        lambda rows: [(o["remedy"], o["outcome"]) for o in rows] == [(remedy, "verified")],
    )
    return found[0]


def _in_ledger(operation: dict[str, Any]) -> str:
    return (
        f"`restate-medic audit list --json`: {operation['remedy']} by {operation['actor']}, "
        f"{operation['outcome']}"
    )


def _redeploy(scene: Scene, reason: str) -> Answer:
    with scene.timeline.waiting("restate-medic redeploy"):
        return scene.medic.command("redeploy", "--yes", "--reason", reason)


def _short(deployment_id: str) -> str:
    return f"{deployment_id[:_SHORT_ID]}…"


def _shorts(ids: Iterable[str]) -> str:
    return ", ".join(map(_short, ids))


def _require(condition: object, expected: str, seen: object) -> None:
    if not condition:
        raise NotSeenError(expected, seen)
