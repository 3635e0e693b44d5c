"""What is known of a request before anything is written: its remedy, its context, its plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.model.derive import derive
from exporter.model.errors import RefusedError
from exporter.model.operation import Plan, Request

if TYPE_CHECKING:
    from exporter.backends.backend import Backend
    from exporter.fleet import Fleet
    from exporter.remedies.remedy import Remedy, TargetContext


async def preview(
    request: Request, backend: Backend, *, fleet: Fleet, now: Callable[[], datetime]
) -> Plan:
    """The plan a request would carry out: reads only (``--dry-run``)."""
    context = context_of(backend, fleet, now)
    return await remedy_of(backend, request.remedy).preflight(context, request)


def remedy_of(backend: Backend, name: str) -> Remedy:
    """The remedy of that name; RefusedError when the target does not support it."""
    remedy = backend.remedies.get(name)
    if remedy is None:
        msg = f"target {backend.target.name} cannot {name}"
        raise RefusedError("remedy-unsupported", msg)
    return remedy


def context_of(backend: Backend, fleet: Fleet, now: Callable[[], datetime]) -> TargetContext:
    """What a remedy works with, the newest findings included."""
    findings = derive(fleet.report(backend.target.name), backend.target, now=now())
    return backend.context(findings, now)
