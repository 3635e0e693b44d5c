"""resume-invocations: try paused invocations again, one first and then the others.

Resuming on an endpoint that is still broken pauses again after all its retries, so the endpoint
must answer a discovery first, and the batch goes on only when the first one runs. Left alone is
what a person paused, and what code alone can mend: RT0011 (its deployment is gone) and RT0016 (its
journal does not fit the code). ``nothing_to_do``: none was paused any more when its turn came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component
from exporter.model.items import invocation_key
from exporter.model.operation import ActResult, Plan, Request
from exporter.model.relapse import BrokenAgain
from exporter.model.report import Report
from exporter.model.views import InvocationsView
from exporter.remedies.alive import Alive
from exporter.remedies.batch import (
    POLL_SECONDS,
    No,
    Verb,
    act_on_each,
    pick,
    plan_of,
)
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.remedies.unfinished import UNREADABLE, keys_in
from exporter.restate_api import JOURNAL_MISMATCH, LIST_LIMIT, Exact, Written

NAME = "resume-invocations"
UNKNOWN_DEPLOYMENT = "RT0011"
FIRST_RUNS = timedelta(seconds=5)
"""How long the first one has to run before the others follow, and before one alone is judged: a
single later reading may fall between two attempts of what is about to pause again."""


def _objections(one: Exact) -> Iterator[No]:
    if one.status != "paused":
        yield No("not-paused", f"it is {one.status}")
        return
    if one.item.error_code == UNKNOWN_DEPLOYMENT:
        yield No("zombie", "its deployment is gone (RT0011)", "zombie")
    if one.item.error_code == JOURNAL_MISMATCH:
        detail = "its journal does not fit the code (RT0016)"
        yield No("journal-mismatch", detail, "journal-mismatch")
    if one.item.paused_by == "manual":
        yield No("paused-by-person", "a person paused it", "paused-by-person")
    if one.item.paused_by == "unknown":
        yield No("paused-by-person", "who paused it is not known", "paused-by-person")


async def _resume(context: RemedyContext, id_: str, arguments: Mapping[str, Any]) -> Written:
    return await context.api.lifecycle.resume(id_, deployment=str(arguments["deployment"]))


RESUME = Verb(
    name=NAME,
    word="resume",
    done="resumed",
    objections=_objections,
    write=_resume,
    reads=lambda context: context.api.lookups.paused_by_id,
)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which invocations to resume. Reads only."""
    deployment = str(request.arguments.get("deployment", "keep"))
    alive = Alive(context, deployment)
    picked = await pick(context, request, RESUME, alive.refuse)
    return plan_of(request, RESUME, picked, {"deployment": deployment})


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Resume each that is still paused, as long as the first one runs."""
    alive = Alive(context, str(plan.arguments["deployment"]))
    await alive.refuse_any(plan.arguments["ids"])

    async def first_runs(before: Exact) -> str | None:
        return await _paused_again(context, before)

    return await act_on_each(context, plan, guard, RESUME, first_runs)


async def _paused_again(context: RemedyContext, before: Exact) -> str | None:
    """Look for a few seconds whether it stays unpaused; a sentence when it does not."""
    id_, deadline = before.item.id, context.now() + FIRST_RUNS
    while True:
        now = (await context.api.lookups.by_id([id_])).get(id_)
        if now is None or not now.active:
            return None
        paused = now.status == "paused"
        if paused and now.item.modified_at > before.item.modified_at:
            return f"{id_} was paused again at once"
        if context.now() >= deadline:
            break
        await context.sleep(POLL_SECONDS)
    if paused:
        return f"{id_} was resumed, and is still paused"
    failing = (await context.api.lookups.attempts(id_)).failing
    return f"{id_} was resumed, and fails again" if failing else None


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """None is paused again, none is failing again."""
    del arguments
    view = report.view(Component.INVOCATIONS, InvocationsView, now)
    if view is None:
        return UNREADABLE
    resumed = frozenset(after.get("resumed", ()))
    if again := sorted(resumed & keys_in(view.paused)):
        return f"paused again: {', '.join(again)}"
    if failing := sorted(resumed & keys_in(view.retrying)):
        return f"failing again: {', '.join(failing)}"
    # What was paused or failed last stands at the end of its list, where it is cut.
    if len(view.paused) >= LIST_LIMIT or view.retrying_count > len(view.retrying):
        return "the lists of paused and retrying invocations were cut"
    return None


def broken_again(report: Report, now: datetime) -> BrokenAgain | None:
    """What its retries paused; what a person paused is no failure of a resume."""
    view = report.view(Component.INVOCATIONS, InvocationsView, now)
    if view is None:
        return None
    return BrokenAgain(
        report.readings[Component.INVOCATIONS].started_at,
        {
            invocation_key(item.id, item.created_at): item.modified_at
            for item in view.paused
            if item.paused_by == "retries"
        },
    )


RESUME_INVOCATIONS = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.INVOCATIONS}),
    broken_again=broken_again,
)
