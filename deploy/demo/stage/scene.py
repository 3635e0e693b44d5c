"""The scene: a shop on a real Restate, and restate-medic beside it; looks from outside.

What happens on it, and in which order, is left to `stage.chapters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from lab import Restate, RestateServer, ServiceSpec, Worker, wait_until
from stage.medic import Answer, Medic
from stage.timeline import Timeline

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
_POLL_SECONDS = 0.05

ORDERS = ServiceSpec("Orders", handlers=("place",))
PARCELS = ServiceSpec("Parcels", handlers=("send",), pause_after=2)
SIGNUP = ServiceSpec("Signup", "workflow", handlers=("run", "confirm"))
INVOICES = ServiceSpec("Invoices", handlers=("create",))
REFUNDS = ServiceSpec("Refunds", handlers=("pay",))
SHOP = (ORDERS, PARCELS, SIGNUP, INVOICES)
"""What the worker serves once it was rolled."""


class NotSeenError(Exception):
    """What should have been seen from outside was not."""

    def __init__(self, expected: str, seen: object) -> None:
        self.expected = expected
        self.seen = "nothing" if seen is None else seen
        super().__init__(f"expected to see {expected}, but saw {self.seen}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the ingress answered to a call."""

    path: str
    status: int
    message: str
    """Restate's own words when it refused."""

    def __str__(self) -> str:
        words = f' "{self.message}"' if self.message else ""
        return f"ingress: POST {self.path}: {self.status}{words}"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation as the introspection tells it."""

    status: str
    deployment_id: str | None


@dataclass(frozen=True, slots=True)
class Registry:
    """What is registered, word for word: two of them are equal when nothing was changed."""

    deployments: list[dict[str, Any]]
    services: list[dict[str, Any]]

    @classmethod
    def read(cls, restate: Restate) -> Registry:
        """Read what the admin API lists; it lists handlers in another order each time."""
        services = restate.services()
        for service in services:
            service["handlers"].sort(key=lambda handler: handler["name"])
        return cls(
            sorted(restate.deployments(), key=lambda deployment: deployment["id"]),
            sorted(services, key=lambda service: service["name"]),
        )

    def __str__(self) -> str:
        revisions = ", ".join(f"{s['name']} revision {s['revision']}" for s in self.services)
        return f"deployments {', '.join(self.ids)} with {revisions}"

    @property
    def ids(self) -> list[str]:
        """The ids of all deployments."""
        return [str(deployment["id"]) for deployment in self.deployments]

    @property
    def names(self) -> list[str]:
        """The names of all services."""
        return sorted(str(service["name"]) for service in self.services)

    def latest(self) -> set[str]:
        """The deployments that new calls go to."""
        return {str(service["deployment_id"]) for service in self.services}


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the story needs. `first`, `second` and `third` are the worker's places in turn."""

    timeline: Timeline
    restate: RestateServer
    first: Worker
    second: Worker
    third: Worker
    medic: Medic

    def see(
        self, expected: str, look: Callable[[], T], good: Callable[[T], object] = lambda seen: seen
    ) -> T:
        """Look until what is seen is `good`, and return it; NotSeenError at the deadline.

        A look that finds nobody listening is tried again. A daemon that has ended never does
        anything more, so it is an error at once.
        """
        last: list[object] = ["nothing yet"]

        def look_again() -> list[T]:
            if self.medic.exit_code is not None:
                raise NotSeenError(expected, f"restate-medic ended with {self.medic.exit_code}")
            try:
                seen = look()
            except httpx.TransportError as error:
                last[0] = f"{type(error).__name__}: {error}"
                return []
            last[0] = seen
            return [seen] if good(seen) else []

        with self.timeline.doing(f"waiting to see {expected}"):
            try:
                found = wait_until(
                    look_again,
                    what=expected,
                    timeout_seconds=DEADLINE_SECONDS,
                    poll_seconds=_POLL_SECONDS,
                )
            except TimeoutError as error:
                raise NotSeenError(expected, last[0]) from error
        return found[0]

    def run(self, *arguments: str) -> Answer:
        """Run a command of restate-medic, as a person would type it."""
        with self.timeline.doing(f"running restate-medic {arguments[0]}"):
            return self.medic.command(*arguments)

    def call(self, service: str, handler: str, key: str | None = None) -> Reply:
        """Call a service through the ingress, as a customer of the shop does."""
        answer = self.restate.call(service, handler, "a book", key=key)
        message = str(answer.json()["message"]) if answer.is_error else ""
        path = "/".join(part for part in (service, key, handler) if part)
        return Reply(f"/{path}", answer.status_code, message)

    def submit(self, service: str, handler: str, body: str, key: str | None = None) -> str:
        """Hand in what nobody waits for; returns the invocation's id."""
        answer = self.restate.call(service, handler, body, key=key, send=True)
        return str(answer.raise_for_status().json()["invocationId"])

    def see_call(self, service: str, handler: str, status: int) -> Reply:
        """Call until the ingress answers with that status."""
        return self.see(
            f"the ingress answer {status} to POST /{service}/{handler}",
            lambda: self.call(service, handler),
            lambda reply: reply.status == status,
        )

    def registry(self) -> Registry:
        """What the admin API lists."""
        return Registry.read(self.restate)

    def offered(self, worker: Worker) -> list[str]:
        """The services a worker offers by now: a dry run, which changes nothing."""
        answer = self.restate.register(worker.url, dry_run=True)
        return sorted(str(service["name"]) for service in answer["services"])

    def invocation(self, invocation_id: str) -> Invocation | None:
        """How an invocation is, and which deployment it belongs to."""
        rows = self.restate.query("SELECT id, status, pinned_deployment_id FROM sys_invocation")
        found = [row for row in rows if row["id"] == invocation_id]
        if not found:
            return None
        return Invocation(str(found[0]["status"]), found[0].get("pinned_deployment_id"))


@contextmanager
def open_scene(timeline: Timeline, folder: Path) -> Iterator[Scene]:
    """Start Restate and the first worker; stop everything in reverse, whatever happens.

    The other workers and the daemon are started by the story, and stopped here.
    """
    with ExitStack() as stack:
        with timeline.doing("starting restate-server"):
            restate = stack.enter_context(RestateServer("1.7", base_dir=folder / "restate"))
        first = Worker([ORDERS, PARCELS, SIGNUP], log=folder / "first-worker.log")
        stack.callback(first.close)
        second = Worker(SHOP, log=folder / "second-worker.log")
        stack.callback(second.close)
        third = Worker(SHOP, log=folder / "third-worker.log")
        stack.callback(third.close)
        with timeline.doing("starting the worker"):
            first.start()
        medic = Medic(folder, restate=restate, service_url=first.url)
        stack.callback(medic.stop)
        yield Scene(timeline, restate, first, second, third, medic)
