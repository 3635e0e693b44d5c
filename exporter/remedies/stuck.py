"""A workflow key as it is right now, and why its retry would be unsafe. Reads only.

Any non-completed invocation of the key blocks it, shared handlers that wait on its promises too;
of what completed, the run alone decides. Each refusal names the invocations it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from exporter.model.errors import RefusedError
from exporter.model.facts import run_handler
from exporter.model.items import workflow_key
from exporter.model.operation import Request
from exporter.model.views import ServicesView, cause_of
from exporter.policy.fields import ANY
from exporter.remedies.remedy import RemedyContext
from exporter.restate_api import Exact, version_of

TIMERS_END_WITH_THEIR_RUN = (1, 8)
"""Before this version an unfired sleep of a purged run fires into the key's next one."""
UNKNOWN_SLEEPS = "unknown-sleeps"


@dataclass(frozen=True, slots=True)
class StuckKey:
    """A key that nothing blocks. ``run`` is its failed run; None when there is none."""

    service: str
    key: str
    run: Exact | None
    allowed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``Service/key``, what the key is counted by."""
        return workflow_key(self.service, self.key)

    def told(self) -> dict[str, Any]:
        """What is kept of it as it was before."""
        if self.run is None:
            return {"run": None}
        return {
            "run": self.run.item.id,
            "createdAt": self.run.item.created_at.isoformat(),
            "cause": cause_of(self.run.failure),
            "error": self.run.failure,
        }


async def stuck_key(
    context: RemedyContext, service: str, key: str, *, version: str, allow: frozenset[str]
) -> StuckKey:
    """Read everything the key has. RefusedError when it is blocked; CallFailedError: unknown."""
    details = await context.api.admin.get_service(service)
    found = await context.api.lookups.of_key(service, key, version=version)
    types = {one.item.service_type for one in found}
    if details is not None:
        types.add(details.service.shape.type)
    if types - {"workflow"}:
        raise RefusedError("not-a-workflow", f"{service} is no workflow: it has no run to recover")
    if details is None:
        if found:
            msg = f"{service} is not registered, so its run handler is not known"
            raise RefusedError("service-not-registered", msg, data=_ids(found))
        return StuckKey(service, key, None)
    name = workflow_key(service, key)
    if active := [one for one in found if one.active]:
        states = ", ".join(f"{one.item.handler} is {one.status}" for one in active[:5])
        raise RefusedError("active-invocation", f"{name}: {states}", data=_ids(active))
    handler = run_handler(service, ServicesView((details.service,)))
    runs = [one for one in found if one.item.handler == handler]
    if done := [one for one in runs if one.result != "failure"]:
        raise RefusedError(
            "already-succeeded", f"{name} has completed successfully", data=_ids(done)
        )
    if not runs:
        return StuckKey(service, key, None)
    what = f"the failed run of {name}"
    allowed = await refuse_sleeps(context, runs[-1], what, version=version, allow=allow)
    return StuckKey(service, key, runs[-1], allowed)


async def refuse_sleeps(
    context: RemedyContext,
    run: Exact,
    what: str,
    *,
    version: str | None = None,
    allow: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Refuse while a timer of a run is still to fire after its purge, or when nobody can tell.

    Returns the overrides that were needed. ``version`` is the server's, where that is known.
    """
    version = version or await context.api.admin.version()
    if version_of(version) >= TIMERS_END_WITH_THEIR_RUN:
        return ()
    journal = await context.api.lookups.journal(run.item.id)
    if journal.sleeps_until is not None:
        msg = f"a sleep of {what} fires at {journal.sleeps_until:%F %T} UTC"
        raise RefusedError("unfired-sleep", msg, data=_ids([run]))
    if journal.kept:
        return ()
    if UNKNOWN_SLEEPS not in allow:
        msg = f"the journal of {what} is gone: whether it slept is not known"
        raise RefusedError(UNKNOWN_SLEEPS, msg, override=UNKNOWN_SLEEPS, data=_ids([run]))
    return (UNKNOWN_SLEEPS,)


def refuse_for_policies(stuck: StuckKey, request: Request) -> None:
    """Refuse what a policy has not named: other services, and runs that somebody ended."""
    if request.by_person:
        return
    named, causes = request.arguments["service"], request.arguments.get("causes", ["error"])
    if named != (ANY,) and stuck.service not in named:
        raise RefusedError("other-service", f"the policy does not name {stuck.service}")
    if stuck.run is None:
        raise RefusedError("gone", f"{stuck.name} has no failed run any more")
    cause = cause_of(stuck.run.failure)
    if cause not in causes:
        raise RefusedError(
            "other-cause", f"{stuck.name} was {cause}, which the policy leaves alone"
        )


def _ids(found: Iterable[Exact]) -> dict[str, Any]:
    return {"invocationIds": [one.item.id for one in found]}
