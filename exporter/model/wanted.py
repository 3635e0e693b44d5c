"""What is read only because somebody asks for it: it would cost every server otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the policies in force want of a target beyond what is always read."""

    completed: frozenset[str] | None = None
    """Services whose completed invocations are listed; empty: every service's; None: nobody's."""
