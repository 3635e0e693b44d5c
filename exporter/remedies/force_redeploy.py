"""force-redeploy: register a worker again, so that what it offers now is what Restate routes to.

A forced registration drops services the endpoint no longer lists, wipes headers, metadata and
auth, resets service overrides and pulls all new traffic to its URL (restate-facts, Deployments,
each seen live). The preflight refuses what would hurt (``harm``); the act keeps the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component
from exporter.model.drift import Drift, compare
from exporter.model.duration import format_duration
from exporter.model.errors import CallFailedError, MedicError, RefusedError
from exporter.model.operation import ActResult, Plan, Request
from exporter.model.report import Report
from exporter.model.views import DeploymentsView, IngressView, ServicesView
from exporter.remedies.harm import refuse_harm, refuse_url, refuse_useless
from exporter.remedies.look import Look, look_at
from exporter.remedies.overrides import read_settings, restore
from exporter.remedies.registered import shown, url_of
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.restate_api import Discovered

NAME = "force-redeploy"
_STABLE_FOR = timedelta(seconds=30)


class AnswerDiffersError(MedicError):
    """What was registered is not what the dry run showed: somebody changed the worker meanwhile."""


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan a registration, or refuse it. Reads only; policies wait ``stable_for`` in between."""
    url = url_of(request, context)
    force = bool(request.arguments.get("force", True))
    refuse_url(url, context, request)
    look = await look_at(context, url)
    allowed = refuse_harm(look, request)
    if not request.by_person:
        refuse_useless(look, context, request)
        stable_for: timedelta = request.arguments.get("stable_for", _STABLE_FOR)
        await context.sleep(stable_for.total_seconds())
        again = await look_at(context, url)
        if again.rests_on != look.rests_on:
            after = format_duration(stable_for)
            msg = f"{shown(url)} or its registration changed within {after}: a rollout is under way"
            raise RefusedError("unstable", msg)
    return Plan(
        remedy=NAME,
        target=context.target.name,
        summary=f"register {shown(url)} again" if look.known else f"register {shown(url)}",
        arguments={"url": url, "force": force},
        rests_on=look.rests_on,
        items=request.items,
        before={
            "deploymentId": look.known.id if look.known else None,
            "drift": look.drift.as_json(),
            "revisions": {s.name: s.revision for s in look.registered.services.items},
        },
        steps=_steps(look, force=force),
        allowed=allowed,
    )


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Read again, register, and put back the overrides that the registration reset."""
    url, force = str(plan.arguments["url"]), bool(plan.arguments.get("force", True))
    look = await look_at(context, url)
    if look.rests_on != plan.rests_on:
        msg = f"{shown(url)} or its registration changed after the plan was made"
        raise RefusedError("changed", msg)
    overrides = await read_settings(context, look.names)
    await guard.before_write(f"register {shown(url)}")
    try:
        answer = await context.api.admin.register(look.registration, force=force)
    except CallFailedError as error:
        if error.outcome_unknown:
            # It may have been registered all the same, and a private service be public now.
            with contextlib.suppress(CallFailedError):
                await restore(context, guard, overrides)
        raise
    kept = await restore(context, guard, overrides)
    if force:
        _compare_with_dry_run(look, answer)
    return ActResult(
        after={
            "deploymentId": answer.deployment_id,
            "services": sorted(s.name for s in answer.shapes),
            "overridesKept": kept,
        }
    )


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """All services are registered under the deployment, and the public ones show at the ingress."""
    del arguments
    deployments = report.view(Component.DEPLOYMENTS, DeploymentsView, now)
    services = report.view(Component.SERVICES, ServicesView, now)
    ingress = report.view(Component.INGRESS, IngressView, now)
    if deployments is None or services is None or ingress is None or ingress.services is None:
        return "deployments, services or ingress cannot be read"
    deployment_id = after.get("deploymentId")
    if all(d.id != deployment_id for d in deployments.items):
        return f"deployment {deployment_id} is not registered"
    for name in after.get("services", ()):
        service = services.get(name)
        if service is None or service.deployment_id != deployment_id:
            return f"service {name} is not served by deployment {deployment_id}"
        if service.public and name not in ingress.services:
            return f"the ingress does not list service {name}"
    return None


def _compare_with_dry_run(look: Look, answer: Discovered) -> None:
    changed = _changes(compare(answer.shapes, look.offered))
    if look.known is not None and look.known.id != answer.deployment_id:
        changed.append(f"is not {look.known.id} any more")
    if changed:
        msg = (
            f"{shown(look.url)} was registered as {answer.deployment_id}, but its dry run showed"
            f" something else just before: what was registered {'; '.join(changed)}"
        )
        raise AnswerDiffersError(msg)


def _steps(look: Look, *, force: bool) -> tuple[str, ...]:
    how = "(force), keeping headers, metadata and auth" if force else "(unless it is known)"
    taken = [f"  takes {name} from {holder}" for name, holder in sorted(look.taken.items())]
    return (
        f"register {shown(look.url)} {how}",
        *(f"  {change}" for change in _changes(look.drift)),
        *taken,
        "put back service settings that the registration resets, if any",
    )


def _changes(drift: Drift) -> list[str]:
    """What a registration changes, in words."""
    named = (
        ("adds", drift.added),
        ("drops", drift.dropped),
        ("changes", drift.changed),
        ("changes the type of", drift.type_changed),
    )
    return [f"{what} {', '.join(names)}" for what, names in named if names]


FORCE_REDEPLOY = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.INGRESS, Component.DEPLOYMENTS, Component.SERVICES}),
)
