"""What a probe is, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from exporter.doctor.governor import ScanGovernor
from exporter.model.component import Component
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

    def interval(self, component: Component) -> timedelta:
        """How often the component is really read: slow scans stretch their own interval."""
        wanted = self.target.intervals.get(component, DEFAULT_INTERVALS[component])
        if component is Component.INVOCATIONS:
            return max(wanted, self.scans.pause)
        return wanted


Probe = Callable[[ProbeContext], Awaitable[View]]
"""Looks at one component. Raises CallFailedError when it cannot be seen."""
