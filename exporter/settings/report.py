"""The section ``report``: which notifier hears each day what the night was like, and when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from exporter.policy.fields import ClockTime, Zone
from exporter.policy.words import did_you_mean, listing
from exporter.settings.fields import Duration, Kind, problem
from exporter.settings.secrets import Section


class ReportSettings(Section):
    """Once a day, by the clock on the wall of a time zone."""

    notifier: str
    """One of ``notifiers``."""
    at: Annotated[ClockTime, Kind("time of day, as `07:00`")] = "07:00"
    """What the clock shows when it is due."""
    timezone: Annotated[Zone, Kind("IANA time zone, as `Europe/Berlin`")] = "UTC"
    """Whose clock."""
    since: Duration = timedelta(hours=24)
    """How far it reaches back, at least to the last one."""

    @property
    def time(self) -> time:
        """What the clock shows when it is due."""
        return time.fromisoformat(self.at)

    @property
    def zone(self) -> ZoneInfo:
        """Whose clock."""
        return ZoneInfo(self.timezone)

    def refuse_unknown(self, notifiers: Iterable[str]) -> None:
        """A problem at ``notifier`` unless it is one of these."""
        names = sorted(notifiers)
        if self.notifier not in names:
            hint = did_you_mean(self.notifier, names)
            write = f"write {listing(names)}" if names else "write notifiers, with one of this name"
            raise problem(("notifier",), f"there is no notifier {self.notifier!r}{hint}; {write}")
