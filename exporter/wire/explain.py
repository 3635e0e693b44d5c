"""Present explanations as JSON: a decision with every gate's verdict, and when it could act."""

from __future__ import annotations

from pydantic import Field

from exporter.model.hold import HoldReason
from exporter.wire.body import Answer
from exporter.wire.decisions import DecisionBody


class ExplanationBody(DecisionBody):
    """One decision as of now, with the verdicts of all gates; none when it is clear."""

    condition: str
    """As the policy has it, in CEL; ``values`` are those that it saw."""
    for_: str = Field(alias="for")
    """How long the condition must be true."""
    unknown: tuple[str, ...]
    """The condition's variables that have no value now."""
    acts_at: str | None
    """The earliest moment at which no gate would hold it; null when clear, or when nobody knows."""
    open_ended: tuple[HoldReason, ...]
    """The gates that hold it and of which nobody knows when they open."""


class ExplainAnswer(Answer):
    """``GET /api/v1/explain``."""

    at: str
    """What it was decided as of."""
    notes: tuple[str, ...] = ()
    """What is to be known about all of them."""
    explanations: tuple[ExplanationBody, ...]
    next_cursor: str | None = None
