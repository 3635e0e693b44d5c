"""restart-invocations: run completed invocations again from their start, as new ones.

The old one stays as it is. Everything it did is done again: only for what can be repeated. Restate
cannot restart workflows (422, live 1.6.2 and 1.7.12): ``recover-stuck-workflow`` frees their key.
``nothing_to_do``: all were gone before their turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from exporter.model.component import Component
from exporter.model.operation import ActResult, Plan, Request
from exporter.model.report import Report
from exporter.model.views import InvocationsView
from exporter.remedies.batch import No, Verb, act_on_each, pick, plan_of
from exporter.remedies.purge_invocations import completed
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.remedies.unfinished import UNREADABLE
from exporter.restate_api import Exact, Written

NAME = "restart-invocations"


def _objections(one: Exact) -> Iterator[No]:
    if one.item.service_type == "workflow":
        yield No("is-a-workflow", "a workflow's run cannot be restarted: recover its key")
    yield from completed(one)


async def _restart(context: RemedyContext, id_: str, _arguments: Mapping[str, Any]) -> Written:
    return await context.api.lifecycle.restart_as_new(id_)


RESTART = Verb(name=NAME, word="restart", done="restarted", objections=_objections, write=_restart)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which invocations to run again. Reads only."""
    return plan_of(request, RESTART, await pick(context, request, RESTART))


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Restart each; what it became stands in ``after``."""
    return await act_on_each(context, plan, guard, RESTART)


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """None of the new ones is paused or failing."""
    del arguments
    view = report.view(Component.INVOCATIONS, InvocationsView, now)
    if view is None:
        return UNREADABLE
    new = set(after.get("restarted", {}).values())
    stuck = sorted(new & {item.id for item in (*view.paused, *view.retrying)})
    return f"paused or failing: {', '.join(stuck)}" if stuck else None


RESTART_INVOCATIONS = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.INVOCATIONS}),
)
