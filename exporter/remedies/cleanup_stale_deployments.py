"""cleanup-stale-deployments: keep one deployment, delete those it replaced once they are drained.

There is no drain call: draining is waiting until nothing unfinished is pinned. Deleting earlier
leaves zombies, and deleting what is latest for a service makes it vanish (restate-facts). So a
deployment goes only after two full reads agree that it is drained and a narrow one right before
says so again. What still has work is skipped and recorded; nothing is ever killed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component
from exporter.model.deployments import (
    DeploymentState,
    only_here,
    our_services,
    owner_of,
    state_of,
    work_on,
)
from exporter.model.errors import RefusedError
from exporter.model.operation import ActResult, ItemOutcome, Plan, Request
from exporter.model.report import Report
from exporter.model.target import Worker, normalise_url
from exporter.model.views import Deployment, DeploymentsView
from exporter.remedies.registered import Registered, read_registered, shown, url_of
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard

NAME = "cleanup-stale-deployments"
DRAINED_FOR = timedelta(hours=24)
MAX_ITEMS = 10
DRAIN_TIMEOUT = timedelta(seconds=30)
_POLL = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class _Survey:
    """One full read: what is kept, and the state of every deployment it may have replaced."""

    registered: Registered
    keep: Deployment
    states: Mapping[str, DeploymentState]
    """By id: ours, at no worker's URL, and not the one to keep."""
    skipped: Mapping[str, str]
    """By id: why another one is never touched."""

    def in_state(self, state: DeploymentState) -> list[str]:
        """The ids in a state, longest registered first."""
        born = {d.id: d.created_at for d in self.registered.deployments.items}
        return sorted((i for i, s in self.states.items() if s == state), key=lambda i: born[i])


async def _survey(context: RemedyContext, url: str) -> _Survey:
    registered = await read_registered(context)
    groups = (await context.api.invocations.scan()).groups
    keep = registered.at(url)
    if keep is None:
        msg = f"no deployment is registered at {shown(url)}: run doctor and copy the URL"
        raise RefusedError("deployment-not-found", msg)
    if not registered.latest(keep):
        msg = f"{shown(url)} is not the latest for all its services, so it is not the one to keep"
        raise RefusedError("not-latest", msg)
    view = registered.deployments
    target = replace(context.target, workers=(*context.target.workers, Worker(url)))
    ours = our_services(view, target)
    workers = {w.url for w in target.workers}
    states: dict[str, DeploymentState] = {}
    skipped: dict[str, str] = {}
    for deployment in view.items:
        owner = owner_of(deployment, ours, target)
        if deployment.id == keep.id:
            continue
        if owner != "ours":
            skipped[deployment.id] = owner
        elif registered.serves_any(deployment):
            skipped[deployment.id] = "latest for a service"
        elif normalise_url(deployment.url) in workers:
            skipped[deployment.id] = "at a worker's URL"
        else:
            pinned, unpinned = work_on(deployment, view, groups)
            states[deployment.id] = state_of(deployment.id, registered.services, pinned, unpinned)
    return _Survey(registered, keep, states, skipped)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which deployments to delete. Reads only; a policy with nothing to delete is refused."""
    url = url_of(request, context)
    survey = await _survey(context, url)
    delete = survey.in_state("drained")
    draining = survey.in_state("draining")
    if not request.by_person:
        delete = _long_drained(delete, context, request.arguments.get("drained_for", DRAINED_FOR))
        if not delete:
            raise RefusedError("would-not-help", "no deployment has been drained for long enough")
        draining = []
    limit = int(request.arguments.get("max_items", MAX_ITEMS))
    delete, draining = delete[:limit], draining[: max(limit - len(delete), 0)]
    urls = {d.id: shown(d.url) for d in survey.registered.deployments.items}
    count = f"{len(delete)} drained deployment{'' if len(delete) == 1 else 's'}"
    return Plan(
        remedy=NAME,
        target=context.target.name,
        summary=f"keep {shown(url)}, delete {count}",
        arguments={"url": url, "keep": survey.keep.id, "delete": delete, "waitFor": draining},
        rests_on={"keep": survey.keep.id},
        items=request.items,
        before={
            "deployments": urls,
            "drained": survey.in_state("drained"),
            "draining": survey.in_state("draining"),
            "skipped": dict(survey.skipped),
        },
        steps=(
            *(f"delete {i} ({urls[i]}), drained" for i in delete),
            *(f"wait up to 30s for {i} ({urls[i]}) to drain, else skip it" for i in draining),
        ),
    )


def _long_drained(ids: list[str], context: RemedyContext, drained_for: timedelta) -> list[str]:
    """Those that findings have seen drained for that long; unknown is not long enough."""
    facts = (context.findings.deployments if context.findings else None) or ()
    ages = {f.id: f.state_age for f in facts if f.state == "drained"}
    return [i for i in ids if ages.get(i, timedelta(-1)) >= drained_for]


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Read everything again, then delete one by one, each behind a narrow read of its own."""
    url = str(plan.arguments["url"])
    survey = await _drained_survey(context, url, list(plan.arguments["waitFor"]))
    if survey.keep.id != plan.rests_on["keep"]:
        raise RefusedError("changed", f"{shown(url)} is another deployment than when planned")
    outcomes: list[ItemOutcome] = []
    for deployment_id in (*plan.arguments["delete"], *plan.arguments["waitFor"]):
        state = survey.states.get(deployment_id)
        if state != "drained":
            reason = survey.skipped.get(deployment_id) or state or "gone"
            outcome = ItemOutcome(deployment_id, "skipped", f"it is {reason}")
        else:
            outcome = await _delete(context, guard, deployment_id)
        await guard.item_done(outcome)
        outcomes.append(outcome)
    deleted = [o.key for o in outcomes if o.outcome == "deleted"]
    return ActResult(
        after={
            "deleted": deleted,
            "skipped": {o.key: o.detail for o in outcomes if o.key not in deleted},
        },
        items=tuple(outcomes),
        nothing_to_do=not deleted,
        partial=0 < len(deleted) < len(outcomes),
    )


