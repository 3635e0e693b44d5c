"""Readings and the report that holds the newest of each component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from exporter.model.component import Component, Reason, Status
from exporter.model.views import View

STALE_AFTER_INTERVALS = 3
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Reading:
    """One component, probed once. ``view`` is what is known, so it is present when it is ok.

    Without one nothing is known. With one a reading may still not be ok: what was seen is that the
    component is not well (a heartbeat that is late, partitions that are blocked).
    """

    component: Component
    status: Status
    started_at: datetime
    finished_at: datetime
    interval: timedelta
    """How often this component is read; after three of these the reading counts as unknown."""
    latency_seconds: float | None = None
    """How long the answer took; None when there was none."""
    reason: Reason | None = None
    error: str | None = None
    """A sentence for people, scrubbed of secrets; None when ok."""
    view: View | None = None
    retry_after: timedelta | None = None
    """How long a throttling server asked us to wait."""

    def age(self, now: datetime) -> timedelta:
        """How long ago the probe began (what it saw is at least that old)."""
        return now - self.started_at

    def fresh(self, now: datetime) -> bool:
        """False when too old to rely on, or from the future (a clock that was set back)."""
        return -self.interval <= self.age(now) <= STALE_AFTER_INTERVALS * self.interval


@dataclass(frozen=True, slots=True)
class Seen:
    """Since when something has looked the same, and on how many distinct readings."""

    value: str
    since: datetime
    last: datetime
    readings: int = 1

    def again(self, value: str, at: datetime) -> Seen:
        """This memory after one more reading, begun at ``at``."""
        if value != self.value:
            return Seen(value, at, at)
        if at <= self.last:
            return self
        return Seen(value, self.since, at, self.readings + 1)


@dataclass(frozen=True, slots=True)
class Carried:
    """What outlives a reading: how long each deployment has been in its state, each answer stable.

    Lost on restart, on purpose: waiting again is safe.
    """

    states: Mapping[str, Seen] = field(default_factory=dict)
    """By deployment id; the value is the deployment's state."""
    discoveries: Mapping[str, Seen] = field(default_factory=dict)
    """By URL; the value is the discovery's fingerprint."""


@dataclass(frozen=True, slots=True)
class Report:
    """The newest reading of each component of one target."""

    target: str
    readings: Mapping[Component, Reading] = field(default_factory=dict)
    carried: Carried = field(default_factory=Carried)

    def status(self, component: Component, now: datetime) -> Status:
        """The component's status now: ``unknown`` when never read or stale."""
        reading = self.readings.get(component)
        if reading is None or not reading.fresh(now):
            return Status.UNKNOWN
        return reading.status

    def view(self, component: Component, kind: type[_V], now: datetime) -> _V | None:
        """What the component's reading saw, if it is fresh and saw it; otherwise None: unknown."""
        reading = self.readings.get(component)
        if reading is None or not reading.fresh(now):
            return None
        return reading.view if isinstance(reading.view, kind) else None

    def begun_since(self, component: Component, moment: datetime) -> bool:
        """Whether the component was read by a probe that began after ``moment``."""
        reading = self.readings.get(component)
        return reading is not None and reading.started_at > moment
