"""Did it help? Waits for readings begun after the write until they show it, or time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from exporter.fleet import Fleet
from exporter.model.component import Component
from exporter.model.derive import derive
from exporter.model.findings import Findings
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.actions import ACTIONS
from exporter.policy.policy import Policy
from exporter.policy.sight import still_wrong

_BY_PERSON = timedelta(seconds=30)
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Verification:
    """What must be seen, for how long, and by when. The defaults are a person's operation's."""

    within: timedelta = _BY_PERSON
    healthy_for: timedelta = timedelta(0)
    components: frozenset[Component] = frozenset()
    """What the policy's condition reads, beside what the remedy's own check reads."""
    still_wrong: Callable[[Findings], bool] = lambda _findings: False
    """Whether the condition that called for the operation holds, or cannot be decided."""
    item_wrong: Callable[[Findings, str], bool] | None = None
    """The same for one item, where an operation may hold several."""

    def about(self, keys: Iterable[str]) -> Verification:
        """This verification of the items that were acted on, and not of what was left alone."""
        wrong, acted_on = self.item_wrong, tuple(keys)
        if wrong is None:
            return self
        return replace(self, still_wrong=lambda found: any(wrong(found, key) for key in acted_on))


class Verifier:
    """Asks for fresh readings through ``wake`` and judges them as they come."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        now: Callable[[], datetime],
        wake: Callable[[str, frozenset[Component]], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._fleet = fleet
        self._now = now
        self._wake = wake
        self._sleep = sleep

    async def verify(
        self,
        target: Target,
        verification: Verification,
        *,
        needs: frozenset[Component],
        check: Callable[[Report, datetime], str | None],
        since: datetime,
    ) -> str | None:
        """Return None once everything holds for ``healthy_for``; else what is missing at the end.

        Only readings begun after ``since`` count. A component that cannot be read keeps it waiting.
        """
        wanted = (needs | verification.components) & target.intervals.keys()
        deadline = since + verification.within
        missing = "no fresh reading came in time"
        healthy_since: datetime | None = None
        cutoff, pause = since, _FIRST_PAUSE
        while True:
            if wanted:
                self._wake(target.name, wanted)
            report = await self._fleet.fresher(
                target.name, wanted, after=cutoff, timeout_seconds=self._left(deadline)
            )
            if report is None:
                return missing
            cutoff = min((report.readings[c].started_at for c in wanted), default=self._now())
            found = self._judge(target, verification, check, report)
            if found is None:
                healthy_since = healthy_since or cutoff
                rest = verification.healthy_for - (cutoff - healthy_since)
                if rest <= timedelta(0):
                    return None
                missing = "it was not healthy for long enough"
            else:
                healthy_since, missing, rest = None, found, pause
                pause = min(pause * 2, _LONGEST_PAUSE)
            left = self._left(deadline)
            if left <= 0:
                return missing
            await self._sleep(min(rest.total_seconds(), left))

    def _left(self, deadline: datetime) -> float:
        return (deadline - self._now()).total_seconds()

    def _judge(
        self,
        target: Target,
        verification: Verification,
        check: Callable[[Report, datetime], str | None],
        report: Report,
    ) -> str | None:
        now = self._now()
        missing = check(report, now)
        if missing is not None:
            return missing
        if verification.still_wrong(derive(report, target, now=now)):
            return "the condition that called for it still holds"
        return None


def verification_of(policy: Policy, item: str | None) -> Verification:
    """What must be seen before an operation of a policy counts as verified.

    Of what stays as it was, only the remedy's own check can tell.
    """
    if not policy.mends:
        return Verification()  # what it is about is as wrong as before
    if ACTIONS[policy.action].item_stays:
        return Verification(policy.verify.within, policy.verify.healthy_for)
    return Verification(
        within=policy.verify.within,
        healthy_for=policy.verify.healthy_for,
        components=policy.condition.components,
        still_wrong=lambda findings: still_wrong(policy, findings, item),
        item_wrong=(lambda findings, key: still_wrong(policy, findings, key))
        if policy.together > 1
        else None,
    )
