"""The sample worker of `make run` and deploy/compose: `sample_worker.py [PORT [ADDRESS]]`.

The port is 9080 if left out, the address loopback.

It has one of each kind of service, so that there is something to watch. Register it with
`restate deployments register http://localhost:9080` or let `make run` do it.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import restate
from restate import (
    Context,
    ObjectContext,
    ObjectSharedContext,
    TerminalError,
    WorkflowContext,
    WorkflowSharedContext,
)

from lab.ports import LOOPBACK
from lab.serving import serve

_DEFAULT_PORT = 9080

greeter = restate.Service("Greeter")
cart = restate.VirtualObject("Cart")
signup = restate.Workflow("Signup")
heartbeat = restate.Workflow("Heartbeat")


@greeter.handler()
async def hello(ctx: Context, name: str) -> str:
    """Greet somebody, after a short durable pause."""
    await ctx.sleep(timedelta(milliseconds=100))
    return f"Hello {name}"


@cart.handler()
async def add(ctx: ObjectContext, item: str) -> list[str]:
    """Put one thing into the cart; one call at a time for each cart."""
    items = [*(await ctx.get("items", type_hint=list[str]) or []), item]
    ctx.set("items", items)
    return items


@cart.handler(kind="shared")
async def show(ctx: ObjectSharedContext) -> list[str]:
    """List what is in the cart, also while somebody adds to it."""
    return await ctx.get("items", type_hint=list[str]) or []


@signup.main()
async def run(ctx: WorkflowContext, email: str) -> str:
    """Sign somebody up, once for each key: wait until the address is confirmed."""
    if "@" not in email:
        # Terminal: Restate does not try again, and this key can never be used again until
        # somebody recovers it. Which is one of the things restate-medic is for.
        message = f"{email} is not an address"
        raise TerminalError(message)
    ctx.set("state", "waiting for confirmation")
    await ctx.promise("confirmed", type_hint=bool).value()
    ctx.set("state", "signed up")
    return f"{email} is signed up"


@signup.handler()
async def confirm(ctx: WorkflowSharedContext) -> None:
    """Click the link in the mail."""
    await ctx.promise("confirmed", type_hint=bool).resolve(value=True)


@heartbeat.main("run")
async def beat(_ctx: WorkflowContext) -> str:
    """Do nothing, successfully: whoever gets this answer knows that the whole engine works."""
    return "alive"


app = restate.app([greeter, cart, signup, heartbeat])


def main() -> None:
    """Serve until told to stop."""
    given = sys.argv[1:]
    port = int(given[0]) if given else _DEFAULT_PORT
    asyncio.run(serve(app, port, given[1] if len(given) > 1 else LOOPBACK))


if __name__ == "__main__":
    main()
