"""Service settings made with ``PATCH /services``, carried over a registration that resets them.

Live on 1.6.2 and 1.7.12: a forced registration puts ``public``, retentions and timeouts back to
what the worker's code declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from exporter.model.errors import CallFailedError
from exporter.remedies.remedy import RemedyContext, WriteGuard
from exporter.restate_api import ServiceDetails

Settings: TypeAlias = Mapping[str, str | bool]
_OF_WORKFLOWS_ONLY = frozenset({"workflow_completion_retention"})
"""The server refuses it for other types, and the type may have changed (``change-type``)."""


async def read_settings(context: RemedyContext, names: Iterable[str]) -> dict[str, Settings]:
    """The settings of each of these services that is registered now."""
    found = {name: await context.api.admin.get_service(name) for name in names}
    return {name: details.settings for name, details in found.items() if details is not None}


async def restore(
    context: RemedyContext, guard: WriteGuard, before: Mapping[str, Settings]
) -> dict[str, Any]:
    """Put back what the registration changed, service by service; returns what was put back.

    A setting that the worker's code now declares differently cannot be told from an override that
    was reset; keeping what was in force is the side that changes nothing behind a person's back.
    All services are tried; CallFailedError names those that are not as they were.
    """
    kept: dict[str, Any] = {}
    failed: dict[str, CallFailedError] = {}
    for name, settings in before.items():
        try:
            lost = _lost(settings, await context.api.admin.get_service(name))
            if lost:
                await guard.before_write(f"put back {', '.join(sorted(lost))} of service {name}")
                await context.api.admin.patch_service(name, lost)
                kept[name] = lost
        except CallFailedError as error:
            failed[name] = error
    if failed:
        raise _not_restored(failed)
    return kept


def _lost(before: Settings, details: ServiceDetails | None) -> dict[str, str | bool]:
    if details is None:
        return {}
    gone = frozenset() if details.service.shape.type == "workflow" else _OF_WORKFLOWS_ONLY
    return {k: v for k, v in before.items() if k not in gone and details.settings.get(k) != v}


def _not_restored(failed: Mapping[str, CallFailedError]) -> CallFailedError:
    """One error for all; of unknown outcome when any of them is."""
    error = max(failed.values(), key=lambda e: e.outcome_unknown)
    names = ", ".join(sorted(failed))
    return CallFailedError(
        error.reason,
        f"it was registered, but the settings of {names} may not be as they were: {error}",
        http_status=error.http_status,
        retry_after=error.retry_after,
        sent=error.sent,
        code=error.code,
    )
