"""What the series say: unknown is never 0, failed reads age out, nothing outlives its target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import Exposition, Instruments, new_registry
from exporter.metrics.catalogue import CATALOGUE, PREFIX, Scope
from exporter.metrics.document import metrics_text
from exporter.metrics.negotiation import Format
from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.derive import derive
from exporter.model.heartbeat import HeartbeatView
from exporter.model.hold import HoldReason
from exporter.model.message import Delivery, Receipt
from exporter.model.operation import Operation, Outcome, Phase, PolicyRef
from exporter.model.orders import Pause
from exporter.model.report import Report
from exporter.model.target import Target
from exporter.model.views import InvocationGroup, InvocationsView, NodeView
from tests.benchmarks import synthetic

START = synthetic.START
SCAN = (
    "invocations",
    "service_invocations",
    "deployment_invocations",
    "oldest_invocation_age_seconds",
    "service_oldest_invocation_age_seconds",
    "zombie_invocations",
    "failed_workflows",
    "scan_duration_seconds",
)


class Lab:
    """One target and everything that is said about it."""

    def __init__(self, target: Target | None = None, max_series: int = 200) -> None:
        registry = CollectorRegistry()
        self.target = target or synthetic.target()
        self.exposition = Exposition(registry=registry)
        self.instruments = Instruments(
            registry=registry, exposition=self.exposition, version="1", max_series=max_series
        )
        self.instruments.configure([self.target], {}, now=START)

    def round(
        self, report: Report, now: datetime = START, decisions: Iterable[Decision] = ()
    ) -> None:
        findings = derive(report, self.target, now=now)
        self.instruments.round_ended(report, findings, decisions, now=now)

    def series(self, short: str) -> dict[tuple[str, ...], float]:
        """Values by the other labels' values, in the catalogue's order."""
        labels = CATALOGUE[short].labels
        page = self.exposition.body(Format.TEXT).decode()
        return {
            tuple(sample.labels[name] for name in labels): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == PREFIX + short
        }

    def status(self, component: Component) -> str:
        rows = self.series("component_status")
        (present,) = (s for (c, s), value in rows.items() if c == component and value)
        return present


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_target_that_was_never_read_is_unknown(lab: Lab) -> None:
    """Right after the start every probed component is unknown, and no value is shown."""
    assert {lab.status(c) for c in Component} == {"unknown"}
    assert lab.series("up") == {(): 0.0}
    for short in (*SCAN, "deployments", "services", "worker_drift"):
        assert lab.series(short) == {}


def test_a_component_that_is_not_probed_is_off() -> None:
    """``off`` is a status of its own, neither ok nor unknown."""
    target = replace(synthetic.target(), intervals={Component.ADMIN: timedelta(seconds=15)})
    lab = Lab(target)
    assert lab.status(Component.DRIFT) == "off"
    assert lab.status(Component.ADMIN) == "unknown"


def test_a_healthy_target(lab: Lab) -> None:
    """Every family says what the readings saw."""
    report = synthetic.report(lab.target)
    lab.round(report)
    assert {lab.status(c) for c in Component} == {"ok"}
    assert lab.series("up") == {(): 1.0}
    assert lab.series("target_info") == {("1.7.12", "restate"): 1.0}
    assert lab.series("target_owned") == {(): 1.0}
    assert lab.series("component_failure") == {}
    assert lab.series("component_latency_seconds")["admin",] == 0.0125
    finished = report.readings[Component.ADMIN].finished_at.timestamp()
    assert lab.series("component_last_run_timestamp_seconds")["admin",] == finished
    assert lab.series("component_last_ok_timestamp_seconds")["admin",] == finished
    deployments = lab.series("deployments")
    assert deployments["active", "ours"] == 1
    assert deployments["drained", "ours"] == 1
    assert deployments["draining", "foreign"] == 0
    assert lab.series("services") == {("registered",): 2, ("missing",): 0, ("unexposed",): 0}
    assert set(lab.series("worker_drift").values()) == {0.0}
    assert lab.series("invocations") == {
        ("inboxed",): 0,
        ("scheduled",): 0,
        ("invoked",): 6,
        ("suspended",): 4,
        ("paused",): 2,
    }
    assert lab.series("service_invocations")["Orders", "invoked"] == 3
    assert lab.series("deployment_invocations") == {("dp_new",): 12, ("dp_old",): 0}
    ages = lab.series("oldest_invocation_age_seconds")
    assert ages == {("invoked",): 300, ("suspended",): 3600, ("paused",): 300}
    of_services = lab.series("service_oldest_invocation_age_seconds")
    assert of_services == {(s, *k): v for s in ("Orders", "Mail") for k, v in ages.items()}
    assert lab.series("heartbeat_duration_seconds") == {(): 0.02}
    succeeded = (START - timedelta(hours=1)).timestamp()
    assert lab.series("heartbeat_last_success_timestamp_seconds") == {(): succeeded}
    assert lab.series("partitions_blocked") == {(): 0}
    assert lab.series("zombie_invocations") == {(): 0.0}
    assert lab.series("failed_workflows") == {("Orders",): 1, ("Mail",): 0}
    assert lab.series("scan_duration_seconds") == {(): 0.2}


def test_values_of_a_failed_read_stay_until_they_are_stale(lab: Lab) -> None:
    """A failing scan keeps its last good values for three intervals, then they disappear."""
    good = synthetic.report(lab.target)
    lab.round(good)
    before = {short: lab.series(short) for short in SCAN if "oldest_invocation_age" not in short}
    later = START + timedelta(seconds=100)
    failing = synthetic.failure(lab.target, Component.INVOCATIONS, Reason.QUERY_FAILED, later)
    fresh = synthetic.report(lab.target, later).readings.values()
    lab.round(synthetic.with_readings(good, *fresh, failing), later)
    assert lab.status(Component.INVOCATIONS) == "degraded"
    assert lab.series("component_failure") == {("invocations", "query_failed"): 1.0}
    assert {short: lab.series(short) for short in before} == before

    lab.instruments.sweep(START + timedelta(seconds=180))
    assert lab.series("invocations")
    lab.instruments.sweep(START + timedelta(seconds=181))
    assert {short: lab.series(short) for short in SCAN} == {short: {} for short in SCAN}
    assert lab.status(Component.INVOCATIONS) == "degraded"


def test_a_stalled_target_does_not_stay_ok(lab: Lab) -> None:
    """Without a new round the sweep turns every component unknown and takes its values away."""
    lab.round(synthetic.report(lab.target))
    lab.instruments.sweep(START + timedelta(seconds=45))
    assert lab.status(Component.ADMIN) == "ok"
    lab.instruments.sweep(START + timedelta(seconds=46))
    assert lab.status(Component.ADMIN) == "unknown"
    assert lab.series("up") == {(): 0.0}
    assert lab.status(Component.DRIFT) == "ok"
    lab.instruments.sweep(START + timedelta(hours=1))
    assert {lab.status(c) for c in Component} == {"unknown"}
    assert lab.series("services") == {}
    assert lab.series("component_last_ok_timestamp_seconds")


def test_a_clock_that_was_set_back_is_noticed(lab: Lab) -> None:
    """Readings from the future are not relied on: the sweep shows them as unknown."""
    lab.round(synthetic.report(lab.target))
    lab.instruments.sweep(START - timedelta(hours=1))
    assert {lab.status(c) for c in Component} == {"unknown"}


def test_what_cannot_be_classified_is_not_counted_as_zero(lab: Lab) -> None:
    """Without a scan nobody knows what drains: there is no 0 for it, and what is sure stays."""
    seen = synthetic.views()
    del seen[Component.INVOCATIONS]
    lab.round(synthetic.report(lab.target, seen=seen))
    deployments = lab.series("deployments")
    assert {state for state, _ in deployments} == {"active", "unknown"}
    assert deployments["unknown", "ours"] == 1
    assert deployments["active", "ours"] == 1


def test_a_cut_list_has_no_zeros(lab: Lab) -> None:
    """When the list of failed keys was cut, a workflow that is not on it is unknown, not 0."""
    seen = synthetic.views()
    scan = seen[Component.INVOCATIONS]
    assert isinstance(scan, InvocationsView)
    seen[Component.INVOCATIONS] = replace(scan, failed_runs_complete=False)
    lab.round(synthetic.report(lab.target, seen=seen))
    assert lab.series("failed_workflows") == {("Orders",): 1}


def test_zombies_are_counted(lab: Lab) -> None:
    """Unfinished work on a deployment that no longer exists is a zombie."""
    seen = synthetic.views()
    scan = seen[Component.INVOCATIONS]
    assert isinstance(scan, InvocationsView)
    seen[Component.INVOCATIONS] = replace(scan, known_deployments=frozenset({"dp_old"}))
    lab.round(synthetic.report(lab.target, seen=seen))
    assert lab.series("zombie_invocations") == {(): 12.0}


def test_probes_and_failures_are_counted(lab: Lab) -> None:
    """Counters start at 0 for each component, and failures carry their reason."""
    assert lab.series("probes_total")["admin",] == 0
    failing = synthetic.failure(lab.target, Component.ADMIN, Reason.TIMEOUT)
    lab.instruments.observe_probe("local", failing)
    good = synthetic.report(lab.target)
    findings = derive(good, lab.target, now=START)
    lab.instruments.round_ended(good, findings, (), good.readings.values(), now=START)
    assert lab.series("probes_total")["admin",] == 2
    assert lab.series("probe_failures_total") == {("admin", "timeout"): 1}


def hold(policy: str, reason: HoldReason, item: str | None = None) -> Decision:
    return Decision(Subject(policy, "local", item), Result.HOLD, reason)


def test_holds_are_shown_with_their_beginning(lab: Lab) -> None:
    """Each holding pair says since when it holds without a break; one that ends disappears."""
    report = synthetic.report(lab.target)
    lab.round(report, START, [hold("p", HoldReason.PENDING, "a"), hold("q", HoldReason.STORM)])
    later = START + timedelta(seconds=15)
    clear = Decision(Subject("q", "local"), Result.CLEAR)
    lab.round(report, later, [hold("p", HoldReason.PENDING, "b"), clear])
    assert lab.series("policy_held_since_timestamp_seconds") == {
        ("p", "pending"): START.timestamp()
    }
    lab.round(report, later, [hold("p", HoldReason.COOLDOWN)])
    assert lab.series("policy_held_since_timestamp_seconds") == {
        ("p", "cooldown"): later.timestamp()
    }


@pytest.mark.parametrize("reason", HoldReason)
def test_every_hold_reason_is_a_label(lab: Lab, reason: HoldReason) -> None:
    """The metric says a hold in the same word as the log, the ledger and the API."""
    lab.round(synthetic.report(lab.target), START, [hold("p", reason)])
    lab.instruments.decision_changed("p", Result.HOLD, reason)
    assert list(lab.series("policy_held_since_timestamp_seconds")) == [("p", str(reason))]
    assert lab.series("decisions_total") == {("p", "hold", str(reason)): 1}


def operation(outcome: Outcome, policy: str | None = "p") -> Operation:
    return Operation(
        id="op1",
        target="local",
        remedy="force-redeploy",
        source="policy" if policy else "cli",
        actor="somebody",
        mode=Mode.ENFORCE,
        phase=Phase.CLOSED,
        created_at=START,
        arguments={},
        policy=PolicyRef(policy, "r1") if policy else None,
        finished_at=START + timedelta(seconds=20),
        outcome=outcome,
    )


def test_operations_are_counted_at_once(lab: Lab) -> None:
    """An operation that ended is on the next scrape, and timed only if it acted."""
    lab.instruments.operation_finished(operation(Outcome.VERIFIED), now=START)
    lab.instruments.operation_finished(operation(Outcome.REFUSED, None), now=START)
    assert lab.series("operations_total") == {
        ("p", "force-redeploy", "policy", "verified"): 1,
        ("", "force-redeploy", "cli", "refused"): 1,
    }
    page = lab.exposition.body(Format.TEXT).decode()
    assert 'operation_duration_seconds_sum{remedy="force-redeploy"} 20.0' in page


def test_limits_are_replaced_as_a_whole(lab: Lab) -> None:
    """What a limit still allows is shown after the round; a pair that is not said any more goes."""
    lab.instruments.limits_left("local", {("p", "target"): 2, ("p", "global"): 5})
    lab.instruments.limits_left("local", {("p", "target"): 1})
    lab.round(synthetic.report(lab.target))
    assert lab.series("limit_remaining") == {("p", "target"): 1}


def test_when_the_admin_token_expires(lab: Lab) -> None:
    """Absent, never 0, while no token says so: before, and once another one is in use."""
    family = "admin_token_expiry_timestamp_seconds"
    report = synthetic.report(lab.target)
    lab.round(report)
    assert lab.series(family) == {}
    lab.instruments.admin_token("local", expires_at=START)
    lab.instruments.admin_token("elsewhere", expires_at=START)
    lab.round(report)
    assert lab.series(family) == {(): START.timestamp()}
    lab.instruments.admin_token("local", expires_at=None)
    lab.round(report)
    assert lab.series(family) == {}


def test_a_target_that_is_not_configured_any_more_leaves_no_series(lab: Lab) -> None:
    """A reload drops its series, and what ends late cannot bring them back."""
    report = synthetic.report(lab.target)
    lab.round(report)
    lab.instruments.configure([synthetic.target("other")], {}, now=START)
    lab.round(report)
    lab.instruments.operation_finished(operation(Outcome.VERIFIED), now=START)
    lab.instruments.observe_probe("local", report.readings[Component.ADMIN])
    lab.instruments.limits_left("local", {("p", "target"): 1})
    lab.instruments.target_owned("local", owned=False)
    lab.instruments.sweep(START + timedelta(hours=1))
    page = lab.exposition.body(Format.TEXT)
    assert b'target="local"' not in page
    assert b'target="other"' in page


def test_a_target_keeps_its_counters_over_a_reload(lab: Lab) -> None:
    """Reloading resets nothing for targets that stay, and forgets components they lost."""
    lab.round(synthetic.report(lab.target))
    lab.instruments.operation_finished(operation(Outcome.VERIFIED), now=START)
    without = dict(lab.target.intervals)
    del without[Component.DRIFT]
    lab.instruments.configure([replace(lab.target, intervals=without)], {}, now=START)
    assert sum(lab.series("operations_total").values()) == 1
    assert lab.status(Component.ADMIN) == "ok"
    assert lab.status(Component.DRIFT) == "off"
    assert lab.series("worker_drift") == {}


def test_policy_modes_are_replaced_at_a_reload(lab: Lab) -> None:
    """A policy that is gone has no mode; the others show exactly one."""
    lab.instruments.configure([], {"p": Mode.OBSERVE, "gone": Mode.OFF}, now=START)
    lab.instruments.configure([], {"p": Mode.ENFORCE}, now=START)
    assert {k: v for k, v in lab.series("policy_mode").items() if v} == {("p", "enforce"): 1}
    assert {policy for policy, _ in lab.series("policy_mode")} == {"p"}


def test_too_many_series_are_cut_and_counted() -> None:
    """Only the largest of a capped family are kept; each round counts what was left out."""
    lab = Lab(max_series=3)
    seen = synthetic.views()
    groups = tuple(
        InvocationGroup(None, f"S{n}", "service", "invoked", None, n, START, START)
        for n in range(1, 11)
    )
    seen[Component.INVOCATIONS] = InvocationsView(groups, (), frozenset(), 0.1)
    report = synthetic.report(lab.target, seen=seen)
    lab.round(report)
    lab.round(report)
    assert set(lab.series("service_invocations")) == {(f"S{n}", "invoked") for n in (8, 9, 10)}
    assert lab.series("invocations")["invoked",] == 55
    dropped = lab.series("series_dropped_total")
    assert dropped[f"{PREFIX}service_invocations",] == 14
    assert dropped[f"{PREFIX}failed_workflows",] == 0


@pytest.mark.parametrize("name", ["nul\0", "lone \ud800", "new\nline", 'quo"te', "x" * 5000, ""])
def test_hostile_names_cannot_break_the_page(lab: Lab, name: str) -> None:
    """Whatever a server calls its services, the page stays whole and its size bounded."""
    seen = synthetic.views()
    group = InvocationGroup(name, name, "service", name, None, 1, START, START)
    seen[Component.INVOCATIONS] = InvocationsView((group, group), (), frozenset({name}), 0.1)
    lab.round(synthetic.report(lab.target, seen=seen))
    ((service, _), count), *_ = lab.series("service_invocations").items()
    assert count == 2
    assert len(service) <= 200
    assert b"\0" not in lab.exposition.body(Format.TEXT)


def test_process_wide_families() -> None:
    """What the process says about itself is on the page under the catalogue's names."""
    lab = Lab()
    lab.instruments.round_lag(-1.0)
    lab.instruments.round_skipped("missed")
    lab.instruments.ledger_failed()
    lab.instruments.auth_failed()
    lab.instruments.ledger_head(42)
    lab.instruments.operations_in_flight(1)
    lab.instruments.heal_seconds("p", 90.0)
    lab.instruments.config_reloaded(ok=True, at=START)
    lab.instruments.config_reloaded(ok=False, at=START + timedelta(seconds=9))
    assert lab.series("rounds_skipped_total") == {("missed",): 1}
    assert lab.series("ledger_write_failures_total") == {(): 1}
    assert lab.series("auth_failures_total") == {(): 1}
    assert lab.series("ledger_head_sequence") == {(): 42}
    assert lab.series("operations_in_flight") == {(): 1}
    assert lab.series("config_last_reload_successful") == {(): 0}
    assert lab.series("config_last_reload_success_timestamp_seconds") == {(): START.timestamp()}
    page = lab.exposition.body(Format.TEXT).decode()
    assert 'restate_medic_heal_duration_seconds_sum{policy="p"} 90.0' in page
    assert "restate_medic_round_lag_seconds_sum 0.0" in page


