"""What a gate is asked about, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from exporter.model.decision import Mode, Subject, Verdict, Waiting
from exporter.model.findings import Findings
from exporter.model.hold import HoldReason
from exporter.model.operation import Budget, Usage
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.cel import Outcome
from exporter.policy.limits import exhausted
from exporter.policy.policy import Policy
from exporter.policy.world import Proposal, World

PASSES: Mapping[HoldReason, Verdict] = MappingProxyType(
    {reason: Verdict(reason, holds=False) for reason in HoldReason}
)
"""What each gate says when it does not hold."""


class Spending:
    """What a policy's budget has spent, looked up when the first gate asks: most hold before."""

    def __init__(
        self,
        look_up: Callable[[], Usage],
        budget: Budget,
        items: tuple[str, ...],
        now: datetime,
    ) -> None:
        self._look_up = look_up
        self._asked = (budget, items, now)

    @cached_property
    def usage(self) -> Usage:
        """What was spent."""
        return self._look_up()

    @cached_property
    def fits(self) -> bool:
        """Whether one more operation fits into the whole budget, so that no part of it holds."""
        budget, items, now = self._asked
        return exhausted(budget, self.usage, now=now, items=items) is None


class Case(NamedTuple):
    """One policy's condition that is not false on one target or item, with all a gate may ask."""

    policy: Policy
    subject: Subject
    target: Target
    mode: Mode
    """The effective one."""
    outcome: Outcome
    stale: tuple[str, ...]
    """Components the condition reads that have no fresh reading."""
    waiting: Waiting | None
    """Set when the condition is true on fresh readings."""
    spending: Spending
    """Not to be asked while the ledger cannot be read."""
    affected_items: int
    """Items of the policy on this target that are not known to be well; 1 without items."""
    report: Report
    findings: Findings
    world: World
    now: datetime
    proposal: Proposal | None = None
    """What waits for a person about this subject, or was rejected; only in mode approve."""

    @property
    def approved(self) -> bool:
        """Whether a person said yes."""
        return self.proposal is not None and self.proposal.approved

    @property
    def items(self) -> tuple[str, ...]:
        """The item's key, if it is about an item."""
        return () if self.subject.item is None else (self.subject.item,)


Gate = Callable[[Case], Verdict]


def held(reason: HoldReason, detail: str, until: datetime | None = None) -> Verdict:
    """The gate holds, for this reason and perhaps until then."""
    return Verdict(reason, holds=True, detail=detail, until=until)
