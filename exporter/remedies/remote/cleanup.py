"""cleanup-stale-deployments through a remote operator API: the other side deletes what it may.

Which deployments are drained is not seen from here. So ``max_items`` bounds how many others may be
registered at all, and ``drained_for`` how long ago the newest registration must be: nothing can
have been replaced later than that. Nothing is ever force-drained from here, since what would be
killed cannot be listed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component
from exporter.model.duration import format_duration
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.operation import ActResult, ItemOutcome, Plan, Request
from exporter.model.report import Report
from exporter.model.views import DeploymentList
from exporter.remedies.cleanup_stale_deployments import DRAINED_FOR, MAX_ITEMS
from exporter.remedies.registered import shown, url_of
from exporter.remedies.remedy import Remedy, WriteGuard
from exporter.remedies.remote.context import (
    Listing,
    RemoteContext,
    listing,
    sendable,
    told_after,
    why_of,
)

NAME = "cleanup-stale-deployments"


async def preflight(context: RemoteContext, request: Request) -> Plan:
    """Plan the request, or refuse it. Reads only."""
    if request.arguments.get("force_drain"):
        msg = (
            f"{context.target.name} is reached through a remote operator API, which does not list"
            " what a forced drain would kill: do it there"
        )
        raise RefusedError("remedy-unsupported", msg)
    url = url_of(request, context)
    look = await listing(context)
    keep = look.at(url)
    if keep is None:
        msg = f"no deployment is registered at {shown(url)}: run doctor and copy the URL"
        raise RefusedError("deployment-not-found", msg)
    others = {d.id: shown(d.url) for d in look.deployments.items if d.id != keep.id}
    most = int(request.arguments.get("max_items", MAX_ITEMS))
    if len(others) > most:
        msg = f"{len(others)} other deployments are registered, and max_items is {most}"
        raise RefusedError("too-many", msg)
    if not request.by_person:
        _refuse_early(look, others, context, request)
    sent = sendable(url, keep)
    where = context.api.base_url
    return Plan(
        remedy=NAME,
        target=context.target.name,
        summary=f"ask {where} to keep {shown(url)} and clean up {len(others)} others",
        arguments={"url": sent, "keep": keep.id, "others": list(others), "why": why_of(request)},
        rests_on={"deployments": look.rests_on["deployments"]},
        items=request.items,
        before={"deployments": look.before["deployments"]},
        steps=(
            f"ask {where} to keep {keep.id} ({shown(keep.url)}) and to delete, once drained:",
            *(f"  {other} ({there})" for other, there in others.items()),
            "  a DALP platform may end what is pinned to one that does not answer",
        ),
    )


def _refuse_early(
    look: Listing, others: Mapping[str, str], context: RemoteContext, request: Request
) -> None:
    if not others:
        raise RefusedError("would-not-help", "no other deployment is registered")
    wanted: timedelta = request.arguments.get("drained_for", DRAINED_FOR)
    newest = max(d.created_at for d in look.deployments.items)
    if context.now() - newest < wanted:
        after = format_duration(wanted)
        msg = f"something was registered at {newest:%F %T} UTC, which is less than {after} ago"
        raise RefusedError("would-not-help", msg)


async def act(context: RemoteContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Look again, ask, and look what became of the others."""
    url, others = str(plan.arguments["url"]), plan.arguments["others"]
    if (await listing(context)).rests_on["deployments"] != plan.rests_on["deployments"]:
        raise RefusedError("changed", "what is registered changed after the plan was made")
    await guard.before_write(f"ask {context.api.base_url} to keep {shown(url)} alone")
    answer = await context.api.cleanup(url, why=plan.arguments["why"])
    after = told_after(answer)
    try:
        left = {d.id for d in (await listing(context)).deployments.items}
    except CallFailedError:
        return ActResult(after=after)  # it was acknowledged; what is left, verification sees
    outcomes = tuple(
        ItemOutcome(other, "skipped", "it was left registered")
        if other in left
        else ItemOutcome(other, "deleted", plan.before["deployments"][other])
        for other in others
    )
    for outcome in outcomes:
        await guard.item_done(outcome)
    deleted = [o.key for o in outcomes if o.done]
    return ActResult(
        after={
            **after,
            "deleted": deleted,
            "skipped": {o.key: o.detail for o in outcomes if not o.done},
        },
        items=outcomes,
        nothing_to_do=not deleted and not answer.unverified,
        partial=0 < len(deleted) < len(outcomes),
    )


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """What was deleted is no longer listed, and what was to be kept still is."""
    view = report.view(Component.DEPLOYMENTS, DeploymentList, now)
    if view is None:
        return "deployments cannot be read"
    listed = {d.id for d in view.items}
    if arguments["keep"] not in listed:
        return f"{arguments['keep']}, which was to be kept, is not registered"
    left = sorted(listed & set(after.get("deleted", ())))
    return f"still registered: {', '.join(left)}" if left else None


REMOTE_CLEANUP = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.DEPLOYMENTS}),
)
