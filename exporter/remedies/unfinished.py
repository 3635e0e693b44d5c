"""Postcondition of what ends invocations: no reading lists them as unfinished any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from exporter.model.component import Component
from exporter.model.items import invocation_key
from exporter.model.report import Report
from exporter.model.views import InvocationItem, InvocationsView

UNREADABLE = "invocations cannot be read"


def keys_in(items: Iterable[InvocationItem]) -> frozenset[str]:
    """The keys of listed invocations."""
    return frozenset(invocation_key(item.id, item.created_at) for item in items)


def still_listed(keys: Iterable[str], report: Report, now: datetime) -> str | None:
    """Which of these invocations is still listed as paused, retrying or a zombie.

    Lists are cut; that each had ended was read narrowly right after the write.
    """
    view = report.view(Component.INVOCATIONS, InvocationsView, now)
    if view is None:
        return UNREADABLE
    left = sorted(keys_in((*view.paused, *view.retrying, *view.zombies)) & frozenset(keys))
    return f"still unfinished: {', '.join(left)}" if left else None


def check_ended(
    arguments: Mapping[str, Any], after: Mapping[str, Any], report: Report, now: datetime
) -> str | None:
    """A remedy's check: what it ended is unfinished nowhere."""
    del arguments
    return still_listed([*after.get("killed", ()), *after.get("cancelled", ())], report, now)
