"""A worker that fills a server with invocations: ``crowd.py PORT``, as the lab runs scripts.

``Crowd/spread`` hands in as many one-way calls as it is told, over several services; nine of ten
are to begin in a day and so stay ``scheduled``, the tenth runs at once and is ``completed``.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import restate
from restate import Context

from lab.serving import serve

SERVICES = 20
_LATER = timedelta(days=1)
_AT_ONCE_EVERY = 10

spreader = restate.Service("Crowd")


@spreader.handler()
async def spread(ctx: Context, count: int) -> int:
    """Hand in so many."""
    for number in range(count):
        delay = None if number % _AT_ONCE_EVERY == 0 else _LATER
        ctx.generic_send(f"Crowd{number % SERVICES:02}", "one", b"", send_delay=delay)
    return count


def _one(number: int) -> restate.Service:
    service = restate.Service(f"Crowd{number:02}")

    async def one(_ctx: Context) -> None:
        await asyncio.sleep(0)

    service.handler("one")(one)
    return service


if __name__ == "__main__":
    app = restate.app([spreader, *(_one(number) for number in range(SERVICES))])
    asyncio.run(serve(app, int(sys.argv[1])))
