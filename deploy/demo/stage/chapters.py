"""The chapters of the story. Each acts, looks from outside, and tells only what it has seen.

"From outside" is the ingress, the admin API, a worker, or the ledger as a command prints it. What
the daemon says of itself (its metrics, its decisions) is shown beside that, never instead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from stage import looks
from stage.looks import listing, require, short
from stage.scene import INVOICES, PARCELS, REFUNDS, SHOP, SIGNUP, Invocation, Scene

PARTS = ("ingress", "admin", "deployments", "services", "invocations")
REGISTER = "register-what-was-rolled"
CLEAN_UP = "clean-up-after-rollouts"
CARELESS = "follow-the-worker-blindly"
# How often it looks, a second apart, at what it must not touch: until it would have done it. Well
# beyond the policy's `for: 4s` where nothing is due yet; less where only a hold stands before it.
_MANY_ROUNDS = 7
_SOME_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Healed:
    """The first repair: how long callers saw a 404, and until it was proven."""

    broken_seconds: float
    proven_seconds: float


def curtain(scene: Scene) -> None:
    """Say what was started, and where a person would look."""
    timeline, restate, medic = scene.timeline, scene.restate, scene.medic
    deployment_id = restate.register(scene.first.url)["id"]
    timeline.event(
        "you",
        f"Start a real Restate {restate.version()} and a worker; register it.",
        seen=f"admin: POST {restate.admin_url}/deployments: {short(deployment_id)}",
    )
    medic.start()
    scene.see("restate-medic be ready", medic.is_ready)
    scene.see("the page for people", medic.has_page)
    timeline.event(
        "you",
        "Start restate-medic, with deploy/demo/policies: it is night.",
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

    doctor = scene.run("doctor", "--json")
    require(doctor.exit_code == 0, f"`{doctor.command}` exit with 0", doctor.said)
    statuses = {part: body["status"] for part, body in json.loads(doctor.out).items()}
    require(statuses == dict.fromkeys(PARTS, "ok"), f"each of {listing(PARTS)} ok", statuses)
    tell("you", "Ask how Restate is.", seen=f"`{doctor.command}`: exit 0; ok: {', '.join(PARTS)}")

    up = looks.metric(scene, "up", 1)
    tell("restate-medic", "Sees the same, once a second.", seen=up.line)


def nobody_registers(scene: Scene) -> Healed:
    """A rolled worker is not registered again: found, repaired, verified."""
    tell = scene.timeline.event
    scene.first.roll(SHOP)
    offered, registered = scene.offered(scene.first), scene.registry().names
    require("Invoices" in offered, "the worker offer Invoices", offered)
    tell(
        "you",
        "Roll the worker: Invoices is new. Nobody tells Restate.",
        seen=f"admin: a dry run of the worker lists {listing(offered)}; "
        f"GET /services: {listing(registered)}",
    )
    reply = scene.see_call("Invoices", "create", 404)
    broken = tell("Restate", "Refuses the first customer who wants an invoice.", seen=str(reply))

    pending = looks.held(scene, REGISTER, "pending")
    added = looks.metric(scene, "worker_drift", 1, change="added")
    tell("restate-medic", "Sees what is missing.", seen=added.line)
    tell("restate-medic", "Waits until it is sure: the policy says `for: 2s`.", seen=pending)

    reply = scene.see_call("Invoices", "create", 200)
    healed = tell("restate-medic", "Registers the worker again.", seen=str(reply))
    operation = looks.verified(scene, REGISTER, "force-redeploy")
    proven = tell("restate-medic", "Has read all of it anew: it helped, and lasts.", seen=operation)
    return Healed(healed - broken, proven - broken)


def one_replaces_the_other(scene: Scene) -> float:
    """A rollout to another URL, done properly; returns how long the old one outlived its work."""
    [old] = scene.registry().ids
    invocation_id = _sign_up(scene, old)
    new = _roll_out(scene, old)
    words = looks.invocation(scene, invocation_id, Invocation("suspended", old))
    latest = scene.registry().latest()
    require(latest == {new}, f"every service be served by {new}", latest)
    scene.timeline.event(
        "Restate",
        "Sends new calls to the new one; Ann's stays put.",
        seen=f"admin: GET /services: all {short(new)}; introspection: Signup/ann is {words}",
    )
    _lets_drain(scene, {old, new})
    ended = _confirm(scene, invocation_id, old)
    cleaned = _cleans_up(scene, new)
    scene.first.stop()
    reply = scene.see_call("Invoices", "create", 200)
    scene.timeline.event("you", "Switch the old worker off. Nobody notices.", seen=str(reply))
    return cleaned - ended


def something_is_lost(scene: Scene) -> None:
    """A worker that no longer offers a registered service is registered by nobody."""
    tell = scene.timeline.event
    before = scene.registry()
    scene.second.roll([PARCELS, SIGNUP, INVOICES])
    offered = scene.offered(scene.second)
    require("Orders" not in offered, "the worker not offer Orders", offered)
    words = f"admin: a dry run of the worker lists {listing(offered)}"
    tell("you", "Roll a worker that has lost Orders.", seen=words)

    refused = looks.held(scene, CARELESS, "preflight_refused", detail="drop-service")
    tell("restate-medic", "Refuses what a careless policy wants: to drop Orders.", seen=refused)
    answer = scene.run("redeploy", "--yes", "--reason", "surely it is fine")
    was_refused = answer.exit_code == 1 and "drop-service" in answer.said
    require(was_refused, f"`{answer.command}` be refused (drop-service)", answer.said)
    tell(
        "you",
        "Insist. You are refused too, and told how to override.",
        seen=f"`{answer.command}`: exit 1: {answer.said}",
    )
    rounds = looks.more_rounds(scene, "drift", _SOME_ROUNDS)
    looks.unchanged(scene, before)
    tell(
        "Restate",
        f"Was not changed, {rounds} more looks later.",
        seen="admin: GET /deployments and GET /services: word for word what they were",
    )
    scene.second.roll(SHOP)
    reply = scene.see_call("Orders", "place", 200)
    tell("you", "Roll back. That is all it takes.", seen=str(reply))


def too_soon(scene: Scene) -> None:
    """The same failure within the cooldown is held; a person may act, and does."""
    tell = scene.timeline.event
    scene.third.roll([*SHOP, REFUNDS])
    before = scene.registry()
    reply = scene.see_call("Refunds", "pay", 404)
    tell("you", "Roll the worker, and again nobody tells Restate.", seen=str(reply))

    cooldown = looks.held(scene, REGISTER, "cooldown")
    tell("restate-medic", "Holds, and says why: cooldown.", seen=cooldown)
    since = "policy_held_since_timestamp_seconds"
    held = looks.metric(scene, since, policy=REGISTER, reason="cooldown")
    tell("restate-medic", "Says so where an alert can see it.", seen=held.line)
    rounds = looks.more_rounds(scene, "drift", _SOME_ROUNDS)
    looks.unchanged(scene, before)
    reply = scene.see_call("Refunds", "pay", 404)
    tell("Restate", f"Was not touched, {rounds} more looks later.", seen=str(reply))

    answer = scene.run("redeploy", "--yes", "--reason", "customers wait for refunds")
    require(answer.exit_code == 0, f"`{answer.command}` exit with 0", answer.said)
    reply = scene.see_call("Refunds", "pay", 200)
    tell(
        "you",
        "Do not wait: a cooldown holds policies, not people.",
        seen=f"`{answer.command}`: exit 0; {reply}",
    )


def what_the_ledger_says(scene: Scene) -> None:
    """Every operation, and nothing else, is in the ledger."""
    expected = [
        ("force-redeploy", "cli", "verified"),
        ("cleanup-stale-deployments", "policy", "verified"),
        ("resume-invocations", "policy", "failed"),
        ("resume-invocations", "policy", "failed"),
        ("resume-invocations", "policy", "verified"),
        ("recover-stuck-workflow", "policy", "verified"),
        ("force-redeploy", "cli", "refused"),
        ("cleanup-stale-deployments", "policy", "verified"),
        ("force-redeploy", "policy", "verified"),
    ]
    terminal = scene.timeline.columns if scene.timeline.is_terminal else None
    with scene.timeline.doing("running restate-medic audit list"):
        operations = scene.medic.operations()
        table = scene.medic.command("audit", "list", columns=terminal)
    listed = [(o["remedy"], o["source"], o["outcome"]) for o in operations]
    require(listed == expected, f"the ledger list {expected}", listed)
    scene.timeline.event(
        "you",
        "Ask what was done, by whom, and how it ended.",
        seen=f"`{table.command} --json`: {len(operations)} operations, as told here",
    )
    scene.timeline.output(table.out)


def _sign_up(scene: Scene, old: str) -> str:
    """Begin what does not end by itself; returns the invocation's id."""
    invocation_id = scene.submit("Signup", "run", "wait", key="ann")
    words = looks.invocation(scene, invocation_id, Invocation("suspended", old))
    scene.timeline.event(
        "you",
        "Ann signs up, and has to click the link in a mail.",
        seen=f"introspection: Signup/ann is {words}",
    )
    return invocation_id


