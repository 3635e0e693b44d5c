"""Pauses, breakers and the other orders of people, as they are sent and answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from exporter.model.component import Component
from exporter.model.duration import parse_duration
from exporter.model.orders import OpenBreaker, Pause, PauseScope
from exporter.wire.body import Answer, Asked, moment, timestamp
from exporter.wire.operator import LONGEST_REASON, Why

_LONGEST_NAME = 63


class PauseBody(Answer):
    """One pause. ``name`` is the target's or the policy's, empty for everything."""

    id: int
    scope: PauseScope
    name: str
    owner: str
    reason: str
    created_at: str
    expires_at: str | None
    """Null: until somebody lifts it."""
    in_force: bool


class PausesAnswer(Answer):
    """Pauses, oldest first."""

    pauses: tuple[PauseBody, ...]
    next_cursor: str | None = None


class BreakerBody(Answer):
    """A policy that is stopped on a target. ``id`` is the breaker to reset."""

    id: str
    policy: str
    target: str
    remedy: str
    why: str
    closes_at: str | None
    """When it closes by itself; null: only a person closes it."""


class BreakersAnswer(Answer):
    """Every policy that a breaker stops, and where."""

    breakers: tuple[BreakerBody, ...]
    next_cursor: str | None = None


class ResetAnswer(Answer):
    """``reset`` is false when nothing had failed, so that there was nothing to close."""

    id: str
    reset: bool


def _duration(text: str) -> str:
    if parse_duration(text) <= timedelta(0):
        raise ValueError(f"{text} is no time at all; write 30m or 2h")
    return text


def _moment(text: str) -> str:
    mend = "is no moment; write 2026-05-09T10:00:00Z"
    try:
        at = datetime.fromisoformat(text)
        at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(mend) from error
    if at.tzinfo is None:
        raise ValueError(f"{mend}, with its time zone")
    return text


class WhyBody(Asked):
    """Nothing is needed: ``{}``, or no body at all."""

    reason: Why = None


class CheckBody(Asked):
    """What to read; everything that the target has when it is left out."""

    components: Annotated[
        list[Literal[tuple(str(c) for c in Component)]],  # type: ignore[valid-type]
        Field(max_length=len(Component), description="Some components only."),
    ] = Field(default=[])
    reason: Why = None


class NewPause(Asked):
    """Policies rest from now on; watching goes on, and people may still act."""

    scope: Annotated[PauseScope, Field(description="`global` is every policy on every target.")]
    name: Annotated[
        str, Field(max_length=_LONGEST_NAME, description="The target's or the policy's name.")
    ] = ""
    reason: Annotated[
        str | None,
        Field(
            max_length=LONGEST_REASON,
            description="Why, for whoever wonders later; needed here or in `X-Reason`.",
        ),
    ] = None
    for_: Annotated[
        str | None,
        Field(alias="for", max_length=32, description="How long, such as `2h`.", examples=["2h"]),
        AfterValidator(lambda text: text if text is None else _duration(text)),
    ] = None
    expires_at: Annotated[
        str | None,
        Field(max_length=40, description="Or until when.", examples=["2026-05-09T10:00:00Z"]),
        AfterValidator(lambda text: text if text is None else _moment(text)),
    ] = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if (self.scope == "global") is bool(self.name):
            raise ValueError("name a target or a policy, or nothing with the scope global")
        if self.for_ is not None and self.expires_at is not None:
            raise ValueError("write for or expiresAt, not both")
        return self

    def until(self, now: datetime) -> datetime | None:
        """When it ends; None: when somebody lifts it. OverflowError beyond the year 9999."""
        if self.for_ is not None:
            return now + parse_duration(self.for_)
        return None if self.expires_at is None else datetime.fromisoformat(self.expires_at)


def pause_body(pause: Pause, now: datetime) -> PauseBody:
    """One pause as it is answered."""
    return PauseBody(
        id=pause.id,
        scope=pause.scope,
        name=pause.name,
        owner=pause.owner,
        reason=pause.reason,
        created_at=timestamp(pause.created_at),
        expires_at=moment(pause.expires_at),
        in_force=pause.in_force(now),
    )


def breaker_body(breaker: OpenBreaker) -> BreakerBody:
    """One breaker as it is answered."""
    return BreakerBody(
        id=str(breaker.name),
        policy=breaker.policy,
        target=breaker.target,
        remedy=breaker.remedy,
        why=breaker.why,
        closes_at=moment(breaker.until),
    )
