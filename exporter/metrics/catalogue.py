"""Every metric family, in one table: name, type, help, labels, scope, buckets.

Names and labels are promises to dashboards and alerts. The values come from ``families`` (one
target) and ``instruments`` (the process); the docs are made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

PREFIX = "restate_medic_"
TARGET_LABEL = "target"


class Kind(StrEnum):
    """The Prometheus type of a family."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Scope(StrEnum):
    """``target``: carries the label ``target`` and goes when the target goes."""

    TARGET = "target"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. ``labels`` leaves out ``target``, which ``scope`` adds."""

    short: str
    """The name without the prefix, as in the design; a counter's ends in ``_total``."""
    kind: Kind
    scope: Scope
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    """What the value counts or measures, for documentation: ``seconds``, ``Unix seconds``."""
    capped: bool = False
    """Whether only the largest values of a target are kept, as its labels come from outside."""
    buckets: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """The name a query uses (for a histogram, without ``_bucket``)."""
        return PREFIX + self.short

    @property
    def family_name(self) -> str:
        """The name OpenMetrics gives the family: a counter's has no ``_total``."""
        return self.name.removesuffix("_total") if self.kind is Kind.COUNTER else self.name

    @property
    def label_names(self) -> tuple[str, ...]:
        """All labels, ``target`` first where there is one."""
        return (TARGET_LABEL, *self.labels) if self.scope is Scope.TARGET else self.labels

    def empty(self) -> GaugeMetricFamily | CounterMetricFamily:
        """A family without samples, for collectors. Histograms are kept by the client library."""
        make = CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily
        return make(self.name, self.help, labels=self.label_names)


@dataclass(frozen=True, slots=True)
class _Row:
    """Shortens the tables below."""

    kind: Kind
    scope: Scope

    def __call__(
        self,
        short: str,
        text: str,
        *labels: str,
        unit: str = "",
        capped: bool = False,
        buckets: tuple[float, ...] = (),
    ) -> Family:
        return Family(short, self.kind, self.scope, text, labels, unit, capped, buckets)


_gauge = _Row(Kind.GAUGE, Scope.TARGET)
_counter = _Row(Kind.COUNTER, Scope.TARGET)
_process_gauge = _Row(Kind.GAUGE, Scope.PROCESS)
_process_counter = _Row(Kind.COUNTER, Scope.PROCESS)
_histogram = _Row(Kind.HISTOGRAM, Scope.PROCESS)

TIMERS = "This exporter probes on its own timers, not when it is scraped."
NEWEST = "As of the newest good reading; absent once that is stale."
LARGEST = "Only the largest values of a target are kept; see restate_medic_series_dropped_total."
_SECONDS = "seconds"
_WHEN = "Unix seconds"

