"""Draining a dead deployment by force: kill exactly the work that is listed as pinned to it.

Work on an endpoint that will never answer again neither completes nor can be cancelled, so its
deployment never drains. Killing loses that work without compensation (restate-facts): only what a
person has seen in the plan, only while the endpoint is proven dead, and never more than
``max_kills``. Deleting the deployment is the cleanup's, which confirms that nothing is left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TypeVar

from exporter.model.deployments import only_here
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.items import invocation_key
from exporter.model.operation import ItemOutcome, Request
from exporter.remedies.alive import endpoint_of
from exporter.remedies.batch import PATIENCE, POLL_SECONDS, UnconfirmedError, key_of
from exporter.remedies.remedy import RemedyContext, WriteGuard
from exporter.remedies.survey import Survey
from exporter.restate_api import Exact

DEAD = "endpoint-dead"
_T = TypeVar("_T")
Doomed = Mapping[str, list[str]]
"""By deployment id, the keys of the invocations that are to be killed."""


async def doomed_work(context: RemedyContext, request: Request, survey: Survey) -> Doomed:
    """What a forced drain would kill. RefusedError when that is more than was allowed."""
    if not request.arguments.get("force_drain"):
        return {}
    most = request.arguments.get("max_kills")
    if most is None:
        raise RefusedError("max-kills-missing", "say how many invocations may be killed at most")
    doomed: dict[str, list[str]] = {}
    for id_ in survey.in_state("draining"):
        if not request.by_person and not _is_for_policies(context, survey, id_):
            continue
        no = await endpoint_of(context, id_)
        if no is None or no.reason != DEAD:
            continue
        listed = await context.api.invocations.pinned_to([id_])
        doomed[id_] = [invocation_key(item.id, item.created_at) for item in listed.items]
        total = sum(map(len, doomed.values()))
        if total > int(most) or not listed.complete:
            more = "" if listed.complete else " or more"
            msg = f"{total}{more} invocations would be killed, and {most} may be"
            raise RefusedError("too-many-kills", msg, data={"kills": total})
    return doomed


def _is_for_policies(context: RemedyContext, survey: Survey, id_: str) -> bool:
    """Whether readings have shown it dead before, and what is kept serves all that it did."""
    ghosts = context.findings.values.get("deployments.ghost", ()) if context.findings else ()
    found = survey.registered.get(id_)
    return id_ in ghosts and found is not None and set(found.services) <= set(survey.keep.services)


def doomed_steps(doomed: Doomed, urls: Mapping[str, str]) -> tuple[str, ...]:
    """The writes, as a person would read them."""
    return tuple(
        step
        for id_, keys in doomed.items()
        for step in (
            *(f"kill {key.partition('@')[0]}, pinned to {id_}" for key in keys),
            f"delete {id_} ({urls[id_]}), whose endpoint is dead, once nothing is pinned to it",
        )
    )


async def drain(
    context: RemedyContext, guard: WriteGuard, survey: Survey, id_: str, keys: list[str]
) -> tuple[list[str], str | None]:
    """Kill what is listed and still pinned; the keys that were killed, and why it must stay."""
    no = await _read(endpoint_of(context, id_))
    if no is None or no.reason != DEAD:
        return [], "its endpoint is not known to be dead any more"
    killed: list[str] = []
    for key in keys:
        invocation = key.partition("@")[0]
        one = (await _read(context.api.lookups.by_id([invocation]))).get(invocation)
        if one is not None and _still(one, key, id_) and await _kill(context, guard, one):
            killed.append(key)
    left = await _left(context, survey, id_)
    return killed, f"it has {left} unfinished invocations" if left else None


def _still(one: Exact, key: str, deployment_id: str) -> bool:
    return one.active and key_of(one) == key and one.item.deployment_id == deployment_id


async def _kill(context: RemedyContext, guard: WriteGuard, one: Exact) -> bool:
    id_, key = one.item.id, key_of(one)
    await guard.before_write(f"kill {id_}, pinned to {one.item.deployment_id}")
    try:
        answer = await context.api.lifecycle.kill(id_)
    except CallFailedError as error:
        word = "indeterminate" if error.outcome_unknown else "failed"
        await guard.item_done(ItemOutcome(key, word, str(error)))
        raise
    await guard.item_done(ItemOutcome(key, "killed" if answer.ok else "skipped", answer.message))
    return answer.ok


async def _left(context: RemedyContext, survey: Survey, id_: str) -> int:
    """How much unfinished work needs the deployment, once the kills had time to show."""
    deployment, deadline = survey.registered.get(id_), context.now() + PATIENCE
    alone = only_here(deployment, survey.registered.deployments) if deployment else ()
    ask = context.api.invocations
    while True:
        work = sum((await _read(ask.active_count_pinned([id_]))).values())
        work += sum((await _read(ask.active_unpinned(alone))).values())
        if not work or context.now() >= deadline:
            return work
        await context.sleep(POLL_SECONDS)


async def _read(asked: Awaitable[_T]) -> _T:
    """Only a read: its failure must not look like a write whose outcome is unknown."""
    try:
        return await asked
    except CallFailedError as error:
        raise UnconfirmedError(f"nothing more was killed: {error}") from error
