"""purge-invocations: forget completed invocations before their retention does.

A purge breaks idempotency and the de-duplication of workflow keys inside the retention time
(restate-facts), and before Restate 1.8 a sleep of a workflow's run that is still to fire would fire
into the next run of its key: policies leave such a run alone. A workflow key that failed is
``recover-stuck-workflow``'s, which asks more questions. ``nothing_to_do``: all were gone before
their turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from exporter.model.component import Component
from exporter.model.errors import RefusedError
from exporter.model.facts import run_handler
from exporter.model.items import invocation_key
from exporter.model.operation import ActResult, Plan, Request
from exporter.model.report import Report
from exporter.model.views import InvocationsView
from exporter.remedies.batch import No, Verb, act_on_each, pick, plan_of
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.remedies.stuck import refuse_sleeps
from exporter.remedies.unfinished import UNREADABLE, keys_in
from exporter.restate_api import Exact, Written

NAME = "purge-invocations"


def completed(one: Exact) -> Iterator[No]:
    """Only what has completed can be forgotten, or run again."""
    if one.active:
        yield No("not-completed", f"it is {one.status}")


def is_gone(now: Exact | None, before: Exact) -> bool:
    """Forgotten, or replaced by a later one of the same id."""
    return now is None or now.item.created_at != before.item.created_at


async def _purge(context: RemedyContext, id_: str, _arguments: Mapping[str, Any]) -> Written:
    return await context.api.lifecycle.purge(id_)


PURGE = Verb(
    name=NAME, word="purge", done="purged", objections=completed, write=_purge, over=is_gone
)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which invocations to forget. Reads only."""
    more = None if request.by_person else _sleeps(context)
    return plan_of(request, PURGE, await pick(context, request, PURGE, more))


def _sleeps(context: RemedyContext) -> Callable[[Exact], Awaitable[No | None]]:
    """Leaves a workflow's run alone while a sleep of it may fire into the key's next run."""
    services = context.findings.services if context.findings else None

    async def refuse(one: Exact) -> No | None:
        item = one.item
        if item.service_type != "workflow" or item.handler != run_handler(item.service, services):
            return None
        try:
            await refuse_sleeps(context, one, f"the run of {item.service}/{item.key}")
        except RefusedError as error:
            return No(error.reason, str(error))
        return None

    return refuse


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Purge each that is still completed, and see it gone."""
    return await act_on_each(context, plan, guard, PURGE)


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """None of them is listed any more."""
    del arguments
    view = report.view(Component.INVOCATIONS, InvocationsView, now)
    if view is None:
        return UNREADABLE
    listed = keys_in(view.completed or ())
    listed |= {invocation_key(run.id, run.created_at) for run in view.failed_runs}
    left = sorted(listed & frozenset(after.get("purged", ())))
    return f"still there: {', '.join(left)}" if left else None


PURGE_INVOCATIONS = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.INVOCATIONS}),
)