TARGET_FAMILIES: tuple[Family, ...] = (
    _gauge(
        "target_info",
        "Always 1. The version is empty while the admin API does not tell it.",
        "restate_version",
        "kind",
    ),
    _gauge(
        "up",
        f"1 when ingress and admin are both ok, 0 otherwise, also while unknown. {TIMERS}",
    ),
    _gauge("target_owned", "1 when this instance is the one that may act on the target."),
    _gauge(
        "admin_token_expiry_timestamp_seconds",
        "When the admin token says that it expires; absent when it is no JWT, or does not say.",
        unit=_WHEN,
    ),
    _gauge(
        "component_status",
        "1 for the present status of the component, 0 for the others (ok, degraded, unreachable, "
        f"unknown: no fresh reading, off: not probed). {TIMERS}",
        "component",
        "status",
    ),
    _gauge(
        "component_failure",
        "1 for the reason why the component is not ok now; absent when it is ok or unknown.",
        "component",
        "reason",
    ),
    _gauge(
        "component_latency_seconds",
        "How long the component's newest answer took.",
        "component",
        unit=_SECONDS,
    ),
    _gauge(
        "component_last_run_timestamp_seconds",
        f"When the component was last probed, whatever the result. {TIMERS}",
        "component",
        unit=_WHEN,
    ),
    _gauge(
        "component_last_ok_timestamp_seconds",
        "When the component was last found ok; absent when it has not been since the start.",
        "component",
        unit=_WHEN,
    ),
    _counter("probes_total", f"Probes run. {TIMERS}", "component", unit="probes"),
    _counter(
        "probe_failures_total",
        "Probes whose result was not ok, by reason.",
        "component",
        "reason",
        unit="probes",
    ),
    _gauge(
        "deployments",
        "Registered deployments by state (active, draining, drained, unknown) and owner (ours, "
        f"foreign, protected). {NEWEST}",
        "state",
        "owner",
        unit="deployments",
    ),
    _gauge(
        "services",
        "Services by state: registered, missing (expected but not registered), unexposed "
        f"(registered but absent at the ingress). {NEWEST}",
        "state",
        unit="services",
    ),
    _gauge(
        "worker_drift",
        "Differences between what the workers offer and what is registered, by change (added, "
        f"dropped, changed, type_changed). {NEWEST}",
        "change",
        unit="services and handlers",
    ),
    _gauge(
        "invocations",
        f"Invocations that are not completed, by status. {NEWEST}",
        "status",
        unit="invocations",
    ),
    _gauge(
        "service_invocations",
        f"Invocations that are not completed, by service and status. {NEWEST} {LARGEST}",
        "restate_service",
        "status",
        unit="invocations",
        capped=True,
    ),
    _gauge(
        "deployment_invocations",
        f"Invocations that are not completed and pinned to the deployment. {NEWEST} {LARGEST}",
        "deployment",
        unit="invocations",
        capped=True,
    ),
    _gauge(
        "oldest_invocation_age_seconds",
        "Age of the oldest invocation that is not completed, by status: since it was created, or "
        f"for paused ones since it was paused. {NEWEST}",
        "status",
        unit=_SECONDS,
    ),
    _gauge(
        "service_oldest_invocation_age_seconds",
        "Age of the oldest invocation that is not completed, by service and status: since it was "
        f"created, or for paused ones since it was paused. {NEWEST} {LARGEST}",
        "restate_service",
        "status",
        unit=_SECONDS,
        capped=True,
    ),
    _gauge(
        "zombie_invocations",
        "Invocations that are not completed and pinned to a deployment that no longer exists. "
        f"{NEWEST}",
        unit="invocations",
    ),
    _gauge(
        "failed_workflows",
        "Workflow keys whose run has failed, at least (a long list is cut), by workflow. "
        f"{NEWEST} {LARGEST}",
        "restate_service",
        unit="keys",
        capped=True,
    ),
    _gauge(
        "scan_duration_seconds",
        f"How long the newest scan of the invocations took on the server. {NEWEST}",
        unit=_SECONDS,
    ),
    _gauge(
        "heartbeat_duration_seconds",
        "How long the newest heartbeat that succeeded took, from handing its invocation in to its "
        "stored end; absent until one has.",
        unit=_SECONDS,
    ),
    _gauge(
        "heartbeat_last_success_timestamp_seconds",
        "When a heartbeat last succeeded; absent until one has.",
        unit=_WHEN,
    ),
    _gauge(
        "partitions_blocked",
        f"Partitions that the node at node_url says it cannot run. {NEWEST}",
        unit="partitions",
    ),
    _gauge(
        "policy_held_since_timestamp_seconds",
        "Since when the policy has been held on the target for this reason; absent when it is not.",
        "policy",
        "reason",
        unit=_WHEN,
    ),
    _counter(
        "operations_total",
        "Operations that ended, by outcome. The policy is empty for a person's operation.",
        "policy",
        "remedy",
        "source",
        "outcome",
        unit="operations",
    ),
    _gauge(
        "limit_remaining",
        "Operations that the policy's limit of this scope still allows on the target.",
        "policy",
        "scope",
        unit="operations",
    ),
    _gauge(
        "breaker_open",
        "1 while the policy does not act on the target because its operations did not help; for "
        "policies whose remedy was ever used there.",
        "policy",
    ),
)

