"""Preflights that refused lately, and how long each waits before it is asked again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from exporter.model.decision import Subject
from exporter.model.errors import MedicError
from exporter.policy.world import Refusal

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=15)


class Refusals:
    """Remembers refusals by subject; each in a row waits twice as long, from 1 to 15 minutes.

    In memory only: after a restart a preflight is asked again, which only reads.
    """

    def __init__(self) -> None:
        self._known: dict[Subject, tuple[Refusal, timedelta]] = {}

    def current(self) -> dict[Subject, Refusal]:
        """What was refused, and until when it waits."""
        return {subject: refusal for subject, (refusal, _) in self._known.items()}

    def note(self, subject: Subject, error: MedicError, *, now: datetime) -> Refusal:
        """Remember one more refusal of a subject."""
        self._known = {s: r for s, r in self._known.items() if now < r[0].until + LONGEST_WAIT}
        _, last = self._known.get(subject, (None, timedelta(0)))
        wait = min(max(last * 2, FIRST_WAIT), LONGEST_WAIT)
        reason = str(getattr(error, "reason", "refused"))
        refusal = Refusal(reason=reason, detail=str(error), until=now + wait)
        self._known[subject] = (refusal, wait)
        return refusal

    def forget(self, subjects: Iterable[Subject]) -> None:
        """Forget subjects whose condition has cleared, or whose operation went through."""
        for subject in subjects:
            self._known.pop(subject, None)
