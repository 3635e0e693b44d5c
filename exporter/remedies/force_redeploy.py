"""force-redeploy: register a worker again, so that what it offers now is what Restate routes to.

A forced registration drops services the endpoint no longer lists, wipes headers, metadata and
auth, resets service overrides and pulls all new traffic to its URL (restate-facts, Deployments,
each seen live). The preflight refuses what would hurt; the act keeps the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exporter.model.component import Component
from exporter.model.drift import Drift, compare, fingerprint
from exporter.model.errors import MedicError, RefusedError
from exporter.model.operation import ActResult, Plan, Request
from exporter.model.report import Report
from exporter.model.target import is_placeholder
from exporter.model.views import (
    Deployment,
    DeploymentsView,
    IngressView,
    ServiceShape,
    ServicesView,
)
from exporter.remedies.registered import Registered, read_registered, shown, url_of
from exporter.remedies.remedy import Remedy, RemedyContext, WriteGuard
from exporter.restate_api import Registration

NAME = "force-redeploy"
_STABLE_FOR = timedelta(seconds=30)


class AnswerDiffersError(MedicError):
    """What was registered is not what the dry run showed: somebody changed the worker meanwhile."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The worker and its registration, read together."""

    url: str
    registered: Registered
    known: Deployment | None
    registration: Registration
    offered: tuple[ServiceShape, ...]
    before: tuple[ServiceShape, ...]

    @property
    def drift(self) -> Drift:
        return compare(self.offered, self.before)

    @property
    def rests_on(self) -> dict[str, Any]:
        """What must still be so right before the write."""
        return {
            "offered": fingerprint(self.offered),
            "deploymentId": self.known.id if self.known else None,
            "latest": self.registered.latest(self.known) if self.known else None,
        }


async def _look(context: RemedyContext, url: str) -> _Look:
    registered = await read_registered(context)
    known = registered.at(url)
    registration = Registration.of(url)
    before: tuple[ServiceShape, ...] = ()
    if known is not None:
        whole = await context.api.admin.deployment(known.id)
        if whole is None:
            raise RefusedError("changed", f"deployment {known.id} was removed just now")
        registration, before = whole.registration, whole.shapes
    offered = (await context.api.admin.dry_run(registration)).shapes
    if known is None:
        # A new URL takes over only the services it offers: compare with those of the same name.
        names = {s.name for s in offered}
        before = tuple(s.shape for s in registered.services.items if s.name in names)
    return _Look(url, registered, known, registration, offered, before)


async def preflight(context: RemedyContext, request: Request) -> Plan:
    """Plan a registration, or refuse it. Reads only; policies wait ``stable_for`` in between."""
    url = url_of(request, context)
    force = bool(request.arguments.get("force", True))
    allowed: list[str] = []
    _refuse_url(url, context, request)
    look = await _look(context, url)
    _refuse_harm(look, context, request, allowed)
    if not request.by_person:
        _refuse_useless(look, context, request)
        stable_for = request.arguments.get("stable_for", _STABLE_FOR)
        await context.sleep(stable_for.total_seconds())
        again = await _look(context, url)
        if again.rests_on != look.rests_on:
            msg = f"{shown(url)} answered differently {stable_for} later: a rollout is under way"
            raise RefusedError("unstable", msg)
        look = again
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
        steps=_steps(look),
        allowed=tuple(allowed),
    )


async def act(context: RemedyContext, plan: Plan, guard: WriteGuard) -> ActResult:
    """Read again, register, and put back the overrides that the registration reset."""
    url = str(plan.arguments["url"])
    look = await _look(context, url)
    if look.rests_on != plan.rests_on:
        msg = f"{shown(url)} or its registration changed after the plan was made"
        raise RefusedError("changed", msg)
    names = sorted({s.name for s in look.offered} | {s.name for s in look.before})
    overrides = await _settings(context, names)
    await guard.before_write(f"register {shown(url)}")
    answer = await context.api.admin.register(
        look.registration, force=bool(plan.arguments.get("force", True))
    )
    kept = await _restore(context, guard, overrides)
    if plan.arguments.get("force", True) and fingerprint(answer.shapes) != fingerprint(
        look.offered
    ):
        msg = f"{shown(url)} was registered with other services than its dry run showed"
        raise AnswerDiffersError(msg)
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
    if deployments is None or services is None or ingress is None:
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


