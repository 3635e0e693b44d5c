"""The process of a lab worker: `python -m lab.endpoint PORT SPEC`, SPEC as JSON.

Starting and stopping it is left to `lab.worker`.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import cycle

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from lab.behaviour import build_app
from lab.serving import serve
from lab.spec import WorkerSpec


class FlappingApp:
    """Answers every second discovery with other services, like a rollout behind one address."""

    def __init__(self, first: ASGIFramework, second: ASGIFramework) -> None:
        self._first = first
        self._answers = cycle((first, second))

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one request; only a discovery moves on to the other application."""
        is_discovery = scope["type"] == "http" and scope["path"] == "/discover"
        app = next(self._answers) if is_discovery else self._first
        await app(scope, receive, send)


def main() -> None:
    """Serve what the command line says."""
    port, spec = int(sys.argv[1]), WorkerSpec.from_json(sys.argv[2])
    app = build_app(spec.services)
    if spec.alternate is not None:
        app = FlappingApp(app, build_app(spec.alternate))
    asyncio.run(serve(app, port))


if __name__ == "__main__":
    main()