async def _drained_survey(context: RemedyContext, url: str, wait_for: list[str]) -> _Survey:
    """The second full read; a person's operation first waits a little for what is draining."""
    deadline = context.now() + DRAIN_TIMEOUT
    survey = await _survey(context, url)
    while any(survey.states.get(i) == "draining" for i in wait_for) and context.now() < deadline:
        await context.sleep(_POLL.total_seconds())
        survey = await _survey(context, url)
    return survey


async def _delete(context: RemedyContext, guard: WriteGuard, deployment_id: str) -> ItemOutcome:
    """Confirm once more, narrowly, that nothing needs it; then delete it."""
    registered = await read_registered(context)
    view = registered.deployments
    deployment = next((d for d in view.items if d.id == deployment_id), None)
    if deployment is None:
        return ItemOutcome(deployment_id, "skipped", "it is gone")
    if registered.serves_any(deployment):
        return ItemOutcome(deployment_id, "skipped", "it has become the latest for a service")
    invocations = context.api.invocations
    pinned = await invocations.active_count_pinned([deployment_id])
    unpinned = await invocations.active_unpinned(only_here(deployment, view))
    work = sum(pinned.values()) + sum(unpinned.values())
    if work:
        return ItemOutcome(deployment_id, "skipped", f"it has {work} unfinished invocations again")
    await guard.before_write(f"delete deployment {deployment_id} ({shown(deployment.url)})")
    await context.api.admin.delete_deployment(deployment_id)
    return ItemOutcome(deployment_id, "deleted", shown(deployment.url))


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """What was deleted is no longer registered."""
    del arguments
    view = report.view(Component.DEPLOYMENTS, DeploymentsView, now)
    if view is None:
        return "deployments cannot be read"
    left = sorted({d.id for d in view.items} & set(after.get("deleted", ())))
    return f"still registered: {', '.join(left)}" if left else None


CLEANUP_STALE_DEPLOYMENTS = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.DEPLOYMENTS}),
)
