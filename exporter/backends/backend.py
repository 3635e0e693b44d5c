"""What a target offers: how to probe it, and the remedies it supports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.model.component import Component
from exporter.model.findings import Findings
from exporter.model.report import Reading
from exporter.model.target import Target
from exporter.remedies.remedy import Remedy, TargetContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One target, built once for one configuration."""

    target: Target
    probe: Callable[[Iterable[Component]], Awaitable[tuple[Reading, ...]]]
    """Read these components now, concurrently; a failing one is a failed reading."""
    due_now: Callable[[frozenset[Component]], frozenset[Component]]
    """Of what the schedule wants read, what may be read now: a slow scan stretches its interval."""
    remedies: Mapping[str, Remedy]
    context: Callable[[Findings, Callable[[], datetime]], TargetContext]
    """What a remedy works with, given the newest findings and a clock."""
    refresh_secrets: Callable[[], None]
    """Read token files again (after a reload, or when a call was unauthorized)."""
