"""Present decisions as JSON: what each policy wants to do, and which gate holds it and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from exporter.model.decision import Decision, Mode, Result, Verdict, Waiting
from exporter.model.duration import format_duration
from exporter.model.hold import HoldReason
from exporter.model.redact import redact_text, sanitise
from exporter.wire.doctor import timestamp


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True)


class VerdictBody(_Body):
    """What one gate said. ``until``: when it may open, if that is known."""

    gate: HoldReason
    holds: bool
    detail: str
    until: str | None


class WaitingBody(_Body):
    """Since when the condition has been true, and on how many distinct readings."""

    since: str
    readings: int


class DecisionBody(_Body):
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


class DecisionsAnswer(_Body):
    """``GET /api/v1/decisions``."""

    decisions: tuple[DecisionBody, ...]


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
        since=_moment(since),
        waiting=_waiting(decision.waiting),
        values=sanitise(_plain(decision.values)),
        verdicts=tuple(_verdict(verdict) for verdict in decision.verdicts),
    )


def _verdict(verdict: Verdict) -> VerdictBody:
    return VerdictBody(
        gate=verdict.gate,
        holds=verdict.holds,
        detail=redact_text(verdict.detail),
        until=_moment(verdict.until),
    )


def _waiting(waiting: Waiting | None) -> WaitingBody | None:
    if waiting is None:
        return None
    return WaitingBody(since=timestamp(waiting.since), readings=waiting.distinct)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


def _plain(value: object) -> object:
    """Values as JSON can carry them."""
    match value:
        case timedelta():
            return format_duration(value)
        case datetime():
            return timestamp(value)
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
