"""Where the rest of restate-medic says what happened; nothing else touches a metric.

Knows every configured target: one that is gone leaves no series, and what a late round or
operation says about it is not counted under its name any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from exporter.metrics.catalogue import CATALOGUE, TARGET_FAMILIES, Family
from exporter.metrics.exposition import Exposition
from exporter.metrics.target import TargetMetrics
from exporter.model.decision import Decision, Mode, Result
from exporter.model.findings import Findings
from exporter.model.hold import HoldReason
from exporter.model.message import Delivery, Receipt
from exporter.model.operation import Operation, Outcome
from exporter.model.orders import Pause, PauseScope
from exporter.model.report import Reading, Report
from exporter.model.target import Target

MAX_SERIES = 200
"""Series kept of one capped family of one target."""

_NEVER_ACTED = frozenset(
    {
        Outcome.REFUSED,
        Outcome.OBSERVED,
        Outcome.EXPIRED,
        Outcome.WITHDRAWN,
        Outcome.REJECTED,
        Outcome.ANSWERED,
        Outcome.INTERRUPTED,  # ends when its lease does, which says nothing about the remedy
    }
)


class Instruments:
    """Counts, times and states, by name. Used from one event loop.

    ``registry`` is the one ``exposition`` renders at the scrape; never the library's default one.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        exposition: Exposition,
        version: str,
        revision: str = "",
        max_series: int = MAX_SERIES,
    ) -> None:
        self._exposition = exposition
        self._max_series = max_series
        self._targets: dict[str, TargetMetrics] = {}
        self._storms: frozenset[str] = frozenset()
        make = self._make = _Maker(registry)
        make.gauge("build_info").labels(version, revision).set(1)
        self._probe_duration = make.histogram("probe_duration_seconds")
        self._policy_mode = make.gauge("policy_mode")
        self._decisions = make.counter("decisions_total")
        self._operation_duration = make.histogram("operation_duration_seconds")
        self._heal_duration = make.histogram("heal_duration_seconds")
        self._in_flight = make.gauge("operations_in_flight")
        self._pending = make.gauge("approvals_pending")
        self._storm_affected = make.gauge("storm_affected")
        self._storm_allowed = make.gauge("storm_allowed")
        self._paused = make.gauge("paused")
        self._pause_expiry = make.gauge("pause_expiry_timestamp_seconds")
        self.pauses(())
        self._notifications = make.counter("notifications_total")
        self._notifiers: frozenset[str] = frozenset()
        self._alerts_heard = make.sometimes("alertmanager_last_ok_timestamp_seconds")
        self._auth_failures = make.counter("auth_failures_total")
        self._ledger_failures = make.counter("ledger_write_failures_total")
        self._ledger_head = make.gauge("ledger_head_sequence")
        self._ledger_verified: Gauge | None = None
        self._round_lag = make.histogram("round_lag_seconds")
        self._rounds_skipped = make.counter("rounds_skipped_total")
        self._series_dropped = make.counter("series_dropped_total")
        for family in TARGET_FAMILIES:
            if family.capped:
                self._series_dropped.labels(family.name)
        self._reload_ok = make.gauge("config_last_reload_successful")
        self._reload_at = make.gauge("config_last_reload_success_timestamp_seconds")

    # Configuration

    def configure(
        self, targets: Iterable[Target], modes: Mapping[str, Mode], *, now: datetime
    ) -> None:
        """Take over what is configured now: targets, and each policy's mode under ``max_mode``.

        A new target is shown as unknown at once; one that is gone loses every series.
        """
        wanted = {target.name: target for target in targets}
        for name in self._targets.keys() - wanted.keys():
            del self._targets[name]
            self._exposition.drop(name)
        for name, target in wanted.items():
            if name in self._targets:
                self._targets[name].configure(target)
            else:
                self._targets[name] = TargetMetrics(target, max_series=self._max_series)
            self._render(name, now)
        self._policy_mode.clear()
        for policy, present in modes.items():
            for mode in Mode:
                self._policy_mode.labels(policy, mode).set(mode is present)

    def config_reloaded(self, *, ok: bool, at: datetime) -> None:
        """Say how the last attempt to load the configuration went, the first one included."""
        self._reload_ok.set(ok)
        if ok:
            self._reload_at.set(at.timestamp())

    def target_owned(self, target: str, *, owned: bool) -> None:
        """Say whether this instance may act on the target (shown from its next round on)."""
        if target in self._targets:
            self._targets[target].owned = owned

    def admin_token(self, target: str, *, expires_at: datetime | None) -> None:
        """Say when the target's admin token expires (shown from its next round on)."""
        if target in self._targets:
            self._targets[target].admin_token_expires_at = expires_at

    # Rounds

    def observe_probe(self, target: str, reading: Reading) -> None:
        """Count and time one probe (shown from the target's next round on)."""
        seconds = (reading.finished_at - reading.started_at).total_seconds()
        self._probe_duration.labels(reading.component).observe(max(seconds, 0.0))
        if target in self._targets:
            self._targets[target].probed(reading)

    def round_ended(
        self,
        report: Report,
        findings: Findings,
        decisions: Iterable[Decision] = (),
        readings: Iterable[Reading] = (),
        *,
        now: datetime,
    ) -> None:
        """Render a target after its round: all it says until the next one.

        ``decisions`` are all present decisions about the target; the held ones are shown.
        ``readings`` are those of this round that were not given to ``observe_probe`` yet.
        """
        for reading in readings:
            self.observe_probe(report.target, reading)
        metrics = self._targets.get(report.target)
        if metrics is None:
            return
        metrics.reported(report)
        metrics.decided(decisions, now)
        made = metrics.collect(now, findings)
        for family, count in made.dropped.items():
            self._series_dropped.labels(family).inc(count)
        self._exposition.render(report.target, made.families)

    def round_lag(self, seconds: float) -> None:
        """Say how much later than planned a round began."""
        self._round_lag.observe(max(seconds, 0.0))

    def round_skipped(self, reason: str) -> None:
        """Count a round that did not take place; ``reason`` is one of the scheduler's few words."""
        self._rounds_skipped.labels(reason).inc()

    def sweep(self, now: datetime) -> None:
        """Render again what time alone has changed: a stalled target must not stay ok."""
        for name, metrics in self._targets.items():
            if metrics.due(now):
                self._render(name, now)

    # Decisions and operations

    def decision_changed(
        self, policy: str, result: Result, reason: HoldReason | None = None
    ) -> None:
        """Count a decision that differs from the one before it."""
        self._decisions.labels(policy, result, reason or "").inc()

    def limits_left(self, target: str, left: Mapping[tuple[str, str], int]) -> None:
        """Say what limits still allow on a target, by (policy, scope), replacing what was said."""
        if target in self._targets:
            self._targets[target].limits = dict(left)

    def breakers(self, target: str, is_open: Mapping[str, bool]) -> None:
        """Say which policies' breakers are open on a target, replacing what was said."""
        if target in self._targets:
            self._targets[target].breakers = dict(is_open)

    def operations_in_flight(self, count: int) -> None:
        """Say how many operations are open."""
        self._in_flight.set(count)

    def approvals_pending(self, count: int) -> None:
        """Say how many plans wait for a person."""
        self._pending.set(count)

    def operation_finished(self, operation: Operation, *, now: datetime) -> None:
        """Count an operation that has its outcome, time it if it acted, and show it at once."""
        acted = operation.outcome not in _NEVER_ACTED
        if acted and operation.finished_at is not None:
            # How long a person took to say yes is not how long it took.
            begun = operation.approved_at or operation.created_at
            seconds = (operation.finished_at - begun).total_seconds()
            self._operation_duration.labels(operation.remedy).observe(max(seconds, 0.0))
        if operation.target in self._targets:
            self._targets[operation.target].operated(operation)
            self._render(operation.target, now)

    def storms(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Say, by policy, how many targets are affected and how many may be."""
        if counts.keys() != self._storms:
            self._storm_affected.clear()
            self._storm_allowed.clear()
            self._storms = frozenset(counts)
        for policy, (affected, allowed) in counts.items():
            self._storm_affected.labels(policy).set(affected)
            self._storm_allowed.labels(policy).set(allowed)

    def pauses(self, in_force: Iterable[Pause]) -> None:
        """Say which pauses are in force, replacing what was said."""
        pauses = tuple(in_force)
        self._pause_expiry.clear()
        for scope in get_args(PauseScope):
            here = [pause for pause in pauses if pause.scope == scope]
            self._paused.labels(scope).set(len(here))
            ends = [pause.expires_at.timestamp() for pause in here if pause.expires_at]
            if ends:
                self._pause_expiry.labels(scope).set(min(ends))

    def heal_seconds(self, policy: str, seconds: float) -> None:
        """Time a heal: from the condition becoming true to the verified repair."""
        self._heal_duration.labels(policy).observe(max(seconds, 0.0))

    def notifiers(self, names: Iterable[str]) -> None:
        """Take over which notifiers there are; each is shown from the start, with zeros."""
        present = frozenset(names)
        for delivery in Delivery:
            for name in self._notifiers - present:
                self._notifications.remove(name, delivery)
            for name in present:
                self._notifications.labels(name, delivery)
        self._notifiers = present

    def told(self, receipt: Receipt) -> None:
        """Count what became of a message."""
        if receipt.notifier in self._notifiers:
            self._notifications.labels(receipt.notifier, receipt.delivery).inc()

    # Alertmanager

    def alertmanager_heard(self, at: datetime | None) -> None:
        """Say when Alertmanager was last read; None: it never was, and nothing is shown."""
        self._alerts_heard.value = None if at is None else at.timestamp()

    # The HTTP interface

    def auth_failed(self) -> None:
        """Count a request without a valid key or password, or with a role that is too low."""
        self._auth_failures.inc()

    # Ledger

    def ledger_failed(self) -> None:
        """Count a failed write to the ledger."""
        self._ledger_failures.inc()

    def ledger_head(self, sequence: int) -> None:
        """Say the sequence number of the newest entry."""
        self._ledger_head.set(sequence)

    def ledger_verified(self, at: datetime) -> None:
        """Say when the whole chain was last found to hold."""
        if self._ledger_verified is None:  # a gauge without labels would be 0 from the start
            self._ledger_verified = self._make.gauge("ledger_verified_timestamp_seconds")
        self._ledger_verified.set(at.timestamp())

    def _render(self, target: str, now: datetime) -> None:
        self._exposition.render(target, self._targets[target].collect(now).families)


class _Sometimes(Collector):
    """A gauge without labels that has no sample while nobody knows its value."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self.value: float | None = None

    def describe(self) -> Iterable[Metric]:
        return [self._family.empty()]

    def collect(self) -> Iterable[Metric]:
        metric = self._family.empty()
        if self.value is not None:
            metric.add_sample(self._family.name, {}, self.value)
        return [metric]


class _Maker:
    """Makes the library's metrics from the catalogue's rows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def gauge(self, short: str) -> Gauge:
        family = CATALOGUE[short]
        return Gauge(family.name, family.help, family.label_names, registry=self._registry)

    def sometimes(self, short: str) -> _Sometimes:
        made = _Sometimes(CATALOGUE[short])
        self._registry.register(made)
        return made

    def counter(self, short: str) -> Counter:
        family = CATALOGUE[short]
        return Counter(family.name, family.help, family.label_names, registry=self._registry)

    def histogram(self, short: str) -> Histogram:
        family = CATALOGUE[short]
        return Histogram(
            family.name,
            family.help,
            family.label_names,
            registry=self._registry,
            buckets=family.buckets,
        )