def test_every_family_of_the_catalogue_can_be_produced() -> None:
    """No family is only promised, and none is produced that the catalogue does not name."""
    lab = Lab()
    seen = synthetic.report(lab.target)
    failing = synthetic.failure(lab.target, Component.INGRESS)
    lab.instruments.observe_probe("local", failing)
    lab.instruments.limits_left("local", {("p", "target"): 2})
    lab.instruments.admin_token("local", expires_at=START)
    lab.instruments.breakers("local", {"p": True})
    lab.instruments.storms({"p": (1, 2)})
    lab.instruments.pauses([Pause(1, "global", "", "mira", "x", START, START)])
    lab.instruments.operation_finished(operation(Outcome.VERIFIED), now=START)
    lab.instruments.decision_changed("p", Result.CLEAR)
    lab.instruments.heal_seconds("p", 1.0)
    lab.instruments.round_skipped("missed")
    lab.instruments.notifiers(["ops"])
    lab.instruments.ledger_verified(START)
    lab.instruments.alertmanager_heard(START)
    lab.instruments.configure([lab.target], {"p": Mode.OFF}, now=START)
    lab.round(synthetic.with_readings(seen, failing), decisions=[hold("p", HoldReason.STORM)])
    page = lab.exposition.body(Format.TEXT).decode()
    found = {f.name for f in text_string_to_metric_families(page) if f.samples}
    assert found == {family.family_name for family in CATALOGUE.values()}


