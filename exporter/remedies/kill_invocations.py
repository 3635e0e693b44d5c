"""kill-invocations: end invocations at once. Nothing compensates, and their children die too.

What a kill costs is in restate-facts; a policy may only propose it unless it accepts the risk.
``nothing_to_do``: all of them had ended by themselves before their turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.model.component import Component
from exporter.model.operation import ActResult, Plan, Request
from exporter.remedies.batch import No, Verb, act_on_each, pick, plan_of
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.remedies.unfinished import check_ended
from exporter.restate_api import Exact, Written

NAME = "kill-invocations"


def unfinished(one: Exact) -> Iterator[No]:
    """Only what has not completed can be ended."""
    if not one.active:
        yield No("already-completed", "it has completed")


def has_ended(now: Exact | None, before: Exact) -> bool:
    """Completed, forgotten, or replaced by a later one of the same id."""
    return now is None or not now.active or now.item.created_at != before.item.created_at


async def _kill(context: RemedyContext, id_: str, _arguments: Mapping[str, Any]) -> Written:
    return await context.api.lifecycle.kill(id_)


KILL = Verb(
    name=NAME, word="kill", done="killed", objections=unfinished, write=_kill, over=has_ended
)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which invocations to kill. Reads only."""
    return plan_of(request, KILL, await pick(context, request, KILL))


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Kill each that is still unfinished, and see it end."""
    return await act_on_each(context, plan, guard, KILL)


KILL_INVOCATIONS = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check_ended,
    components=frozenset({Component.INVOCATIONS}),
)