PROCESS_FAMILIES: tuple[Family, ...] = (
    _process_gauge("build_info", "Always 1.", "version", "revision"),
    _histogram(
        "probe_duration_seconds",
        "How long probes took, answered or not.",
        "component",
        unit=_SECONDS,
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    ),
    _process_gauge(
        "policy_mode",
        "1 for the mode the policy is in, 0 for the others; max_mode is taken into account.",
        "policy",
        "mode",
    ),
    _process_counter(
        "decisions_total",
        "Changes of decisions: a policy on a target (or one item of it) came to another result.",
        "policy",
        "result",
        "reason",
        unit="changes",
    ),
    _histogram(
        "operation_duration_seconds",
        "From the reservation of an operation to its outcome, for those that acted.",
        "remedy",
        unit=_SECONDS,
        buckets=(1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
    ),
    _histogram(
        "heal_duration_seconds",
        "From the moment a policy's condition became true to the verified repair.",
        "policy",
        unit=_SECONDS,
        buckets=(10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600),
    ),
    _process_gauge("operations_in_flight", "Operations that are open now.", unit="operations"),
    _process_gauge("approvals_pending", "Plans that wait for a person.", unit="operations"),
    _process_gauge(
        "storm_affected",
        "Targets on which the policy's condition is true, or not known to be false.",
        "policy",
        unit="targets",
    ),
    _process_gauge(
        "storm_allowed",
        "How many targets may be affected before the policy holds on all of them.",
        "policy",
        unit="targets",
    ),
    _process_gauge(
        "paused",
        "Pauses in force, by what they hold: global (every policy), target or policy.",
        "scope",
        unit="pauses",
    ),
    _process_gauge(
        "pause_expiry_timestamp_seconds",
        "When the next of the pauses in force runs out; absent when none does by itself.",
        "scope",
        unit=_WHEN,
    ),
    _process_counter(
        "notifications_total",
        "Messages to people, by what became of them: delivered; failed (refused, or given up); "
        "dropped (too many were waiting, or the daemon stopped).",
        "notifier",
        "outcome",
        unit="messages",
    ),
    _process_gauge(
        "alertmanager_last_ok_timestamp_seconds",
        "When all that Alertmanager knows was last read; absent while it never was.",
        unit=_WHEN,
    ),
    _process_counter(
        "auth_failures_total",
        "Requests refused because their key or password was missing or wrong, or its role too low.",
        unit="requests",
    ),
    _process_counter(
        "ledger_write_failures_total", "Writes to the ledger that failed.", unit="writes"
    ),
    _process_gauge(
        "ledger_head_sequence", "Sequence number of the ledger's newest entry.", unit="entries"
    ),
    _process_gauge(
        "ledger_verified_timestamp_seconds",
        "When the ledger's chain of hashes was last read as a whole and held; absent until then. "
        "It is read at the start and every hour.",
        unit=_WHEN,
    ),
    _histogram(
        "round_lag_seconds",
        "How much later than planned rounds began.",
        unit=_SECONDS,
        buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    ),
    _process_counter(
        "rounds_skipped_total",
        "Rounds that did not take place, by reason.",
        "reason",
        unit="rounds",
    ),
    _process_counter(
        "series_dropped_total",
        "Series left out of a round's result because a target had too many.",
        "family",
        unit="series",
    ),
    _process_gauge(
        "config_last_reload_successful",
        "1 when the configuration was loaded at the last attempt, 0 when the old one was kept.",
    ),
    _process_gauge(
        "config_last_reload_success_timestamp_seconds",
        "When the configuration was last loaded successfully.",
        unit=_WHEN,
    ),
)

CATALOGUE: Mapping[str, Family] = MappingProxyType(
    {family.short: family for family in (*TARGET_FAMILIES, *PROCESS_FAMILIES)}
)
"""By short name."""
