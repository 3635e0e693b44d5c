"""The overview of all targets: those that are not well first."""

from __future__ import annotations

from grafana import shared
from grafana.board import FLEET, Board, Row, targets
from grafana.panels import (
    BAD_ABOVE_ZERO,
    GREEN,
    GREY,
    NOTED_ABOVE_ZERO,
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
from grafana.promql import SCRAPED, Scope, events, folded, not_well, status

SCOPE = Scope({"target": 'target=~"$target"'})
_LINKS = (shared.TO_TARGET, shared.TO_PAGE)


def board() -> Board:
    """The whole dashboard."""
    return Board(
        uid=FLEET,
        title="Restate medic / Fleet",
        description="Every Restate that restate-medic watches, those that are not well first.",
        scope=SCOPE,
        variables=[targets()],
        rows=[_now(), _over_time(), _work(), _itself()],
    )


def _now() -> Row:
    failure = folded("target, component, reason", SCOPE("component_failure"))
    last_ok = folded("target, component", SCOPE("component_last_ok_timestamp_seconds"))
    return Row(
        "Now",
        [
            stat(
                "Targets",
                "How many targets are watched.",
                Query(f"count({folded('target', SCOPE('up'))})", "targets"),
            ),
            stat(
                "Not well",
                "Targets of which at least one component is degraded, unreachable or unknown.",
                Query(f"count({not_well(SCOPE)} > 0) or vector(0)", "targets"),
                steps=BAD_ABOVE_ZERO,
            ),
            stat(
                "Not up",
                "Targets whose ingress or admin API is not ok, or not known to be.",
                Query(f"count({folded('target', SCOPE('up'))} == 0) or vector(0)", "targets"),
                steps=BAD_ABOVE_ZERO,
            ),
            stat(
                "Missing services",
                "Services that are expected and not registered, over all targets; whoever calls "
                "one gets a 404.",
                Query(f"sum({folded('target', SCOPE('services', _MISSING))})", "services"),
                steps=BAD_ABOVE_ZERO,
            ),
            stat(
                "Paused work",
                "Invocations that do not go on by themselves, over all targets.",
                Query(f"sum({folded('target', SCOPE('invocations', _PAUSED))})", "invocations"),
                steps=NOTED_ABOVE_ZERO,
            ),
            stat(
                "Approvals waiting",
                "Plans of policies that wait for a person's yes or no.",
                Query(folded("", SCOPE("approvals_pending")), "plans"),
                steps=NOTED_ABOVE_ZERO,
            ),
            table(
                "Targets, those that are not well first",
                "One row a target, now. Worst is the status of its worst component. Empty: not "
                "known. The name leads to the dashboard of the target.",
                Query(status(SCOPE, by="target"), "Worst"),
                Query(not_well(SCOPE), "Not well"),
                Query(folded("target", SCOPE("services", _MISSING)), "Missing services"),
                Query(folded("target", SCOPE("invocations", _PAUSED)), "Paused"),
                Query(folded("target", SCOPE("zombie_invocations")), "Zombies"),
                Query(
                    folded(
                        "target",
                        folded("target, restate_service", SCOPE("failed_workflows")),
                        how="sum",
                    ),
                    "Failed keys",
                ),
                Query(folded("target", SCOPE("breaker_open")), "Breaker open"),
                columns=[
                    Column("Worst", words=STATUS_WORDS),
                    Column("Not well", unit="short", steps=BAD_ABOVE_ZERO),
                    Column("Missing services", unit="short", steps=BAD_ABOVE_ZERO),
                    Column("Paused", unit="short", steps=NOTED_ABOVE_ZERO),
                    Column("Zombies", unit="short", steps=BAD_ABOVE_ZERO),
                    Column("Failed keys", unit="short", steps=NOTED_ABOVE_ZERO),
                    Column("Breaker open", words={0: ("no", GREEN), 1: ("yes", RED)}),
                    shared.TARGET_COLUMN,
                ],
                sort_by="Worst",
                width=14,
                height=10,
            ),
            table(
                "Why",
                "Each component that is not well, its reason, and how long ago it was last ok. The "
                "name leads to the page of restate-medic.",
                Query(
                    f"(time() - {last_ok}) * on (target, component) group_right {failure}"
                    f" or -{failure}",
                    "Last ok",
                ),
                columns=[
                    Column("Last ok", unit="s", words={-1: ("not since the start", GREY)}),
                    shared.PAGE_COLUMN,
                ],
                sort_by="Last ok",
                width=10,
                height=10,
            ),
        ],
    )


def _over_time() -> Row:
    return Row(
        "Over time",
        [
            timeline(
                "Status of every target",
                "The worst status of any of a target's components; short faults are not left out. "
                "A gap: nobody watched. A click leads to the target.",
                Query(status(SCOPE, by="target", window="$__rate_interval"), "{{target}}"),
                words=STATUS_WORDS,
                links=_LINKS,
                height=11,
            )
        ],
    )


def _work() -> Row:
    inboxed = folded("target", SCOPE("oldest_invocation_age_seconds", 'status="inboxed"'))
    return Row(
        "Work",
        [
            lines(
                "Unfinished invocations",
                "Invocations that are not completed, of the ten targets that have most.",
                Query(
                    "topk(10, "
                    + folded("target", folded("target, status", SCOPE("invocations")), how="sum")
                    + ")",
                    "{{target}}",
                ),
                unit="short",
                links=_LINKS,
            ),
            lines(
                "Paused invocations",
                "They never go on by themselves, and keys of virtual objects wait with them. The "
                "ten targets that have most.",
                Query(f"topk(10, {folded('target', SCOPE('invocations', _PAUSED))})", "{{target}}"),
                unit="short",
                links=_LINKS,
            ),
            lines(
                "Longest wait behind another call",
                "Age of the oldest invocation in an inbox: the call before it on its key does not "
                "end. The ten targets where it is oldest; absent where nothing waits.",
                Query(f"topk(10, {inboxed})", "{{target}}"),
                unit="s",
                links=_LINKS,
            ),
            lines(
                "Drained deployments",
                "Deployments that a newer one has replaced and that nothing rests on any more. The "
                "ten targets that have most.",
                Query(
                    "topk(10, "
                    + folded(
                        "target",
                        folded("target, owner", SCOPE("deployments", 'state="drained"')),
                        how="sum",
                    )
                    + ")",
                    "{{target}}",
                ),
                unit="short",
                links=_LINKS,
            ),
        ],
    )


def _itself() -> Row:
    lag = folded(
        "le", f"rate({SCOPE('round_lag_seconds', part='bucket')}[$__rate_interval])", how="sum"
    )
    probe = f"rate({SCOPE('probe_duration_seconds', part='bucket')}[$__rate_interval])"
    return Row(
        "restate-medic itself",
        [
            stat(
                "Instances",
                "Processes of restate-medic that Prometheus reaches now.",
                Query(f"count(up{{{SCRAPED}}} == 1) or vector(0)", "instances"),
                steps=((None, RED), (1, GREEN)),
            ),
            stat(
                "Configuration",
                "Whether the configuration was loaded at the last attempt, everywhere.",
                Query(folded("", SCOPE("config_last_reload_successful"), how="min"), "loaded"),
                words={0: ("old one kept", RED), 1: ("in force", GREEN)},
            ),
            stat(
                "Ledger entries",
                "Sequence number of the ledger's newest entry.",
                Query(folded("", SCOPE("ledger_head_sequence")), "entries"),
                unit="locale",
            ),
            stat(
                "Ledger found whole",
                "How long ago the chain of the ledger's entries was last read as a whole and held. "
                "It is read at the start and every hour.",
                Query(f"time() - {folded('', SCOPE('ledger_verified_timestamp_seconds'))}", "ago"),
                unit="s",
                steps=((None, GREEN), (7200, YELLOW), (10800, RED)),
            ),
            stat(
                "Ledger writes that failed",
                "Within the dashboard's time range. Without a ledger nothing acts.",
                Query(f"sum(increase({SCOPE('ledger_write_failures_total')}[$__range]))", "writes"),
                unit="short",
                steps=BAD_ABOVE_ZERO,
            ),
            stat(
                "Requests refused",
                "Requests with a wrong key or password, or with none, within the dashboard's time "
                "range.",
                Query(f"sum(increase({SCOPE('auth_failures_total')}[$__range]))", "requests"),
                unit="short",
            ),
            lines(
                "Rounds begin late by",
                "How much later than planned rounds began: nine of ten by less, and half of them.",
                Query(f"histogram_quantile(0.9, {lag})", "p90"),
                Query(f"histogram_quantile(0.5, {lag})", "p50"),
                unit="s",
            ),
            lines(
                "Probes take",
                "Nine of ten probes of a component took less.",
                Query(
                    f"histogram_quantile(0.9, {folded('le, component', probe, how='sum')})",
                    "{{component}}",
                ),
                unit="s",
            ),
            lines(
                "Rounds that did not take place",
                "By reason: they overlap, come too late, or crash.",
                Query(
                    events(SCOPE("rounds_skipped_total"), by="reason"),
                    "{{reason}}",
                ),
                unit="short",
                style="bars",
            ),
            lines(
                "Series left out",
                "Series that a target had too many of, by metric; sums over it are too low.",
                Query(
                    folded(
                        "family",
                        f"increase({SCOPE('series_dropped_total')}[$__rate_interval])",
                        how="sum",
                    ),
                    "{{family}}",
                ),
                unit="short",
                style="bars",
            ),
        ],
    )


_MISSING = 'state="missing"'
_PAUSED = 'status="paused"'
