"""One target: how each of its components is and was, its work, and what was done about it."""

from __future__ import annotations

from grafana import shared
from grafana.board import TARGET, Board, Row, one
from grafana.panels import (
    BAD_ABOVE_ZERO,
    GREEN,
    RED,
    STATUS_WORDS,
    YELLOW,
    Column,
    Query,
    lines,
    stat,
    table,
    timeline,
)
from grafana.promql import SCRAPED, Scope, age, events, folded, in_range, not_well, status

SCOPE = Scope({"target": 'target="$target"'})


def board() -> Board:
    """The whole dashboard."""
    return Board(
        uid=TARGET,
        title="Restate medic / Target",
        description="One Restate: its components, deployments, invocations, and what was done.",
        scope=SCOPE,
        variables=[one("target", "Target", "up", SCRAPED)],
        rows=[_now(), _components(), _registration(), _work(), _engine(), _done()],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            stat(
                "Up",
                "Whether ingress and admin API are both ok; no also while that is unknown.",
                Query(folded("", SCOPE("up")), "up"),
                words=shared.YES_NO,
                width=3,
            ),
            stat(
                "Components not well",
                "How many are degraded, unreachable or unknown.",
                Query(folded("", not_well(SCOPE)), "components"),
                steps=BAD_ABOVE_ZERO,
                width=4,
            ),
            stat(
                "Restate",
                "The version that the admin API tells; empty while it does not.",
                Query(folded("restate_version", SCOPE("target_info")), "{{restate_version}}"),
                names=True,
                width=3,
            ),
            stat(
                "May be repaired",
                "Whether an instance of restate-medic may act here; the others stand by.",
                Query(folded("", SCOPE("target_owned")), "owned"),
                words=shared.YES_NO,
                width=4,
            ),
            stat(
                "Operations",
                "That ended within the dashboard's time range, refused and rehearsed too.",
                Query(
                    f"{in_range(events(SCOPE('operations_total')))} or vector(0)",
                    "operations",
                ),
                width=3,
            ),
            stat(
                "Breakers open",
                "Policies that have stopped here, because what they did had not helped.",
                Query(f"sum({folded('policy', SCOPE('breaker_open'))})", "policies"),
                steps=BAD_ABOVE_ZERO,
                width=3,
            ),
            stat(
                "Admin token ends in",
                "When the admin token is a JWT that says when it expires.",
                Query(
                    folded("", SCOPE("admin_token_expiry_timestamp_seconds"), how="min")
                    + " - time()",
                    "left",
                ),
                unit="s",
                steps=((None, RED), (86400, YELLOW), (604800, GREEN)),
                width=4,
            ),
        ],
    )


def _components() -> Row:
    last_ok = folded("component", SCOPE("component_last_ok_timestamp_seconds"))
    last_run = folded("component", SCOPE("component_last_run_timestamp_seconds"))
    return Row(
        "Components",
        [
            timeline(
                "Status",
                "Each component over time, at its worst within a step. A gap: nobody watched.",
                Query(status(SCOPE, by="component", window="$__rate_interval"), "{{component}}"),
                words=STATUS_WORDS,
            ),
            timeline(
                "Reasons",
                "Why a component was not well, where and as long as it was not.",
                Query(
                    folded(
                        "component, reason",
                        f"max_over_time({SCOPE('component_failure')}[$__rate_interval])",
                    ),
                    "{{component}}: {{reason}}",
                ),
                words={1: ("not well", RED)},
                height=7,
                width=14,
            ),
            table(
                "Last readings",
                "How long ago each component was last ok, and last read at all.",
                Query(age(last_ok), "Last ok"),
                Query(age(last_run), "Last read"),
                columns=[Column("Last ok", unit="s"), Column("Last read", unit="s")],
                sort_by="Last ok",
                width=10,
                height=7,
            ),
            lines(
                "Latency",
                "How long the newest good answer of each component took.",
                Query(folded("component", SCOPE("component_latency_seconds")), "{{component}}"),
                unit="s",
            ),
            lines(
                "Probes that failed",
                "Readings that were not ok, by component and reason.",
                Query(
                    events(SCOPE("probe_failures_total"), by="component, reason"),
                    "{{component}}: {{reason}}",
                ),
                unit="short",
                style="bars",
            ),
        ],
    )