def _roll_out(scene: Scene, old: str) -> str:
    """Bring the worker up at its new URL, register it and tell the daemon; returns the new id."""
    tell = scene.timeline.event
    with scene.timeline.doing("starting the new worker"):
        scene.second.start()
    new = str(scene.restate.register(scene.second.url)["id"])
    ids = scene.registry().ids
    require(set(ids) == {old, new}, f"{old} and {new} be registered", ids)
    tell(
        "you",
        "Roll out to a new URL, properly: start it, register it.",
        seen=f"admin: POST /deployments: {short(new)}; GET /deployments: {short(*ids)}",
    )
    scene.medic.configure(scene.second.url)
    answer = scene.medic.reload()
    words = f"POST /-/reload: {answer.status_code} {answer.text.strip()}"
    require(answer.is_success, "the daemon take the new configuration", words)
    tell("you", "Move `service_url` in restate-medic.yaml to the new URL.", seen=words)
    return new


def _lets_drain(scene: Scene, ids: set[str]) -> None:
    tell = scene.timeline.event
    draining = looks.metric(scene, "deployments", 1, state="draining", owner="ours")
    tell("restate-medic", "Sees the old one draining.", seen=draining.line)
    rounds = looks.more_rounds(scene, "deployments", _MANY_ROUNDS)
    listed = scene.registry().ids
    require(set(listed) == ids, f"{listing(ids)} be registered still", listed)
    tell(
        "restate-medic",
        f"Lets it drain: {rounds} more looks, and it is still there.",
        seen=f"admin: GET /deployments: {short(*listed)}",
    )


def _confirm(scene: Scene, invocation_id: str, old: str) -> float:
    """Let Ann's invocation end; returns the seconds it ended at."""
    scene.restate.call("Signup", "confirm", "resolve", key="ann").raise_for_status()
    words = looks.invocation(scene, invocation_id, Invocation("completed", old))
    return scene.timeline.event(
        "you",
        "Ann clicks the link: nothing needs the old one any more.",
        seen=f"introspection: Signup/ann is {words}",
    )


def _cleans_up(scene: Scene, new: str) -> float:
    """Wait until only the new deployment is left; returns the seconds it was left at."""
    tell = scene.timeline.event
    left = scene.see(
        f"only {new} be registered", lambda: scene.registry().ids, lambda ids: ids == [new]
    )
    cleaned = tell(
        "restate-medic",
        "Deletes the old one, once it has been drained for 3 s.",
        seen=f"admin: GET /deployments: {short(*left)}",
    )
    operation = looks.verified(scene, CLEAN_UP, "cleanup-stale-deployments")
    tell("restate-medic", "Has read all of it anew: gone, and all else well.", seen=operation)
    return cleaned
