"""What policies decide and do, what holds them, and whether it helps."""

from __future__ import annotations

from grafana import shared
from grafana.board import REMEDIATION, Board, Row, many, targets
from grafana.panels import (
    BAD_ABOVE_ZERO,
    BLUE,
    GREEN,
    GREY,
    NOTED_ABOVE_ZERO,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Query,
    Words,
    lines,
    stat,
    table,
    timeline,
)
from grafana.promql import PARTS, SCRAPED, Scope, age, events, folded, grown, in_range, mean

SCOPE = Scope({"target": 'target=~"$target"', "policy": 'policy=~"$policy"'})
_MODES: Words = {
    1: ("observe", GREY),
    2: ("approve", YELLOW),
    3: ("enforce", GREEN),
    0: ("off", GREY),
}


def board() -> Board:
    """The whole dashboard."""
    return Board(
        uid=REMEDIATION,
        title="Restate medic / Remediation",
        description="What policies decide and do, what holds them, and whether it helps.",
        scope=SCOPE,
        # The policy of a person's operation is empty.
        variables=[targets(), many("policy", "Policy", "policy_mode", SCRAPED, everything=".*")],
        rows=[_now(), _operations(), _decisions(), _bounds(), _heal(), _people()],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            stat(
                "Helped",
                "Operations within the dashboard's time range that were verified, or found nothing "
                "left to do.",
                _count(shared.HELPED),
                steps=((None, GREEN),),
            ),
            stat(
                "Did not help",
                "Operations within the dashboard's time range that failed, or were not seen to "
                "help.",
                _count(shared.DID_NOT_HELP),
                steps=BAD_ABOVE_ZERO,
            ),
            stat(
                "In flight",
                "Operations that are open now.",
                Query(folded("", SCOPE("operations_in_flight")), "operations"),
            ),
            stat(
                "Approvals waiting",
                "Plans that wait for a person's yes or no; each expires after an hour.",
                Query(folded("", SCOPE("approvals_pending")), "plans"),
                steps=NOTED_ABOVE_ZERO,
            ),
            stat(
                "Breakers open",
                "Policies that have stopped on a target, because what they did had not helped.",
                Query(f"sum({folded('target, policy', SCOPE('breaker_open'))})", "policies"),
                steps=BAD_ABOVE_ZERO,
            ),
            stat(
                "Pauses in force",
                "Pauses that people have made: of everything, of a target, of a policy.",
                Query(f"sum({folded('scope', SCOPE('paused'))})", "pauses"),
                steps=NOTED_ABOVE_ZERO,
            ),
        ],
    )


def _count(outcomes: str) -> Query:
    ended = events(SCOPE("operations_total", f'outcome=~"{outcomes}"'))
    return Query(f"{in_range(ended)} or vector(0)", "operations")


def _operations() -> Row:
    operations = SCOPE("operations_total")
    return Row(
        "Operations",
        [
            lines(
                "By outcome",
                "Operations that ended, by how. verified and nothing_to_do are fine; the red ones "
                "count for the breaker.",
                Query(events(operations, by="outcome"), "{{outcome}}"),
                unit="short",
                style="bars",
                colors=shared.OUTCOME_COLORS,
            ),
            lines(
                "By policy and remedy",
                "Operations that ended, whatever the outcome. The policy is empty for a person's.",
                Query(events(operations, by="policy, remedy"), "{{remedy}} ({{policy}})"),
                unit="short",
                style="bars",
            ),
            shared.last_operations(SCOPE),
        ],
    )


def _decisions() -> Row:
    changes = SCOPE("decisions_total")
    modes = {number: f'mode="{word}"' for number, (word, _) in _MODES.items() if number}
    numbers = (f"{number} * {SCOPE('policy_mode', mode)}" for number, mode in modes.items())
    return Row(
        "Decisions",
        [
            lines(
                "Holds by reason",
                "How often a policy came to be held, on a target or one item of it, by reason.",
                Query(events(SCOPE("decisions_total", 'result="hold"'), by="reason"), "{{reason}}"),
                unit="short",
                style="bars",
            ),
            lines(
                "Changes by result",
                "How often a decision became another: act, hold, or clear (nothing to do).",
                Query(events(changes, by="result"), "{{result}}"),
                unit="short",
                style="bars",
                colors={"act": BLUE, "hold": ORANGE, "clear": GREEN},
            ),
            shared.held(SCOPE, width=16),
            table(
                "Modes",
                "How far each policy may go, `max_mode` taken into account.",
                Query(folded("policy", " or ".join(numbers)), "Mode"),
                columns=[Column("Mode", words=_MODES)],
                sort_by="Mode",
                width=8,
            ),
        ],
    )


