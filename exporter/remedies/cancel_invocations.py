"""cancel-invocations: ask invocations to end, so that their code can compensate.

Cancelling is cooperative: it wakes even a paused invocation, but what runs on a dead endpoint, or
fails before it takes notice, never ends (restate-facts; live 1.6.2 and 1.7.12). What has not ended
in time counts as failed. ``nothing_to_do``: all had ended by themselves before their turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.model.component import Component
from exporter.model.operation import ActResult, Plan, Request
from exporter.remedies.batch import Verb, act_on_each, pick, plan_of
from exporter.remedies.kill_invocations import has_ended, unfinished
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.remedies.unfinished import check_ended
from exporter.restate_api import Written

NAME = "cancel-invocations"


async def _cancel(context: RemedyContext, id_: str, _arguments: Mapping[str, Any]) -> Written:
    return await context.api.lifecycle.cancel(id_)


CANCEL = Verb(
    name=NAME, word="cancel", done="cancelled", objections=unfinished, write=_cancel, over=has_ended
)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which invocations to cancel. Reads only."""
    return plan_of(request, CANCEL, await pick(context, request, CANCEL))


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Cancel each that is still unfinished, and wait a little for all to end."""
    return await act_on_each(context, plan, guard, CANCEL)


CANCEL_INVOCATIONS = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check_ended,
    components=frozenset({Component.INVOCATIONS}),
)
