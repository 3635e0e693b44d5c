"""From recorded changes of decisions to spans of time: what was wrong, and what held whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exporter.ledger.decided import DecisionRecord
from exporter.model.decision import Result, Subject
from exporter.model.hold import HoldReason

_KNOWN = frozenset(list(HoldReason)[list(HoldReason).index(HoldReason.PENDING) :])
"""Gates that are asked only once the condition is known to be true."""


@dataclass(frozen=True, slots=True)
class Word:
    """One decision that stood for a while. ``until`` None: it still does."""

    record: DecisionRecord
    until: datetime | None

    @property
    def known(self) -> bool:
        """Whether the condition was true, and not only unknown."""
        return self.record.result == Result.ACT or self.record.reason in _KNOWN

    def within(self, since: datetime, now: datetime) -> timedelta:
        """How long it stood between the two."""
        return max(timedelta(0), (self.until or now) - max(self.record.at, since))


@dataclass(frozen=True, slots=True)
class Trouble:
    """A time in which a subject was not clear."""

    subject: Subject
    since: datetime
    until: datetime | None
    known: bool


@dataclass(slots=True)
class Held:
    """All times that one reason held a subject, added up."""

    subject: Subject
    reason: str
    detail: str = ""
    times: int = 0
    total: timedelta = field(default=timedelta(0))
    now: bool = False


def words(records: Iterable[DecisionRecord]) -> dict[Subject, list[Word]]:
    """Each subject's decisions, oldest first, each until the next one."""
    by_subject: dict[Subject, list[DecisionRecord]] = {}
    for record in sorted(records, key=lambda r: r.seq):
        by_subject.setdefault(record.subject, []).append(record)
    return {
        subject: [
            Word(one, after.at if after is not None else None)
            for one, after in zip(mine, [*mine[1:], None], strict=True)
        ]
        for subject, mine in by_subject.items()
    }


def troubles(told: dict[Subject, list[Word]]) -> Iterator[Trouble]:
    """Every stretch in which a subject was not clear."""
    for subject, mine in told.items():
        stretch: list[Word] = []
        for word in mine:
            if word.record.result != Result.CLEAR:
                stretch.append(word)
            elif stretch:
                yield _trouble(subject, stretch, word.record.at)
                stretch = []
        if stretch:
            yield _trouble(subject, stretch, None)


def holds(told: dict[Subject, list[Word]], since: datetime, now: datetime) -> list[Held]:
    """What held each subject since then, longest first."""
    found: dict[tuple[Subject, str], Held] = {}
    for subject, mine in told.items():
        for word in mine:
            length, still = word.within(since, now), word.until is None
            if word.record.result == Result.HOLD and (length or still):
                key = subject, word.record.reason
                held = found.setdefault(key, Held(subject, word.record.reason))
                held.detail = word.record.detail or held.detail
                held.times += 1
                held.total += length
                held.now = still
    return sorted(found.values(), key=lambda h: (-h.total, str(h.subject), h.reason))


def _trouble(subject: Subject, stretch: Sequence[Word], until: datetime | None) -> Trouble:
    known = any(word.known for word in stretch)
    return Trouble(subject, stretch[0].record.at, until, known)
