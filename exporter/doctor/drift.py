"""Drift: what each endpoint offers now, beside what is registered.

A dry-run discovery is the exact test for the registration gotcha, and the only one for "is its
endpoint alive" (restate-facts, Deployments). One endpoint that fails is a fact about it; only a
failing admin API fails the probe.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from exporter.doctor.probe import ProbeContext
from exporter.model.deployments import is_protected
from exporter.model.facts import is_latest
from exporter.model.target import normalise_url
from exporter.model.views import Deployment, Discovery, DriftView, ServicesView
from exporter.restate_api import Admin, DiscoveryFailedError, Registration

AT_ONCE: Final = 4
BUDGET_SECONDS: Final = 180.0
"""Endpoints whose turn comes later are unknown: many silent ones must not hide the rest."""


async def probe(context: ProbeContext) -> DriftView:
    """Discover each worker, and each registered deployment that is not protected."""
    admin, target = context.api.admin, context.target
    deployments = (await admin.deployments()).items
    round_ = _Round(admin, await admin.services())
    workers = {worker.url for worker in target.workers}
    registered = {normalise_url(d.url) for d in deployments}
    subjects: list[Deployment | str] = [
        d
        for d in deployments
        if normalise_url(d.url) in workers or not is_protected(d.metadata, target)
    ]
    subjects += sorted(workers - registered)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(round_.discover(subject)) for subject in subjects]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return DriftView(tuple(found for task in tasks if (found := task.result()) is not None))


class _Round:
    """One round of discoveries, a few at a time, over one reading of ``/services``."""

    def __init__(self, admin: Admin, services: ServicesView) -> None:
        self._admin = admin
        self._services = services
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._until = asyncio.get_running_loop().time() + BUDGET_SECONDS

    async def discover(self, subject: Deployment | str) -> Discovery | None:
        """Discover a registered deployment or an unregistered URL; None if it has vanished."""
        async with self._slots:
            if isinstance(subject, str):
                return await self._unregistered(subject)
            return await self._registered(subject)

    async def _unregistered(self, url: str) -> Discovery:
        registration = Registration.of(url)
        found = Discovery(url, registration.kind, "unknown", deployment_id=None, latest=False)
        found = await self._dry_run(registration, found)
        same_names = (self._services.get(shape.name) for shape in found.discovered)
        return replace(found, registered=tuple(s.shape for s in same_names if s is not None))

    async def _registered(self, deployment: Deployment) -> Discovery | None:
        whole = await self._admin.deployment(deployment.id)
        if whole is None:
            return None
        found = Discovery(
            url=normalise_url(deployment.url),
            kind=deployment.kind,
            reachable="unknown",
            deployment_id=deployment.id,
            latest=is_latest(deployment.id, deployment.services, self._services),
            registered=whole.shapes,
        )
        return await self._dry_run(whole.registration, found)

    async def _dry_run(self, registration: Registration, found: Discovery) -> Discovery:
        if asyncio.get_running_loop().time() > self._until:
            return replace(found, error="not tried: earlier discoveries took too long")
        try:
            answer = await self._admin.dry_run(registration)
        except DiscoveryFailedError as error:
            return replace(found, reachable=error.reachable, error=str(error))
        return replace(found, reachable="yes", discovered=answer.shapes)