def _refuse_url(url: str, context: RemedyContext, request: Request) -> None:
    if is_placeholder(url):
        raise RefusedError("placeholder-url", f"{shown(url)} is a placeholder")
    listed = {w.url for w in context.target.workers} | context.allowed_urls
    if not request.by_person and url not in listed:
        msg = f"{shown(url)} is neither a worker of the target nor in allowed_service_urls"
        raise RefusedError("unlisted-url", msg)


def _refuse_harm(look: _Look, context: RemedyContext, request: Request, allowed: list[str]) -> None:
    """Refuse what would hurt, unless a person named it."""

    def refuse(reason: str, message: str, override: str) -> None:
        if override in request.allow:
            allowed.append(override)
        else:
            raise RefusedError(reason, message, override=override)

    url = shown(look.url)
    if look.known is not None:
        if look.registered.foreign(look.known, context.target):
            refuse("foreign", f"{url} is a deployment that is not ours", "foreign")
        if not look.registered.latest(look.known):
            msg = f"{url} is not the latest deployment of its services: it would pull traffic back"
            refuse("not-latest", msg, "rollback")
    if look.drift.dropped:
        msg = f"{url} no longer offers {', '.join(look.drift.dropped)}"
        refuse("drop-service", msg, "drop-service")
    if look.drift.type_changed:
        msg = f"{url} offers another type of {', '.join(look.drift.type_changed)}"
        refuse("change-type", msg, "change-type")


def _refuse_useless(look: _Look, context: RemedyContext, request: Request) -> None:
    """A policy must not register for nothing, nor when what is missing is not offered at all."""
    url = shown(look.url)
    if look.known is not None and not look.drift.any:
        msg = f"{url} offers exactly what is registered"
        raise RefusedError("would-not-help", msg)
    worker = next((w for w in context.target.workers if w.url == look.url), None)
    if worker is None:
        return
    registered = {s.name for s in look.registered.services.items}
    missing = context.target.expected_of(worker) - registered
    asked = request.item_values.get("item.missing") or request.values.get("services.missing")
    if asked and missing and not missing & {s.name for s in look.offered}:
        msg = f"{url} does not offer {', '.join(sorted(missing))}"
        raise RefusedError("would-not-help", msg)


def _steps(look: _Look) -> tuple[str, ...]:
    drift = look.drift
    steps = [f"register {shown(look.url)} (force), keeping headers, metadata and auth"]
    for what, names in (
        ("adds", drift.added),
        ("drops", drift.dropped),
        ("changes", drift.changed),
        ("changes the type of", drift.type_changed),
    ):
        if names:
            steps.append(f"  {what} {', '.join(names)}")
    steps.append("put back service settings that the registration resets, if any")
    return tuple(steps)


async def _settings(
    context: RemedyContext, names: list[str]
) -> dict[str, Mapping[str, str | bool]]:
    """The settings of each service that is registered now."""
    found = {name: await context.api.admin.get_service(name) for name in names}
    return {name: details.settings for name, details in found.items() if details is not None}


async def _restore(
    context: RemedyContext, guard: WriteGuard, before: dict[str, Mapping[str, str | bool]]
) -> dict[str, Any]:
    """Put back what the registration changed, service by service; returns what was put back.

    A setting that the worker's code now declares differently cannot be told from an override that
    was reset; keeping what was in force is the side that changes nothing behind a person's back.
    """
    kept: dict[str, Any] = {}
    for name, settings in before.items():
        now = await context.api.admin.get_service(name)
        if now is None:
            continue
        lost = {k: v for k, v in settings.items() if now.settings.get(k) != v}
        if lost:
            step = f"put back {', '.join(sorted(lost))} of service {name}"
            await guard.before_write(step, completes=True)
            await context.api.admin.patch_service(name, lost)
            kept[name] = lost
    return kept


FORCE_REDEPLOY = Remedy(
    name=NAME,
    preflight=preflight,
    act=act,
    check=check,
    components=frozenset({Component.INGRESS, Component.DEPLOYMENTS, Component.SERVICES}),
)
