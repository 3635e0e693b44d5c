"""Too much is wrong at once: then it is not what a remedy on one target could mend. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from exporter.policy.words import listing


@dataclass(frozen=True, slots=True)
class Others:
    """What a policy decides about the targets beside the one in question."""

    matched: int = 1
    """Targets it is about, that one included."""
    affected: int = 0
    """Others of them on which its condition is not known to be false."""
    silent: tuple[str, ...] = ()
    """Others of them that have not been decided about since the start."""


@dataclass(frozen=True, slots=True)
class Storm:
    """How many of a policy's targets may be affected, and how many items of one target."""

    max_unhealthy: Fraction = Fraction(40, 100)
    at_least: int = 1
    at_most: int = 20
    max_items: int = 20

    def allowed(self, matched: int) -> int:
        """``min(at_most, max(at_least, floor(share of matched)))``."""
        return min(self.at_most, max(self.at_least, int(self.max_unhealthy * matched)))

    def holds(self, others: Others, items: int) -> str | None:
        """Why a policy holds on a target that is affected, with so many items; None: it may act."""
        if others.silent:
            who = listing(others.silent, "and")
            return f"no word yet from {who}, so nobody knows how many targets are affected"
        affected, allowed = others.affected + 1, self.allowed(others.matched)
        if affected > allowed:
            return f"{affected} of {others.matched} targets are affected, more than {allowed}"
        if items > self.max_items:
            return f"{items} items are affected on this target, more than {self.max_items}"
        return None
