"""Reports that are sent on a schedule: each day's once, whoever acts. Inside one transaction.

A report is written down before it is sent, and again when it is known what became of it. One whose
sender ended in between is sent anew by whoever acts then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from exporter.ledger import ownership
from exporter.ledger.chain import EntryKind
from exporter.ledger.journal import Journal
from exporter.ledger.tables import reports
from exporter.ledger.texts import clean, clean_text
from exporter.model.operation import Fence


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The report of a day that is to be sent now; ``id`` is its entry's number."""

    id: int
    since: datetime


def begin(
    journal: Journal,
    day: str,
    *,
    notifier: str,
    owner: str,
    fence: Fence,
    since: datetime,
    furthest: datetime,
    now: datetime,
) -> Dispatch | None:
    """Write down that the day's report is being sent; None when it was, or just is, by this owner.

    It is about the time since the last one, so that nothing falls between two, but not about more
    than since ``furthest``; without one, since ``since``. StoppedError when somebody else acts.
    """
    ownership.check(journal, fence)
    newest = select(reports).order_by(reports.c.seq.desc()).limit(1)
    of_day = journal.connection.execute(newest.where(reports.c.day == day)).mappings().first()
    if of_day is not None and (of_day["outcome"] is not None or of_day["owner"] == owner):
        return None
    last = journal.connection.execute(newest.where(reports.c.day != day)).mappings().first()
    if last is not None and last["until"] < since:
        since = max(last["until"], furthest)
    row = {"day": day, "notifier": notifier, "owner": owner, "since": since, "until": now}
    seq = journal.append(EntryKind.REPORTED, None, at=now, body=clean(row))
    journal.flush()
    journal.connection.execute(insert(reports), {**row, "seq": seq, "at": now})
    return Dispatch(seq, since)


def end(journal: Journal, report: int, outcome: str, *, why: str, now: datetime) -> None:
    """Write down what became of it."""
    body = {"report": report, "outcome": outcome, "why": clean_text(why)}
    journal.append(EntryKind.REPORT_TOLD, None, at=now, body=body)
    where = reports.c.seq == report
    journal.connection.execute(update(reports).where(where).values(told_at=now, outcome=outcome))
