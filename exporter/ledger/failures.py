"""Operations of policies that ended badly or did not last, in memory, for the breakers.

A part of ``standing``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from exporter.ledger.rows import Row
from exporter.model.orders import Reset
from exporter.policy.breaker import Failure

MOST = 1_000
"""Only the newest of a target and remedy are kept: no sensible breaker counts further."""

Resets = Mapping[tuple[str, str, str], Reset]
"""The newest, by target, remedy and policy."""


class _Bad(NamedTuple):
    at: datetime
    seq: int
    policy: str
    target: str
    remedy: str

    def after(self, reset: Reset | None) -> bool:
        """Whether a reset does not cover it: it began or ended later."""
        return reset is None or self.seq > reset.seq or self.at > reset.at

    @property
    def failure(self) -> Failure:
        return Failure(self.at, self.policy, self.target)


class Failures:
    """By target and remedy, and by policy; taking one in twice changes nothing."""

    def __init__(self) -> None:
        self._on: defaultdict[tuple[str, str], dict[str, _Bad]] = defaultdict(dict)
        self._of: defaultdict[str, dict[str, _Bad]] = defaultdict(dict)

    def put(self, row: Row) -> None:
        """Take in one operation that failed, or that helped until it relapsed."""
        at, seq = row["finished_at"], row["seq"]
        if row["relapsed_at"] is not None:
            at, seq = row["relapsed_at"], row["relapsed_seq"]
        bad = _Bad(at, seq, row["policy"] or "", row["target"], row["remedy"])
        for rows in (self._on[bad.target, bad.remedy], self._of[bad.policy]):
            rows[row["id"]] = bad
            if len(rows) > MOST:
                del rows[min(rows, key=lambda known: rows[known].seq)]

    def standing(self, resets: Resets) -> frozenset[str]:
        """The operations that a breaker may still ask about: those that no reset covers."""
        kept = (*self._on.values(), *self._of.values())
        return frozenset(
            name
            for rows in kept
            for name, bad in rows.items()
            if bad.after(resets.get((bad.target, bad.remedy, "")))
        )

    def on(self, target: str, remedy: str, resets: Resets) -> tuple[Failure, ...]:
        """Those of a remedy on a target that no reset covers."""
        rows = self._on.get((target, remedy))
        if not rows:
            return ()
        reset = resets.get((target, remedy, ""))
        return tuple(bad.failure for bad in rows.values() if bad.after(reset))

    def of(self, policy: str, resets: Resets) -> tuple[Failure, ...]:
        """Those of a policy that neither its own reset covers nor that of their target."""
        rows = self._of.get(policy)
        if not rows:
            return ()
        everywhere = resets.get(("", "", policy))
        return tuple(
            bad.failure
            for bad in rows.values()
            if bad.after(everywhere) and bad.after(resets.get((bad.target, bad.remedy, "")))
        )
