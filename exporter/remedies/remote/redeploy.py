"""force-redeploy through a remote operator API: the other side registers the worker again.

What the worker offers now is not seen from here, so a policy may only propose it
(``backends.dalp``), and a change of anything registered between plan and request refuses it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from exporter.model.component import Component
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.facts import stands_at
from exporter.model.operation import ActResult, Plan, Request
from exporter.model.redact import REDACTED
from exporter.model.report import Report
from exporter.model.target import normalise_url
from exporter.model.views import DeploymentList
from exporter.remedies.harm import refuse_url
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
from exporter.wire.operator import RedeployOverride

NAME = "force-redeploy"


async def preflight(context: RemoteContext, request: Request) -> Plan:
    """Plan the request, or refuse it. Reads only."""
    url = url_of(request, context)
    refuse_url(url, context, request)
    look = await listing(context)
    known = look.at(url)
    if known is None and REDACTED in url:
        msg = f"{shown(url)} is registered nowhere: write it with its user info"
        raise RefusedError("placeholder-url", msg)
    if known is not None and not request.by_person:
        _refuse_useless(url, look, context)
    sent = sendable(url, known)
    force = bool(request.arguments.get("force", True))
    allow = sorted(request.allow & set(get_args(RedeployOverride)))
    return Plan(
        remedy=NAME,
        target=context.target.name,
        summary=f"ask {context.api.base_url} to register {shown(url)}{' again' if known else ''}",
        arguments={"url": sent, "force": force, "why": why_of(request)},
        rests_on=look.rests_on,
        items=request.items,
        before={"deploymentId": known.id if known else None, **look.before},
        steps=(
            f"ask {context.api.base_url} to register {shown(sent)}{' (force)' if force else ''}",
            "  what the worker offers now is not known here: the other side has no dry-run",
        ),
        allowed=tuple(allow),
    )


def _refuse_useless(url: str, look: Listing, context: RemoteContext) -> None:
    """Nothing that is seen from here would change when everything expected is registered."""
    worker = next((w for w in context.target.workers if w.url == url), None)
    expected = context.target.expected_of(worker) if worker else frozenset[str]()
    if expected <= look.services.names:
        msg = f"{shown(url)} is registered, and so is every service that is expected of it"
        raise RefusedError("would-not-help", msg)


async def act(context: RemoteContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Look again, then ask."""
    url = str(plan.arguments["url"])
    if (await listing(context)).rests_on != plan.rests_on:
        raise RefusedError("changed", "what is registered changed after the plan was made")
    await guard.before_write(f"ask {context.api.base_url} to register {shown(url)}")
    answer = await context.api.force_redeploy(
        url, force=plan.arguments["force"], allow=plan.allowed, why=plan.arguments["why"]
    )
    after = told_after(answer)
    if answer.deployment_id is None:  # it was not seen to be registered, so no id was told
        with contextlib.suppress(CallFailedError):
            found = (await listing(context)).at(normalise_url(url))
            after |= {"deploymentId": found.id} if found else {}
    return ActResult(after=after)


def check(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """The deployment that the other side named is listed; or one at the URL, if it named none."""
    view = report.view(Component.DEPLOYMENTS, DeploymentList, now)
    if view is None:
        return "deployments cannot be read"
    wanted = after.get("deploymentId")
    if wanted is not None:
        found = any(d.id == wanted for d in view.items)
        return None if found else f"deployment {wanted} is not registered"
    url = str(arguments["url"])
    if any(stands_at(d.url, url) or d.url == url for d in view.items):
        return None
    return f"no deployment is registered at {shown(url)}"


REMOTE_REDEPLOY = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.DEPLOYMENTS, Component.SERVICES}),
)
