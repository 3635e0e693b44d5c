"""Panels and columns that more than one dashboard has."""

from __future__ import annotations

from exporter.model.operation import Outcome
from grafana.board import page_of, to_target
from grafana.panels import GREEN, GREY, ORANGE, RED, YELLOW, Column, Query, Shown, Words, table
from grafana.promql import Scope, events, folded, in_range, last_in_range

MS = 1000
"""Grafana's dates are milliseconds."""
CELL = "${__data.fields.target:percentencode}"
SERIES = "${__field.labels.target:percentencode}"
TARGET_COLUMN = Column("target", link=("Dashboard of the target", to_target(CELL)))
PAGE_COLUMN = Column("target", link=("Page of restate-medic", page_of(CELL)))
TO_TARGET = ("Dashboard of the target", to_target(SERIES))
TO_PAGE = ("Page of restate-medic", page_of(SERIES))

HELPED = "verified|nothing_to_do"
DID_NOT_HELP = "unverified|partial|failed|indeterminate|interrupted"
OUTCOME_COLORS = {
    **dict.fromkeys(HELPED.split("|"), GREEN),
    **dict.fromkeys(DID_NOT_HELP.split("|"), RED),
    Outcome.REFUSED: ORANGE,
    Outcome.REJECTED: ORANGE,
    Outcome.EXPIRED: YELLOW,
    Outcome.OBSERVED: GREY,
    Outcome.WITHDRAWN: GREY,
    Outcome.ANSWERED: GREY,
}
YES_NO: Words = {0: ("no", RED), 1: ("yes", GREEN)}


def last_operations(scope: Scope, *, height: int = 9) -> Shown:
    """Which operations ended in the range of the dashboard, those of late first."""
    by = "target, policy, remedy, source, outcome"
    ended = events(scope("operations_total"), by=by)
    return table(
        "Last operations",
        "What was done within the dashboard's time range: when it last ended so, and how often. "
        "The policy is empty for a person's operation. `restate-medic audit list` has each one.",
        Query(f"{MS} * {last_in_range(ended)}", "Last ended"),
        Query(in_range(ended), "Times"),
        columns=[
            Column("Last ended", unit="dateTimeFromNow"),
            Column("Times", unit="short"),
            TARGET_COLUMN,
        ],
        sort_by="Last ended",
        height=height,
    )


def held(scope: Scope, *, width: int = 24, height: int = 9) -> Shown:
    """Which policies are held now, and since when."""
    since = folded(
        "target, policy, reason", scope("policy_held_since_timestamp_seconds"), how="min"
    )
    return table(
        "Held now",
        "Policies whose condition is true, or not known to be false, and that do not act: the "
        "reason, and for how long it has been this one. The page of restate-medic says more.",
        Query(f"time() - {since}", "Held for"),
        columns=[Column("Held for", unit="s"), TARGET_COLUMN],
        sort_by="Held for",
        width=width,
        height=height,
    )