def test_notifiers_begin_at_zero_and_leave_with_their_series() -> None:
    """Each outcome is there from the start, and what is late about one that is gone is not."""
    lab = Lab()
    lab.instruments.notifiers(["ops", "night"])
    lab.instruments.told(Receipt("ops", Delivery.FAILED))
    lab.instruments.notifiers(["ops"])
    lab.instruments.told(Receipt("night", Delivery.DROPPED))
    page = lab.exposition.body(Format.TEXT).decode()
    rows = [line for line in page.splitlines() if "_notifications_total{" in line]
    name = "restate_medic_notifications_total"
    assert rows == [
        f'{name}{{notifier="ops",outcome="{outcome}"}} {count}'
        for outcome, count in (("delivered", "0.0"), ("failed", "1.0"), ("dropped", "0.0"))
    ]


def test_the_catalogue_keeps_the_conventions() -> None:
    """Base units in the name, ``_total`` on counters only, none of the labels Prometheus uses."""
    avoided = {"type", "cluster", "service", "environment", "namespace", "pod", "job", "instance"}
    for family in CATALOGUE.values():
        assert family.help.endswith(".")
        assert not avoided & set(family.labels)
        assert family.short.endswith("_total") is (family.kind == "counter")
        assert family.short.endswith("_seconds") is ("seconds" in family.unit.lower())
        assert ("target" in family.label_names) is (family.scope is Scope.TARGET)
        assert bool(family.buckets) is (family.kind == "histogram")


