"""What people are told, and what became of telling them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Plain text for people. It is redacted, bounded and escaped where it is sent."""

    kind: Literal["operation", "notice", "approval", "report"]
    """What it is about: an operation that ended, what a policy saw, what waits for a person."""
    title: str
    """One line."""
    text: str = ""
    """Sentences, one a line."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What one looks things up by, in order: target, policy, operation, outcome."""


class Delivery(StrEnum):
    """What became of a message at one notifier."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """It was refused for good, or its tries or its time were used up."""
    DROPPED = "dropped"
    """It had to make room for newer ones, or the daemon stopped."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message at one notifier, and why; the webhook's URL is never in it."""

    notifier: str
    delivery: Delivery
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.delivery}: {self.detail}" if self.detail else str(self.delivery)


Tell: TypeAlias = Callable[[Collection[str] | None, Message], Awaitable[tuple[Receipt, ...]]]
"""Tells the notifiers of these names (None: all there are), and waits for what becomes of it."""
