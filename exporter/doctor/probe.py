"""What a probe is, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from exporter.doctor.governor import ScanGovernor
from exporter.doctor.heart import Heart
from exporter.model.component import Component, Reason
from exporter.model.target import DEFAULT_INTERVALS, Target
from exporter.model.views import View
from exporter.model.wanted import Wanted
from exporter.restate_api import RestateApi


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """One target's API and expectations, and who keeps its scans apart. Lives as long as it does.

    Everything that reads invocations of a target must share one context, or at least ``scans``.
    """

    api: RestateApi
    target: Target
    scans: ScanGovernor = field(default_factory=ScanGovernor)
    wanted: Callable[[], Wanted] = Wanted
    """What to read beyond what is always read; asked anew by each probe."""
    heart: Heart | None = None
    """Makes the heartbeat's invocations; None where nobody wants any, or only looks."""

    def interval(self, component: Component) -> timedelta:
        """How often the component is really read: slow scans stretch their own interval."""
        wanted = self.target.intervals.get(component) or DEFAULT_INTERVALS[component]
        if component is Component.INVOCATIONS:
            return max(wanted, self.scans.pause)
        return wanted


@dataclass(frozen=True, slots=True)
class Unwell:
    """The component answered, and what it says is that it is not well."""

    view: View
    reason: Reason
    error: str


Probe = Callable[[ProbeContext], Awaitable[View | Unwell | None]]
"""Looks at one component; None when there is nothing to say about it yet.

Raises CallFailedError when it cannot be seen.
"""
