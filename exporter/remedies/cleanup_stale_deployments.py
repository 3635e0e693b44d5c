"""cleanup-stale-deployments: keep one deployment, delete those it replaced once they are drained.

There is no drain call: draining is waiting until nothing unfinished is pinned. Deleting earlier
leaves zombies, and deleting what is latest for a service makes it vanish (restate-facts). So a
deployment goes only after two full reads agree that it is drained and a narrow one right before
says so again. What still has work is skipped and recorded, and nothing is ever killed, except
where a person asked for a forced drain of a dead endpoint (``force_drain``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component
from exporter.model.deployments import only_here
from exporter.model.duration import format_duration
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.operation import ActResult, ItemOutcome, Plan, Request
from exporter.model.report import Report
from exporter.model.views import Deployment, DeploymentsView
from exporter.remedies.batch import UnconfirmedError
from exporter.remedies.force_drain import doomed_steps, doomed_work, drain
from exporter.remedies.registered import read_registered, shown, url_of
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.remedies.survey import Survey, survey_around, untouchable

NAME = "cleanup-stale-deployments"
DRAINED_FOR = timedelta(hours=24)
MAX_ITEMS = 10
DRAIN_TIMEOUT = timedelta(seconds=30)
_POLL = timedelta(seconds=2)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan which deployments to delete. Reads only; a policy with nothing to delete is refused."""
    url = url_of(request, context)
    survey = await survey_around(context, url)
    delete = survey.in_state("drained")
    doomed = await doomed_work(context, request, survey)
    draining = [i for i in survey.in_state("draining") if i not in doomed]
    if not request.by_person:
        delete = _long_drained(delete, context, request.arguments.get("drained_for", DRAINED_FOR))
        if not delete and not doomed:
            raise RefusedError("would-not-help", "no deployment has been drained for long enough")
        draining = []
    limit = int(request.arguments.get("max_items", MAX_ITEMS))
    delete, draining = delete[:limit], draining[: max(limit - len(delete), 0)]
    patience: timedelta = request.arguments.get("drain_timeout", DRAIN_TIMEOUT)
    wait = format_duration(patience)
    urls = {d.id: shown(d.url) for d in survey.registered.deployments.items}
    count = _count(len(delete), "drained deployment")
    if doomed:
        killed = _count(sum(map(len, doomed.values())), "invocation")
        count += f" and {_count(len(doomed), 'dead one')}, killing {killed}"
    return Plan(
        remedy=NAME,
        target=context.target.name,
        summary=f"keep {shown(url)}, delete {count}",
        arguments={
            "url": url,
            "keep": survey.keep.id,
            "delete": delete,
            "waitFor": draining,
            "kill": dict(doomed),
            "waitSeconds": patience.total_seconds() if draining else 0,
        },
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
            *doomed_steps(doomed, urls),
            *(f"wait up to {wait} for {i} ({urls[i]}) to drain, else skip it" for i in draining),
        ),
    )


