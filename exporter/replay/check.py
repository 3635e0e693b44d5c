"""``policy replay --check``: what was decided, and what history gives, compared.

Round by round: what the ledger has of the moment of a recorded round, and what that round gives
when it is decided again with the policies of then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, select

from exporter.ledger.archive import Archive
from exporter.ledger.echo import scratch_ledger
from exporter.ledger.tables import decisions as table
from exporter.replay.recorded import moments
from exporter.replay.reenact import Noted, Redone, reenact

_OFTEN = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A note that only one side has."""

    at: datetime
    target: str
    note: Noted
    live: bool
    """Whether it is the ledger that has it; otherwise history gives it."""


@dataclass(slots=True)
class Compared:
    """What a comparison found."""

    rounds: int = 0
    equal: int = 0
    """Notes that both sides have."""
    began: datetime | None = None
    ended: datetime | None = None
    unsettled: int = 0
    """Rounds right after the record of a run begins in its middle: not compared."""
    unrecorded: list[datetime] = field(default_factory=list)
    """Moments of notes in the ledger whose rounds are not recorded: a crash loses some."""
    differences: list[Difference] = field(default_factory=list)


def compare(
    source: Engine,
    *,
    since: datetime,
    until: datetime,
    targets: Iterable[str] = (),
    on_progress: Callable[[datetime], None] = lambda _at: None,
) -> Compared:
    """Compare every recorded round of a time. ``source`` is only read. HistoryUnreadableError.

    All targets are decided, since they know of each other; ``targets`` are those compared (empty:
    all).
    """
    archive = Archive(source)
    names = frozenset(archive.history_span()) - {""}
    wanted = names & frozenset(targets) if targets else names
    found, live = Compared(), _live(source, wanted, since, until)
    with scratch_ledger() as scratch:
        asked = moments(archive, sorted(names), since=since, until=until)
        for one in reenact(asked, source, scratch):
            if not one.settled:
                found.unsettled += one.at >= since
                live.pop((one.target, one.at), None)
            elif one.target in wanted and since <= one.at <= until:
                _compare(found, one, live.pop((one.target, one.at), frozenset()))
            if found.rounds % _OFTEN == 0:
                on_progress(one.at)
    found.unrecorded = sorted(at for _, at in live)
    found.differences.sort(key=lambda difference: difference.at)
    return found


def _compare(found: Compared, one: Redone, live: frozenset[Noted]) -> None:
    found.rounds += 1
    found.began = min(found.began or one.at, one.at)
    found.ended = max(found.ended or one.at, one.at)
    found.equal += len(live & one.noted)
    found.differences += [Difference(one.at, one.target, n, live=True) for n in live - one.noted]
    if one.sure:
        found.differences += [
            Difference(one.at, one.target, n, live=False) for n in one.noted - live
        ]


def _live(
    source: Engine, targets: Iterable[str], since: datetime, until: datetime
) -> dict[tuple[str, datetime], frozenset[Noted]]:
    columns = table.c
    query = select(
        columns.target, columns.at, columns.policy, columns.item, columns.result, columns.reason
    ).where(columns.target.in_(list(targets)), columns.at >= since, columns.at <= until)
    found: defaultdict[tuple[str, datetime], set[Noted]] = defaultdict(set)
    with source.connect() as connection:
        for target, at, policy, item, result, reason in connection.execute(query):
            found[target, at].add(Noted(policy, item or None, result, reason))
    return {key: frozenset(notes) for key, notes in found.items()}