def test_the_process_families_are_there() -> None:
    """A registry of ours tells the process's CPU, memory and start like every exporter's."""
    exposition = Exposition(registry=new_registry())
    page = exposition.body(Format.TEXT)
    assert b"process_cpu_seconds_total" in page
    assert b"process_start_time_seconds" in page


def test_statuses_are_the_words_of_the_model(lab: Lab) -> None:
    """One gauge for each status, exactly one of them 1."""
    rows = lab.series("component_status")
    assert {status for _, status in rows} == set(Status)
    for component in Component:
        assert sum(value for (c, _), value in rows.items() if c == component) == 1


def test_what_is_seen_to_be_unwell_is_shown_at_once(lab: Lab) -> None:
    """A reading that is not ok but saw something replaces older good values, and tells why."""
    good = synthetic.report(lab.target)
    lab.round(good)
    later = START + timedelta(seconds=20)
    late = HeartbeatView(late=True, outstanding_since=START)
    blocked = NodeView(24, ("3: ahead_of_log", "7: ahead_of_log"))
    unwell = [
        replace(
            synthetic.reading(lab.target, component, view, later),
            status=Status.DEGRADED,
            reason=reason,
            error="not well",
        )
        for component, view, reason in (
            (Component.HEARTBEAT, late, Reason.LATE),
            (Component.NODE, blocked, Reason.BLOCKED),
        )
    ]
    lab.round(synthetic.with_readings(good, *unwell), later)
    assert lab.status(Component.HEARTBEAT) == lab.status(Component.NODE) == "degraded"
    assert lab.series("partitions_blocked") == {(): 2}
    assert lab.series("heartbeat_duration_seconds") == {}
    assert lab.series("component_failure") == {("heartbeat", "late"): 1, ("node", "blocked"): 1}


def test_the_metrics_page_is_current() -> None:
    """What people read is what is exported: see the page itself for how it is made."""
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_text()
    assert all(f"`{family.short}`" in metrics_text() for family in CATALOGUE.values())