def _bounds() -> Row:
    left = folded("target, policy, scope", SCOPE("limit_remaining"), how="min")
    return Row(
        "Limits, breakers, storms",
        [
            table(
                "Limits left",
                "Operations that each limit of a policy still allows on a target, those that are "
                "used up first.",
                Query(left, "Left"),
                columns=[
                    Column("Left", unit="short", steps=((None, RED), (1, GREEN))),
                    shared.TARGET_COLUMN,
                ],
                sort_by="Left",
                lowest_first=True,
                width=12,
                height=8,
            ),
            lines(
                "Storms",
                "Targets on which a policy's condition is true, or not known to be false, and how "
                "many may be before it holds on all of them.",
                Query(folded("policy", SCOPE("storm_affected")), "{{policy}}: affected"),
                Query(folded("policy", SCOPE("storm_allowed"), how="min"), "{{policy}}: allowed"),
                unit="short",
            ),
            timeline(
                "Breakers",
                "Where a policy has stopped because what it did had not helped; of those whose "
                "remedy was ever used there. `restate-medic breaker reset` lets it act again.",
                Query(
                    folded(
                        "target, policy",
                        f"max_over_time({SCOPE('breaker_open')}[$__rate_interval])",
                    ),
                    "{{target}}: {{policy}}",
                ),
                words={0: ("closed", GREEN), 1: ("open", RED)},
                links=(shared.TO_TARGET,),
                height=7,
            ),
        ],
    )


def _heal() -> Row:
    heals = {part: SCOPE("heal_duration_seconds", part=part) for part in PARTS}
    took = {part: SCOPE("operation_duration_seconds", part=part) for part in PARTS}
    within = in_range(folded("le", grown(heals["bucket"]), how="sum"))
    return Row(
        "Time to heal",
        [
            stat(
                "Half healed within",
                "From the moment a condition became true to the verified repair: the median of the "
                "heals within the dashboard's time range.",
                Query(f"histogram_quantile(0.5, {within})", "median"),
                unit="s",
            ),
            stat(
                "Nine of ten healed within",
                "From the moment a condition became true to the verified repair, of the heals "
                "within the dashboard's time range.",
                Query(f"histogram_quantile(0.9, {within})", "p90"),
                unit="s",
            ),
            lines(
                "Heals",
                "From the moment a policy's condition became true to the verified repair; the mean "
                "of those that ended at that point.",
                Query(mean(heals["sum"], heals["count"], by="policy"), "{{policy}}"),
                unit="s",
                style="points",
                width=8,
            ),
            lines(
                "Operations take",
                "From the reservation of an operation to its outcome, of those that acted; the "
                "mean of those that ended at that point.",
                Query(mean(took["sum"], took["count"], by="remedy"), "{{remedy}}"),
                unit="s",
                style="points",
                width=8,
            ),
        ],
    )


def _people() -> Row:
    return Row(
        "People",
        [
            lines(
                "Waiting for a person",
                "Plans that wait for a yes or no, and pauses in force by what they hold.",
                Query(folded("", SCOPE("approvals_pending")), "approvals"),
                Query(folded("scope", SCOPE("paused")) + " > 0", "paused: {{scope}}"),
                unit="short",
                width=7,
            ),
            lines(
                "Pauses end in",
                "When the next of the pauses of a scope runs out; absent when none does by itself.",
                Query(
                    folded("scope", SCOPE("pause_expiry_timestamp_seconds"), how="min")
                    + " - time()",
                    "{{scope}}",
                ),
                unit="s",
                width=6,
            ),
            stat(
                "Alertmanager answered",
                "How long ago alerts and silences were last read from Alertmanager; policies with "
                "`block_on_alerts` hold while it does not answer.",
                Query(age(folded("", SCOPE("alertmanager_last_ok_timestamp_seconds"))), "ago"),
                unit="s",
                steps=((None, GREEN), (300, RED)),
            ),
            lines(
                "Messages",
                "What became of messages to people, by notifier: delivered, failed (refused or "
                "given up), dropped (too many were waiting).",
                Query(
                    events(SCOPE("notifications_total"), by="notifier, outcome"),
                    "{{notifier}}: {{outcome}}",
                ),
                unit="short",
                style="bars",
                width=7,
            ),
        ],
    )
