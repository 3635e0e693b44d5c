"""Policies as JSON, as they are in force. Who knows what a policy is makes them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from exporter.model.decision import Mode
from exporter.wire.body import Answer


class LimitBody(Answer):
    """At most ``max`` operations within ``per``; null is for ever."""

    scope: str
    max: int
    per: str | None


class VerifyBody(Answer):
    """By when a repair must show, and for how long it must then hold."""

    within: str
    healthy_for: str


class BreakerRuleBody(Answer):
    """When a remedy that does not help is stopped. ``reset`` null: only a person closes it."""

    failed: int
    per: str
    reset: str | None


class StormBody(Answer):
    """How much may be wrong at once before it is no matter for a remedy on one target."""

    max_unhealthy: str
    at_least: int
    at_most: int
    max_items: int


class PolicyBody(Answer):
    """One policy; durations are written ``2m30s``."""

    name: str
    revision: str
    mode: Mode
    """The lower of what is written and ``max_mode``: what it may do."""
    written_mode: Mode
    targets: tuple[str, ...]
    """Those it is about."""
    for_each: str | None
    when: str
    for_: str = Field(alias="for")
    """How long the condition must be true."""
    remedy: str
    arguments: dict[str, Any]
    cooldown: str
    limits: tuple[LimitBody, ...]
    verify: VerifyBody
    breaker: BreakerRuleBody
    storm: StormBody
    windows: tuple[str, ...]
    notify: tuple[str, ...]
    place: str
    """Where it is written: ``file:line:column``."""


class PoliciesAnswer(Answer):
    """The policies in force, by name."""

    policies: tuple[PolicyBody, ...]
    next_cursor: str | None = None
