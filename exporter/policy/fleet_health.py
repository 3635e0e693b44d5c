"""How much is wrong on all targets together, as the policies see it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from exporter.model.report import STALE_AFTER_INTERVALS
from exporter.model.target import Target
from exporter.policy.policy import Policy
from exporter.policy.storm import Others

_SHORTEST_PATIENCE = timedelta(minutes=1)
_LOOK_EVERY = timedelta(seconds=1)


class FleetHealth:
    """Counts, for each policy, the targets on which it would have something to do.

    Kept up to date by each round, so that asking costs little with a thousand targets.
    """

    def __init__(self) -> None:
        self.policies: tuple[Policy, ...] = ()
        self._targets: tuple[Target, ...] = ()
        self._matched: dict[str, frozenset[str]] = {}
        self._affected: dict[str, set[str]] = {}
        self._good_until: dict[str, datetime] = {}
        self._overdue: frozenset[str] = frozenset()
        self._looked: datetime | None = None

    def configure(self, policies: tuple[Policy, ...], targets: tuple[Target, ...]) -> None:
        """Take over what is configured; cheap when it is what it was."""
        if policies is self.policies and targets is self._targets:
            return
        self.policies, self._targets = policies, targets
        self._matched = {
            policy.name: frozenset(t.name for t in targets if policy.matches(t))
            for policy in policies
        }
        names = {target.name for target in targets}
        self._good_until = {n: until for n, until in self._good_until.items() if n in names}
        self._affected = {
            name: self._affected.get(name, set()) & matched
            for name, matched in self._matched.items()
        }

    def note(self, target: Target, affected: Iterable[str], *, now: datetime) -> None:
        """Take in a round: the names of the policies that are not clear on the target."""
        names = frozenset(affected)
        for policy, targets in self._affected.items():
            if policy in names and target.name in self._matched[policy]:
                targets.add(target.name)
            else:
                targets.discard(target.name)
        interval = min(target.intervals.values(), default=_SHORTEST_PATIENCE)
        patience = max(STALE_AFTER_INTERVALS * interval, _SHORTEST_PATIENCE)
        self._good_until[target.name] = now + patience
        self._overdue -= {target.name}

    def remembered(self) -> tuple[dict[str, frozenset[str]], dict[str, datetime]]:
        """By policy the affected targets, and by target until when its last round counts."""
        affected = {name: frozenset(found) for name, found in self._affected.items() if found}
        return affected, dict(self._good_until)

    def recall(
        self, affected: Mapping[str, frozenset[str]], good_until: Mapping[str, datetime]
    ) -> None:
        """Take over what ``remembered`` told."""
        self._affected |= {name: set(found) for name, found in affected.items()}
        self._good_until |= good_until
        self._looked = None

    def forget(self, target: str) -> None:
        """It may be another one under its name: it has not reported yet."""
        self._good_until.pop(target, None)

    def others(self, policy: str, target: str, *, now: datetime) -> Others:
        """What to hold against one target. Who has not been looked at for long is affected."""
        matched = self._matched.get(policy, frozenset({target}))
        affected = self._known_bad(policy, matched, now)
        silent: tuple[str, ...] = ()
        if len(self._good_until) < len(self._targets):
            silent = tuple(sorted(matched - self._good_until.keys() - {target}))
        # Counted, not copied: with a thousand targets each of these sets is large.
        return Others(
            len(matched) + (target not in matched), len(affected) - (target in affected), silent
        )

    def counts(self, now: datetime) -> Mapping[str, tuple[int, int]]:
        """By policy: how many targets are affected, of how many it is about."""
        return {
            name: (len(self._known_bad(name, matched, now)), len(matched))
            for name, matched in self._matched.items()
        }

    def _known_bad(self, policy: str, matched: frozenset[str], now: datetime) -> set[str]:
        if self._looked is None or abs(now - self._looked) >= _LOOK_EVERY:
            late = (name for name, until in self._good_until.items() if until < now)
            self._overdue, self._looked = frozenset(late), now
        bad = self._affected.get(policy, set())
        return bad | (self._overdue & matched) if self._overdue else bad
