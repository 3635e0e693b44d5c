"""The chapters of the night: two more faults that heal, and three that wait for a person.

Held are what is too much at once (storm), what does not help (breaker), and what cannot be taken
back (approval). They act, look and tell as those of `stage.chapters` do.
"""

from __future__ import annotations

import json

from stage import looks
from stage.looks import require, short
from stage.scene import Invocation, Scene

FREE_KEYS = "free-failed-signups"
RESUME = "resume-parcels"
DRAIN = "drain-dead-deployments"
_MANY = 25
"""More than a storm's `max_items`, which is 20."""
_SOME_ROUNDS = 3
_FAILURE = "completed with failure"


def a_key_is_wedged(scene: Scene) -> None:
    """A failed run keeps its key; freed, the customer's next try succeeds."""
    tell = scene.timeline.event
    failed = scene.submit("Signup", "run", "fail", key="bob")
    words = _completed(scene, failed)
    tell("you", "Bob's signup fails for good.", seen=f"introspection: Signup/bob is {words}")
    reply = scene.call("Signup", "run", key="bob")
    require(reply.status >= 400, "Bob's next try be refused", reply)  # noqa: PLR2004 - HTTP
    tell("Restate", "Answers his next try with the old failure.", seen=str(reply))
    reply = scene.see(
        "Bob's signup succeed",
        lambda: scene.call("Signup", "run", key="bob"),
        lambda reply: reply.status == 200,  # noqa: PLR2004 - HTTP
    )
    tell("restate-medic", "Purges the failed run; Bob's next try succeeds.", seen=str(reply))
    operation = looks.verified(scene, FREE_KEYS, "recover-stuck-workflow")
    tell("restate-medic", "Has read that it is gone.", seen=operation)


def work_gave_up(scene: Scene) -> None:
    """A worker was down for too long; its work is paused, and goes on once it is back."""
    tell = scene.timeline.event
    with scene.timeline.doing("stopping the worker"):
        scene.second.stop()
    parcel = scene.submit("Parcels", "send", "a book")
    words = _is(scene, parcel, "paused")
    tell("you", "The worker is down, and a parcel is to be sent.", seen=words)
    pinned = scene.registry().ids[0]
    with scene.timeline.doing("starting the worker again"):
        scene.second.start()
    words = _is(scene, parcel, "completed")
    tell("restate-medic", "Resumes it, once the worker answers again.", seen=words)
    operation = looks.verified(scene, RESUME, "resume-invocations")
    tell("restate-medic", f"Has read that it runs, on {short(pinned)}.", seen=operation)


def nothing_helps(scene: Scene) -> None:
    """A bug makes the work pause again each time: two failures are enough."""
    tell = scene.timeline.event
    parcel = scene.submit("Parcels", "send", "crash")
    words = _is(scene, parcel, "paused")
    tell("you", "A parcel crashes its handler, however often it is tried.", seen=words)
    opened = looks.held(scene, RESUME, "breaker_open")
    failed = looks.metric(scene, "operations_total", 2, policy=RESUME, outcome="failed")
    tell("restate-medic", "Tries it twice; it pauses again each time.", seen=failed.line)
    tell("restate-medic", "Stops: the breaker is open until a person resets it.", seen=opened)


def too_much_at_once(scene: Scene) -> None:
    """So many keys fail that it is no affair of the keys: nothing is touched."""
    tell = scene.timeline.event
    with scene.timeline.doing("failing many signups"):
        ids = [scene.submit("Signup", "run", "fail", key=f"guest{n}") for n in range(_MANY)]
    for invocation_id in ids:
        _completed(scene, invocation_id)
    tell("you", f"A bad release: {_MANY} signups fail.", seen=f"introspection: {_MANY} failed runs")
    storm = looks.held(scene, FREE_KEYS, "storm")
    tell("restate-medic", "Holds: so many at once are a storm.", seen=storm)
    rounds = looks.more_rounds(scene, "invocations", _SOME_ROUNDS)
    left = sum(scene.invocation(invocation_id) is not None for invocation_id in ids)
    require(left == _MANY, f"all {_MANY} failed runs be there still", left)
    tell(
        "Restate",
        f"Was not touched, {rounds} more looks later.",
        seen=f"introspection: all {left} are there, for a person to look at",
    )


def a_machine_is_gone(scene: Scene) -> None:
    """Work is pinned to a machine that never comes back: killed only after a yes to the list."""
    tell = scene.timeline.event
    [old] = scene.registry().ids
    cleo = scene.submit("Signup", "run", "wait", key="cleo")
    looks.invocation(scene, cleo, Invocation("suspended", old))
    with scene.timeline.doing("starting the third worker"):
        scene.third.start()
    new = str(scene.restate.register(scene.third.url)["id"])
    scene.medic.configure(scene.third.url)
    require(scene.medic.reload().is_success, "the daemon take the new configuration", "it did not")
    scene.second.kill()
    tell(
        "you",
        "Roll out again; then the old machine dies, with Cleo's signup on it.",
        seen=f"admin: GET /deployments: {short(old, new)}; {short(new)} serves everything",
    )
    waiting = looks.held(scene, DRAIN, "awaiting_approval", detail="approve op_")
    tell("restate-medic", "Plans to kill what can never end, and asks.", seen=waiting)
    [plan] = json.loads(scene.run("approvals", "--json").out)
    listed = scene.registry().ids
    require(set(listed) == {old, new}, "nothing be touched before a yes", listed)
    answer = scene.run("approve", plan["id"], "--yes", "--reason", "the machine is scrapped")
    require(answer.exit_code == 0, f"`{answer.command}` exit with 0", answer.said)
    left = scene.registry().ids
    require(left == [new], f"only {new} be registered", left)
    tell(
        "you",
        "Read the list, and say yes: exactly that is killed, and the deployment goes.",
        seen=f"`{answer.command}`: exit 0; admin: GET /deployments: {short(*left)}",
    )


def _completed(scene: Scene, invocation_id: str) -> str:
    scene.see(
        f"{invocation_id} have failed",
        lambda: scene.invocation(invocation_id),
        lambda seen: seen is not None and seen.status == "completed",
    )
    return _FAILURE


def _is(scene: Scene, invocation_id: str, status: str) -> str:
    scene.see(
        f"{invocation_id} be {status}",
        lambda: scene.invocation(invocation_id),
        lambda seen: seen is not None and seen.status == status,
    )
    return f"introspection: Parcels/send is {status}"