def _registration() -> Row:
    return Row(
        "Registration",
        [
            lines(
                "Deployments",
                "By state (draining: unfinished work rests on an older one; drained: nothing does) "
                "and owner (ours: serves what our workers serve).",
                Query(
                    folded("state, owner", SCOPE("deployments")) + " > 0", "{{state}}, {{owner}}"
                ),
                unit="short",
                style="stacked",
                width=8,
            ),
            lines(
                "Services",
                "Registered; missing: expected and not registered; unexposed: registered, but "
                "unknown to the ingress.",
                Query(folded("state", SCOPE("services")), "{{state}}"),
                unit="short",
                width=8,
            ),
            lines(
                "Drift",
                "Services and handlers in which what the workers offer differs from what is "
                "registered.",
                Query(folded("change", SCOPE("worker_drift")), "{{change}}"),
                unit="short",
                width=8,
            ),
        ],
    )


def _work() -> Row:
    failed = folded("restate_service", SCOPE("failed_workflows"))
    return Row(
        "Work",
        [
            lines(
                "Unfinished invocations",
                "Invocations that are not completed, by status.",
                Query(folded("status", SCOPE("invocations")), "{{status}}"),
                unit="short",
                style="stacked",
            ),
            lines(
                "Oldest",
                "Age of the oldest unfinished invocation of each status: since it was created, or "
                "for paused ones since it was paused.",
                Query(folded("status", SCOPE("oldest_invocation_age_seconds")), "{{status}}"),
                unit="s",
            ),
            lines(
                "By service",
                "Unfinished invocations of the ten services that have most.",
                Query(
                    "topk(10, "
                    + folded(
                        "restate_service",
                        folded("restate_service, status", SCOPE("service_invocations")),
                        how="sum",
                    )
                    + ")",
                    "{{restate_service}}",
                ),
                unit="short",
            ),
            lines(
                "Oldest by service",
                "Age of the oldest unfinished invocation of a service and status; the ten oldest.",
                Query(
                    "topk(10, "
                    + folded(
                        "restate_service, status", SCOPE("service_oldest_invocation_age_seconds")
                    )
                    + ")",
                    "{{restate_service}}, {{status}}",
                ),
                unit="s",
            ),
            lines(
                "By deployment",
                "Unfinished invocations that are pinned to a deployment; the ten that have most. A "
                "deployment that none is pinned to can be removed.",
                Query(
                    f"topk(10, {folded('deployment', SCOPE('deployment_invocations'))})",
                    "{{deployment}}",
                ),
                unit="short",
            ),
            lines(
                "Stuck",
                "Zombies are pinned to a deployment that is gone. A failed key holds a workflow's "
                "failed run, and cannot be submitted again.",
                Query(folded("", SCOPE("zombie_invocations")), "zombies"),
                Query(f"{failed} > 0", "failed keys of {{restate_service}}"),
                unit="short",
            ),
        ],
    )


def _engine() -> Row:
    return Row(
        "Engine",
        [
            stat(
                "Last heartbeat",
                "How long ago a real invocation last went through Restate and its worker and back.",
                Query(age(folded("", SCOPE("heartbeat_last_success_timestamp_seconds"))), "ago"),
                unit="s",
                steps=((None, GREEN), (172800, RED)),
            ),
            stat(
                "Partitions blocked",
                "Partitions that the node says it cannot run; what is on them stands still.",
                Query(folded("", SCOPE("partitions_blocked")), "partitions"),
                steps=BAD_ABOVE_ZERO,
            ),
            lines(
                "Heartbeat",
                "How long the newest heartbeat that succeeded took, from handing in to its end.",
                Query(folded("", SCOPE("heartbeat_duration_seconds")), "heartbeat"),
                unit="s",
                width=8,
            ),
            lines(
                "Scan",
                "How long the newest scan of the invocations took on the server. It slows itself "
                "down when it costs much.",
                Query(folded("", SCOPE("scan_duration_seconds")), "scan"),
                unit="s",
                width=8,
            ),
        ],
    )


def _done() -> Row:
    return Row(
        "What was done",
        [
            shared.last_operations(SCOPE),
            shared.held(SCOPE, width=14, height=8),
            table(
                "Limits left",
                "Operations that each limit of a policy still allows here.",
                Query(folded("policy, scope", SCOPE("limit_remaining"), how="min"), "Left"),
                columns=[Column("Left", unit="short", steps=((None, RED), (1, GREEN)))],
                sort_by="Left",
                lowest_first=True,
                width=10,
                height=8,
            ),
        ],
    )
