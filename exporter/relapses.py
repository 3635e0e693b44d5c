"""Watches whether what policies repaired stays so, and tells breakers before the ledger knows.

``look`` once a round; what it finds counts at once, so that the same round does not go on with a
remedy that does not last. Writing it down is the round's, and happens once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial

from exporter.ledger.standing import Standing
from exporter.model.relapse import BrokenAgain, Relapse
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.policy.breaker import Failure
from exporter.policy.policy import Policy
from exporter.policy.relapse import relapses
from exporter.remedies.remedy import Remedy


class Relapses:
    """What the newest readings show to be broken again, beside what the ledger knows by now."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._seen: dict[str, dict[str, tuple[BrokenAgain, timedelta]]] = {}
        """By target and remedy, where there is something to tell: what was seen, and ``per``."""
        self._pending: dict[str, tuple[Relapse, ...]] = {}
        self._seq = standing.seq

    def look(
        self,
        target: Target,
        report: Report,
        remedies: Mapping[str, Remedy],
        policies: Iterable[Policy],
        *,
        now: datetime,
    ) -> None:
        """Judge the newest readings of a target. Stale and failed ones show nothing."""
        periods: dict[str, timedelta] = {}
        for policy in policies:
            if policy.matches(target):
                known = periods.get(policy.action, timedelta(0))
                periods[policy.action] = max(known, policy.breaker.per)
        seen = {}
        for name, per in periods.items():
            remedy = remedies.get(name)
            again = remedy.broken_again(report, now) if remedy and remedy.broken_again else None
            if again is not None and again.since:
                seen[name] = again, per
        self._seen[target.name] = seen
        self._judge(target.name)

    def pending(self, target: str) -> tuple[Relapse, ...]:
        """What the ledger does not know yet."""
        self._follow()
        return self._pending.get(target, ())

    def failures(self, target: str, remedy: str) -> tuple[Failure, ...]:
        """What ended badly of a remedy on a target, or did not last; as ``Standing.failures``."""
        new = (r for r in self.pending(target) if r.remedy == remedy)
        return (*self._standing.failures(target, remedy), *map(_failure, new))

    def failures_of(self, policy: str) -> tuple[Failure, ...]:
        """The same of a policy, on every target; as ``Standing.failures_of``."""
        self._follow()
        new = (r for rows in self._pending.values() for r in rows if r.policy == policy)
        return (*self._standing.failures_of(policy), *map(_failure, new))

    def forget(self, target: str) -> None:
        """Drop what was seen of a target that is no longer configured."""
        self._seen.pop(target, None)
        self._pending.pop(target, None)

    def _follow(self) -> None:
        """Leave out what the ledger has learned meanwhile: it must not count twice."""
        if self._seq != self._standing.seq:
            self._seq = self._standing.seq
            for target in tuple(self._pending):
                self._judge(target)

    def _judge(self, target: str) -> None:
        found = tuple(
            relapse
            for remedy, (again, per) in self._seen.get(target, {}).items()
            for relapse in relapses(
                target,
                remedy,
                again,
                partial(self._standing.helped, target, remedy),
                per=per,
            )
        )
        if found:
            self._pending[target] = found
        else:
            self._pending.pop(target, None)


def _failure(relapse: Relapse) -> Failure:
    return Failure(relapse.seen_at, relapse.policy, relapse.target)
