"""The page that documents every metric, made from the catalogue.

``make docs`` writes it; a test compares the two.
"""

from __future__ import annotations

import sys

from exporter.metrics.catalogue import (
    LARGEST,
    NEWEST,
    PREFIX,
    PROCESS_FAMILIES,
    TARGET_FAMILIES,
    TIMERS,
    Family,
)
from exporter.metrics.instruments import MAX_SERIES

_HEAD = f"""\
# Metrics

Served at `/metrics` (`--web.telemetry-path`), as Prometheus text or OpenMetrics. Every name begins
with `{PREFIX}`. This page is made from the catalogue in the code, by `make docs`.

restate-medic reads on timers of its own, not when it is scraped: when, says
`component_last_run_timestamp_seconds`. A value whose reading failed stays until it is stale (three
intervals) and then disappears: it never becomes 0. A target that is removed takes its series with
it.

Families marked *capped* keep the {MAX_SERIES} largest values of a target;
`series_dropped_total` counts what each round left out.
"""
_TARGETS = """\
## Of each target

All have the label `target`.
"""
_PROCESS = """\
## Of the process

Beside these are the `process_*` families that every Prometheus client has.
"""


def metrics_text() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD, _TARGETS, _table(TARGET_FAMILIES), _PROCESS, _table(PROCESS_FAMILIES)]
    return "\n".join(parts)


def _table(families: tuple[Family, ...]) -> str:
    rows = ["| metric | type | unit | labels | what it says |", "|---|---|---|---|---|"]
    rows += [_row(family) for family in families]
    return "\n".join(rows) + "\n"


def _row(family: Family) -> str:
    text = family.help
    for said_above in (TIMERS, NEWEST, LARGEST):
        text = text.replace(said_above, "").strip()
    labels = ", ".join(f"`{name}`" for name in family.labels)
    kind = f"{family.kind}, capped" if family.capped else str(family.kind)
    cells = (f"`{family.short}`", kind, family.unit, labels, text.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(metrics_text())
