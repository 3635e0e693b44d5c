"""What a test plays: the state of a target at each moment, its policies, and what must come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.model.component import Component, Reason
from exporter.model.operation import Outcome
from exporter.policy.policy import Policy

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
"""When a test begins that does not say when: at midnight, UTC."""


@dataclass(frozen=True, slots=True)
class State:
    """What is so during one step. Durations are those at its beginning, and grow."""

    began: timedelta
    """Since the start of the test."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """By variable; what is absent is unknown."""
    items: Mapping[str, Mapping[str, Mapping[str, Any]] | None] = field(default_factory=dict)
    """By kind and key, each value by its full name; None: the list is unknown."""
    failing: Mapping[Component, Reason | None] = field(default_factory=dict)
    """The components that are not ok, and why; None: never read."""
    alerts: tuple[Mapping[str, str], ...] | None = ()
    """None: nobody knows which fire."""
    others: tuple[int, int] = (0, 0)
    """Other targets, and how many of them are affected."""
    paused: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedOperation:
    """What of it is None may be anything."""

    at: timedelta
    place: str
    policy: str | None
    does: str | None
    items: tuple[str, ...] | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class ExpectedDecision:
    """How a subject must stand in the last round up to a moment."""

    at: timedelta
    place: str
    policy: str
    item: str | None
    word: str
    """``clear``, ``act``, or the reason of a hold."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One test."""

    name: str
    file: str
    place: str
    """``file:line:column``."""
    target: str
    labels: Mapping[str, str]
    policies: tuple[Policy, ...]
    """In the mode that they are tested in."""
    start: datetime
    interval: timedelta
    length: timedelta
    states: tuple[State, ...]
    """In their order; the first begins with the test."""
    operations: tuple[ExpectedOperation, ...] | None
    """All of them; None: they do not matter."""
    operations_place: str
    decisions: tuple[ExpectedDecision, ...]

    def state(self, at: timedelta) -> State:
        """What is so then."""
        return next(one for one in reversed(self.states) if one.began <= at)
