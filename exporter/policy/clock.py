"""Notices that somebody set the wall clock, which every limit and cooldown is counted by.

The boot clock runs on, whatever happens to the wall clock, a suspended machine included. Pure:
both clocks are read by whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.model.duration import format_duration

TOLERANCE = timedelta(seconds=5)
"""Slewing moves a clock by less than a millisecond a second: what differs more was set."""
HOLD = timedelta(minutes=5)
"""Long enough for several readings of everything, and for whoever sets clocks to be done."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The clock was set a short while ago: what was measured across that moment is wrong."""

    sentence: str
    until: datetime


class ClockWatch:
    """Compares the two clocks at each look. One for the whole process."""

    def __init__(self, *, tolerance: timedelta = TOLERANCE, hold: timedelta = HOLD) -> None:
        self._tolerance = tolerance
        self._hold = hold
        self._last: tuple[datetime, float] | None = None
        self._calm_at = 0.0
        self._sentence = ""
        self.jumps = 0
        """How often the clock was set so far."""

    def recall(self, suspicion: Suspicion, wall: datetime, boot_seconds: float) -> None:
        """Take over what an earlier look told."""
        self._sentence = suspicion.sentence
        self._calm_at = boot_seconds + (suspicion.until - wall).total_seconds()
        self.jumps += 1

    def look(self, wall: datetime, boot_seconds: float) -> Suspicion | None:
        """Compare with the last look; a jump is suspect for a while, by the boot clock."""
        if self._last is not None:
            then, boot_then = self._last
            jump = (wall - then) - timedelta(seconds=boot_seconds - boot_then)
            if abs(jump) > self._tolerance:
                way = "back" if jump < timedelta(0) else "forward"
                self._sentence = f"the clock was set {way} by {format_duration(abs(jump))}"
                self._calm_at = boot_seconds + self._hold.total_seconds()
                self.jumps += 1
        self._last = (wall, boot_seconds)
        left = self._calm_at - boot_seconds
        if not self.jumps or left <= 0:
            return None
        return Suspicion(self._sentence, wall + timedelta(seconds=left))
