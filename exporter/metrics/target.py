"""What is kept about one target between rounds so that its metrics can be made at any moment.

The newest report, the last good reading of each component, counters, standing holds. Values come
from ``families``; bytes from ``exposition``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from prometheus_client.core import Metric

from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.families import (
    NamedRows,
    health_rows,
    label,
    largest,
    to_metric,
    value_rows,
)
from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Decision, Result
from exporter.model.derive import derive
from exporter.model.findings import Findings
from exporter.model.operation import Operation
from exporter.model.report import STALE_AFTER_INTERVALS, Reading, Report
from exporter.model.target import Target


@dataclass(frozen=True, slots=True)
class TargetFamilies:
    """One target's families at one moment."""

    families: tuple[Metric, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How many series the cap left out, by family name."""


class TargetMetrics:
    """The state behind one target's series. Used from one event loop."""

    def __init__(self, target: Target, *, max_series: int) -> None:
        self.owned = True
        self.admin_token_expires_at: datetime | None = None
        """None when the admin token does not say."""
        self.limits: Mapping[tuple[str, str], int] = {}
        """What each policy's limits still allow, by (policy, scope)."""
        self.breakers: Mapping[str, bool] = {}
        """Whether each policy's breaker is open."""
        self._max_series = max_series
        self._good: dict[Component, Reading] = {}
        self._probes = Counter[tuple[str, ...]]()
        self._failures = Counter[tuple[str, ...]]()
        self._operations = Counter[tuple[str, ...]]()
        self._held: dict[tuple[str, ...], float] = {}
        self._report = Report(target.name)
        self._collected: datetime | None = None
        self._expires: datetime | None = None
        self.configure(target)

    def configure(self, target: Target) -> None:
        """Take the target as it is configured now; forget components it no longer has."""
        self._target = target
        self._good = {c: r for c, r in self._good.items() if c in target.intervals}
        self._report = replace(
            self._report,
            readings={c: r for c, r in self._report.readings.items() if c in target.intervals},
        )
        for component in target.intervals:
            self._probes[component,] += 0

    def probed(self, reading: Reading) -> None:
        """Count one probe, and its failure if it was not ok."""
        self._probes[reading.component,] += 1
        if reading.status is not Status.OK:
            self._failures[reading.component, reading.reason or Reason.INTERNAL] += 1

    def operated(self, operation: Operation) -> None:
        """Count one operation that has ended."""
        policy = operation.policy.name if operation.policy else ""
        outcome = str(operation.outcome or "")
        self._operations[policy, operation.remedy, operation.source, outcome] += 1

    def reported(self, report: Report) -> None:
        """Keep the newest report, and from it what was good."""
        self._report = report
        self._good.update({c: r for c, r in report.readings.items() if r.status is Status.OK})

    def decided(self, decisions: Iterable[Decision], now: datetime) -> None:
        """Keep since when each (policy, reason) holds without a break, whichever items it holds."""
        holding = {
            (label(d.subject.policy), str(d.reason))
            for d in decisions
            if d.result is Result.HOLD and d.reason is not None
        }
        self._held = {k: self._held.get(k, now.timestamp()) for k in sorted(holding)}

    def due(self, now: datetime) -> bool:
        """Whether time alone has changed what is shown: something went stale, or the clock back."""
        if self._collected is None or now < self._collected:
            return True
        return self._expires is not None and now > self._expires

    def collect(self, now: datetime, findings: Findings | None = None) -> TargetFamilies:
        """Make the families; ``findings`` spares deriving them from the newest report again."""
        if findings is None:
            findings = derive(self._report, self._target, now=now)
        self._collected = now
        self._expires = self._next_expiry(now)
        families: list[Metric] = []
        dropped: dict[str, int] = {}
        for short, rows in self._rows(findings):
            family = CATALOGUE[short]
            kept = largest(rows, self._max_series) if family.capped else rows
            if len(kept) < len(rows):
                dropped[family.name] = len(rows) - len(kept)
            families.append(to_metric(self._target.name, short, kept))
        return TargetFamilies(tuple(families), dropped)

    def _rows(self, findings: Findings) -> Iterator[NamedRows]:
        yield from health_rows(findings, self._report.readings, self._good)
        yield from value_rows(self._known(findings))
        yield "target_owned", {(): float(self.owned)}
        if self.admin_token_expires_at is not None:
            expires = self.admin_token_expires_at.timestamp()
            yield "admin_token_expiry_timestamp_seconds", {(): expires}
        yield "probes_total", self._probes
        yield "probe_failures_total", self._failures
        yield "operations_total", self._operations
        yield "policy_held_since_timestamp_seconds", self._held
        yield "limit_remaining", {key: float(left) for key, left in self.limits.items()}
        yield "breaker_open", {(name,): float(is_open) for name, is_open in self.breakers.items()}

    def _known(self, findings: Findings) -> Findings:
        """Findings as if each component that tells nothing now still said what it last said.

        A good reading that went stale is unknown here too, so its values are gone.
        """
        newest = self._report.readings
        failed = {c for c, r in newest.items() if r.view is None}
        older = {c: self._good[c] for c in failed if c in self._good}
        if not older:
            return findings
        report = replace(self._report, readings={**newest, **older})
        return derive(report, self._target, now=findings.at)

    def _next_expiry(self, now: datetime) -> datetime | None:
        moments = (
            reading.started_at + STALE_AFTER_INTERVALS * reading.interval
            for readings in (self._report.readings, self._good)
            for reading in readings.values()
        )
        return min((moment for moment in moments if moment >= now), default=None)
