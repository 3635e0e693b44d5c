"""Present decisions as JSON: what each policy wants to do, and which gate holds it and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exporter.model.decision import Decision, Mode, Result, Verdict, Waiting
from exporter.model.hold import HoldReason
from exporter.model.redact import redact_text
from exporter.wire.body import Answer, facts, moment, timestamp


class VerdictBody(Answer):
    """What one gate said. ``until``: when it may open, if that is known."""

    gate: HoldReason
    holds: bool
    detail: str
    until: str | None


class WaitingBody(Answer):
    """Since when the condition has been true, and on how many distinct readings."""

    since: str
    readings: int


class DecisionBody(Answer):
    """One decision. ``item`` is set for ``for_each`` policies; durations are written ``2m30s``."""

    policy: str
    target: str
    item: str | None
    result: Result
    reason: HoldReason | None
    detail: str
    mode: Mode
    remedy: str
    since: str | None
    """Since when result and reason have been these."""
    waiting: WaitingBody | None
    values: dict[str, Any]
    """The values the condition saw."""
    verdicts: tuple[VerdictBody, ...]
    """The gates that were asked, in order: up to the first that holds, which gives ``reason``."""


class DecisionsAnswer(Answer):
    """``GET /api/v1/decisions``."""

    decisions: tuple[DecisionBody, ...]
    next_cursor: str | None = None


class ChangeBody(Answer):
    """A decision when it changed, as the ledger has it. ``item`` as limits count it."""

    seq: int
    at: str
    item: str | None
    result: str
    reason: str | None
    detail: str
    mode: str
    values: dict[str, Any]


class DecisionHistory(Answer):
    """What a policy decides about a target now, and what it decided before."""

    decisions: tuple[DecisionBody, ...]
    """The present ones: of a ``for_each`` policy one for each item."""
    changes: tuple[ChangeBody, ...]
    """Newest first; only what changed is recorded."""
    next_cursor: str | None = None
    """Of the changes."""


def decision_body(decision: Decision, since: datetime | None) -> DecisionBody:
    """One decision and since when it stands, free of secrets."""
    return DecisionBody(
        policy=decision.subject.policy,
        target=decision.subject.target,
        item=None if decision.subject.item is None else redact_text(decision.subject.item),
        result=decision.result,
        reason=decision.reason,
        detail=redact_text(decision.detail),
        mode=decision.mode,
        remedy=decision.remedy,
        since=moment(since),
        waiting=_waiting(decision.waiting),
        values=facts(decision.values),
        verdicts=tuple(_verdict(verdict) for verdict in decision.verdicts),
    )


def concerns(decision: Decision, item: str | None) -> bool:
    """Whether it is about this item, if one is given: named as it is, or as it is shown."""
    found = decision.subject.item
    return item is None or (found is not None and item in {found, redact_text(found)})


def _verdict(verdict: Verdict) -> VerdictBody:
    return VerdictBody(
        gate=verdict.gate,
        holds=verdict.holds,
        detail=redact_text(verdict.detail),
        until=moment(verdict.until),
    )


def _waiting(waiting: Waiting | None) -> WaitingBody | None:
    if waiting is None:
        return None
    return WaitingBody(since=timestamp(waiting.since), readings=waiting.distinct)