def _long_drained(ids: list[str], context: RemedyContext, drained_for: timedelta) -> list[str]:
    """Those that findings have seen drained for that long; unknown is not long enough."""
    facts = (context.findings.deployments if context.findings else None) or ()
    ages = {f.id: f.state_age for f in facts if f.state == "drained"}
    return [i for i in ids if i in ages and ages[i] >= drained_for]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Read everything again, then delete one by one, each behind a narrow read of its own."""
    survey = await _second_survey(context, plan)
    outcomes: list[ItemOutcome] = []
    for deployment_id in (*plan.arguments["delete"], *plan.arguments["waitFor"]):
        state = survey.states.get(deployment_id)
        if state == "drained":
            outcome = await _delete(context, guard, survey.keep, deployment_id)
        else:
            reason = survey.skipped.get(deployment_id) or state or "gone"
            outcome = ItemOutcome(deployment_id, "skipped", f"it is {reason}")
        await guard.item_done(outcome)
        outcomes.append(outcome)
    killed: list[str] = []
    for deployment_id, keys in plan.arguments.get("kill", {}).items():
        done, outcome = await _force(context, guard, survey, deployment_id, list(keys))
        await guard.item_done(outcome)
        outcomes.append(outcome)
        killed += done
    deleted = [o.key for o in outcomes if o.outcome == "deleted"]
    return ActResult(
        after={
            "deleted": deleted,
            "skipped": {o.key: o.detail for o in outcomes if o.key not in deleted},
            "killed": killed,
        },
        items=tuple(outcomes),
        nothing_to_do=not deleted and not killed,
        partial=bool(deleted or killed) and len(deleted) < len(outcomes),
    )


async def _force(
    context: RemedyContext, guard: WriteGuard, survey: Survey, deployment_id: str, keys: list[str]
) -> tuple[list[str], ItemOutcome]:
    """Kill what is listed, then delete as ever. What was killed, and what became of it."""
    if survey.states.get(deployment_id) not in {"draining", "drained"}:
        reason = survey.skipped.get(deployment_id) or "gone"
        return [], ItemOutcome(deployment_id, "skipped", f"it is {reason}")
    killed, why_not = await drain(context, guard, survey, deployment_id, keys)
    if why_not is not None:
        return killed, ItemOutcome(deployment_id, "skipped", why_not)
    return killed, await _delete(context, guard, survey.keep, deployment_id)


async def _second_survey(context: RemedyContext, plan: Plan) -> Survey:
    """The second full read; a person's operation first waits a little for what is draining."""
    url, wait_for = str(plan.arguments["url"]), plan.arguments["waitFor"]
    deadline = context.now() + timedelta(seconds=plan.arguments["waitSeconds"])
    while True:
        survey = await survey_around(context, url)
        if survey.keep.id != plan.rests_on["keep"]:
            msg = f"{shown(url)} is another deployment than when planned"
            raise RefusedError("changed", msg)
        rest = (deadline - context.now()).total_seconds()
        if rest <= 0 or all(survey.states.get(i) != "draining" for i in wait_for):
            return survey
        await context.sleep(min(rest, _POLL.total_seconds()))


async def _delete(
    context: RemedyContext, guard: WriteGuard, keep: Deployment, deployment_id: str
) -> ItemOutcome:
    """Confirm once more, narrowly, that nothing needs it; then delete it."""
    try:
        deployment, why_not = await _confirm(context, keep, deployment_id)
    except CallFailedError as error:
        # Only a read: it must not make the outcome of the writes before it look unknown.
        raise UnconfirmedError(f"{deployment_id} could not be confirmed as drained: {error}") from (
            error
        )
    if deployment is None or why_not is not None:
        return ItemOutcome(deployment_id, "skipped", why_not or "it is gone")
    await guard.before_write(f"delete deployment {deployment_id} ({shown(deployment.url)})")
    try:
        await context.api.admin.delete_deployment(deployment_id)
    except CallFailedError as error:
        word = "indeterminate" if error.outcome_unknown else "failed"
        await guard.item_done(ItemOutcome(deployment_id, word, str(error)))
        raise
    return ItemOutcome(deployment_id, "deleted", shown(deployment.url))


async def _confirm(
    context: RemedyContext, keep: Deployment, deployment_id: str
) -> tuple[Deployment | None, str | None]:
    """The deployment as it is now (None: gone), and why it must stay after all."""
    registered = await read_registered(context)
    deployment = registered.get(deployment_id)
    if deployment is None:
        return None, None
    kept = registered.get(keep.id)
    if kept is None or not registered.latest(kept):
        return deployment, f"{keep.id}, which was to be kept, is not the latest any more"
    reason = untouchable(deployment, registered, kept, context.target)
    if reason is not None:
        return deployment, f"it is {reason}"
    invocations, view = context.api.invocations, registered.deployments
    pinned = await invocations.active_count_pinned([deployment_id])
    unpinned = await invocations.active_unpinned(only_here(deployment, view))
    work = sum(pinned.values()) + sum(unpinned.values())
    return deployment, f"it has {work} unfinished invocations again" if work else None


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
