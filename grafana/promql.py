"""What the queries of the dashboards are made of.

Several instances of restate-medic may watch the same targets, so every query folds ``instance``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.metrics.catalogue import CATALOGUE, Kind
from exporter.model.component import Status

SCRAPED = 'job=~"$job", instance=~"$instance"'
PARTS = ("bucket", "count", "sum")
SEVERITY: Mapping[Status, int] = {
    Status.OFF: 0,
    Status.OK: 1,
    Status.UNKNOWN: 2,
    Status.DEGRADED: 3,
    Status.UNREACHABLE: 4,
}
"""The numbers that stand for a status in panels; the highest is the worst."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a dashboard's variables let its queries see: a matcher by label."""

    matchers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, short: str, *matchers: str, part: str = "") -> str:
        """Select a family of the catalogue; ``part`` of a histogram.

        Raises:
            ValueError: the catalogue has no such family, or it has no such part.
        """
        family = CATALOGUE.get(short)
        if family is None:
            raise ValueError(f"{short}: not in exporter/metrics/catalogue.py")
        if (family.kind is Kind.HISTOGRAM) != (part in PARTS):
            raise ValueError(f"{short}: part={part!r} is for histograms, which need one of {PARTS}")
        name = f"{family.name}_{part}" if part else family.name
        own = (self.matchers[label] for label in family.label_names if label in self.matchers)
        return f"{name}{{{', '.join((SCRAPED, *own, *matchers))}}}"


def folded(by: str, expr: str, *, how: str = "max") -> str:
    """Aggregate by these labels; gauges of several instances are the same thing seen twice."""
    return f"{how} by ({by}) ({expr})" if by else f"{how}({expr})"


def status(scope: Scope, *, by: str, window: str = "") -> str:
    """The worst status as its number; with a ``window``, the worst within it before each point."""

    def one(word: Status) -> str:
        selector = scope("component_status", f'status="{word}"')
        return f"max_over_time({selector}[{window}])" if window else selector

    numbers = (f"{number} * {one(word)}" for word, number in SEVERITY.items() if number)
    return folded(by, " or ".join(numbers))


def not_well(scope: Scope) -> str:
    """How many components of each target are not well; 0 for a healthy one."""
    seen = scope("component_status", 'status=~"degraded|unreachable|unknown"')
    return folded("target", folded("target, component", seen), how="sum")


def grown(selector: str) -> str:
    """How much each series of a counter has grown within one step of the panel: whole numbers.

    For events that are rare. ``increase()`` does not see a series' first event, as the series
    begins at 1 with it, and makes fractions of the others. A series is new if its process was
    scraped a step ago, or is younger; otherwise it only was not scraped for a while. One that is
    smaller than before was counted from 0 again. 0 is said too: histograms need it.
    """
    before = f"{selector} offset $__interval"
    seen = f"restate_medic_build_info{{{SCRAPED}}} offset $__interval"
    young = f"process_start_time_seconds{{{SCRAPED}}} > time() - $__interval_ms / 1000"
    return (
        f"({selector} - {before} >= 0) or ({selector} < {before})"
        f" or (({selector} unless {before}) and on (job, instance) ({seen} or {young}))"
    )


def events(selector: str, *, by: str = "") -> str:
    """How many events a counter has seen within one step, where there were any."""
    return f"{folded(by, grown(selector), how='sum')} > 0"


def mean(total: str, count: str, *, by: str) -> str:
    """The mean of what a histogram took in within one step, where it took in anything."""
    return f"{folded(by, grown(total), how='sum')} / ({events(count, by=by)})"


def in_range(expr: str) -> str:
    """The sum over the range of the dashboard of what an expression says step by step."""
    return f"sum_over_time(({expr})[$__range:$__interval])"


def last_in_range(expr: str) -> str:
    """When an expression last said anything within the range of the dashboard, Unix seconds."""
    return f"max_over_time(timestamp({expr})[$__range:$__interval])"


def age(expr: str) -> str:
    """Seconds since the moment that an expression says."""
    return f"time() - {expr}"
