"""The one sentence above a report. It never says more than is known."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.wire.report import ReportBody


def verdict(body: ReportBody) -> str:
    """What there is to know before reading on."""
    watched = f"{counted(len(body.targets), 'target')} watched"
    if body.knows_since is None:
        return "nothing is known: the ledger is empty"
    if any(gap.until is None for gap in body.unattended):
        watched = f"{counted(len(body.targets), 'target')} configured, but nobody acts for them now"
    elif body.unattended:
        watched += ", though not all the time"
    whole = body.knows_since == body.since and not body.unattended and not body.unjudged
    told = "; ".join(_told(body)) or ("nothing was wrong" if whole else "nothing wrong was seen")
    if body.targets and len(body.unjudged) == len(body.targets):
        watched += ", and no policy says what is wrong there"
    return f"{told}; {watched}"


def counted(number: int, what: str) -> str:
    """``1 target``, ``2 targets``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def waiting_count(body: ReportBody) -> int:
    """How much waits for a person; a pause that ends soon is no more than a hint."""
    waiting = body.waiting
    return len(waiting.proposals) + len(waiting.breakers or ()) + len(waiting.identities)


def _told(body: ReportBody) -> Iterator[str]:
    if body.attention:
        yield f"{counted(len(body.attention), 'operation')} to look at"
    if waits := waiting_count(body):
        yield f"{waits} waiting for a person"
    wrong = [one for one in body.wrong if one.known]
    if wrong:
        still = sum(one.until is None for one in wrong)
        yield f"something was wrong {counted(len(wrong), 'time')}, {still or 'none'} of them still"
    if unknown := len(body.wrong) - len(wrong):
        yield f"{counted(unknown, 'time')} nobody could tell whether something was"
    if body.done:
        yield f"{counted(len(body.done), 'operation')} done"
