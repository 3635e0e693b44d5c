"""The kinds of panels, as the dashboards use them: each a function from its queries to a panel.

Every panel has a title, a description and a unit; what a series is called, its query says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from grafana_foundation_sdk.builders import common as make
from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
from grafana_foundation_sdk.builders.dashboard import FieldColor as FieldColorBuilder
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from exporter.model.component import Status
from grafana.promql import SEVERITY

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, BLUE, YELLOW, ORANGE, RED, GREY = "green", "blue", "yellow", "orange", "red", "#808080"
STATUS_COLORS: Mapping[Status, str] = {
    Status.OK: GREEN,
    Status.UNKNOWN: "purple",
    Status.DEGRADED: ORANGE,
    Status.UNREACHABLE: RED,
    Status.OFF: GREY,
}
_ROWS_A_PAGE = 30
Style = Literal["lines", "stacked", "bars", "points"]
_Drawn = TypeVar("_Drawn", Stat, StateTimeline, Table, Timeseries)
Steps = Sequence[tuple[float | None, str]]
"""From which value on a color begins; None is the first."""
Words = Mapping[float, tuple[str, str]]
"""A text and a color for each value."""

BAD_ABOVE_ZERO: Steps = ((None, GREEN), (1, RED))
NOTED_ABOVE_ZERO: Steps = ((None, GREEN), (1, YELLOW))
PLAIN: Steps = ((None, BLUE),)
STATUS_WORDS: Words = {
    number: (str(status), STATUS_COLORS[status]) for status, number in SEVERITY.items()
}


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what each of its series is called: ``{{label}}``, or a column's name."""

    expr: str
    called: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel and its size on a grid that is 24 wide."""

    panel: dashboard.Panel
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a table is shown; a label's by the label's name."""

    name: str
    unit: str = "none"
    words: Words | None = None
    steps: Steps | None = None
    link: tuple[str, str] | None = None
    """Title and URL."""


def stat(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "none",
    steps: Steps = PLAIN,
    words: Words | None = None,
    width: int = 4,
    names: bool = False,
) -> Shown:
    """One number of now; ``names`` shows what the series are called instead of their values."""
    panel = _framed(Stat(), (title, description), unit=unit, steps=steps, words=words)
    panel.with_target(_instant(query, "A"))
    panel.reduce_options(make.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.graph_mode(common.BigValueGraphMode.NONE)
    panel.color_mode(common.BigValueColorMode.VALUE)
    panel.text_mode(common.BigValueTextMode.NAME if names else common.BigValueTextMode.VALUE)
    return Shown(panel.build(), width, 4)


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "none",
    style: Style = "lines",
    colors: Mapping[str, str] | None = None,
    links: Sequence[tuple[str, str]] = (),
    width: int = 12,
) -> Shown:
    """Values over time; the legend names what is high first."""
    panel = _framed(Timeseries(), (title, description), unit=unit)
    panel.color_scheme(FieldColorBuilder().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    for ref, query in zip("ABCDEF", queries, strict=False):
        panel.with_target(_query(query, ref).range())
    look = _LOOKS[style]
    panel.min(0).line_width(1).fill_opacity(look.fill)
    panel.draw_style(look.draw).show_points(common.VisibilityMode.AUTO)
    if look.stacked:
        panel.stacking(make.StackingConfig().mode(common.StackingMode.NORMAL))
    panel.legend(_legend(look.calcs))
    panel.tooltip(
        make.VizTooltipOptions()
        .mode(common.TooltipDisplayMode.MULTI)
        .sort(common.SortOrder.DESCENDING)
    )
    panel.data_links([_link(*link) for link in links])
    for name, color in (colors or {}).items():
        fixed = {"mode": "fixed", "fixedColor": color}
        panel.override_by_name(name, [dashboard.DynamicConfigValue(id_val="color", value=fixed)])
    return Shown(panel.build(), width, 8)


def timeline(
    title: str,
    description: str,
    query: Query,
    *,
    words: Words,
    links: Sequence[tuple[str, str]] = (),
    height: int = 9,
    width: int = 24,
) -> Shown:
    """States over time, one row a series; rows of long lists come in pages."""
    panel = _framed(StateTimeline(), (title, description), words=words)
    panel.with_target(_query(query, "A").range())
    panel.show_value(common.VisibilityMode.NEVER).row_height(0.85).merge_values(merge_values=True)
    panel.fill_opacity(80).line_width(0).per_page(_ROWS_A_PAGE)
    panel.legend(make.VizLegendOptions().show_legend(show_legend=True).placement(_BOTTOM))
    panel.data_links([_link(*link) for link in links])
    return Shown(panel.build(), width, height)


def table(
    title: str,
    description: str,
    *queries: Query,
    columns: Sequence[Column] = (),
    sort_by: str,
    lowest_first: bool = False,
    width: int = 24,
    height: int = 9,
) -> Shown:
    """The newest values: labels and one column a query, highest of ``sort_by`` first."""
    panel = _framed(Table(), (title, description))
    refs = "ABCDEFGH"[: len(queries)]
    for ref, query in zip(refs, queries, strict=True):
        panel.with_target(_instant(query, ref).format(PromQueryFormat.TABLE))
    values = {f"Value #{r}": q.called for r, q in zip(refs, queries, strict=True)}
    if len(queries) == 1:
        values = {"Value": queries[0].called, **values}
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    organize = {"excludeByName": {"Time": True}, "renameByName": values}
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=organize))
    panel.sort_by([make.TableSortByFieldState().display_name(sort_by).desc(not lowest_first)])
    panel.filterable(filterable=True)
    for column in columns:
        panel.override_by_name(column.name, _properties(column))
    return Shown(panel.build(), width, height)


@dataclass(frozen=True, slots=True)
class _Look:
    draw: common.GraphDrawStyle
    fill: int
    stacked: bool = False
    calcs: tuple[str, ...] = ("lastNotNull", "max")
    """What the legend says of a series; it is sorted by the last."""


_LOOKS: Mapping[Style, _Look] = {
    "lines": _Look(common.GraphDrawStyle.LINE, 5),
    "stacked": _Look(common.GraphDrawStyle.LINE, 20, stacked=True),
    "bars": _Look(common.GraphDrawStyle.BARS, 80, stacked=True, calcs=("sum",)),
    "points": _Look(common.GraphDrawStyle.POINTS, 0, calcs=("mean", "max")),
}
_CALCS = {"max": "Max", "sum": "Total"}
_BOTTOM = common.LegendPlacement.BOTTOM


def _framed(
    panel: _Drawn,
    heading: tuple[str, str],
    *,
    unit: str = "none",
    steps: Steps = ((None, "text"),),
    words: Words | None = None,
) -> _Drawn:
    title, description = heading
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit)
    panel.no_value("none").thresholds(_thresholds(steps))
    panel.color_scheme(FieldColorBuilder().mode(dashboard.FieldColorModeId.THRESHOLDS))
    if words:
        panel.mappings([_mapping(words)])
    return panel


def _query(query: Query, ref: str) -> Dataquery:
    return (
        Dataquery().expr(query.expr).legend_format(query.called).ref_id(ref).datasource(DATASOURCE)
    )


def _instant(query: Query, ref: str) -> Dataquery:
    return _query(query, ref).instant()


def _thresholds(steps: Steps) -> ThresholdsConfig:
    return (
        ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in steps])
    )


def _mapping(words: Words) -> dashboard.ValueMap:
    results = {
        f"{value:g}": dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(words.items())
    }
    return dashboard.ValueMap(options=results)


def _properties(column: Column) -> list[dashboard.DynamicConfigValue]:
    chosen: list[tuple[str, object]] = [("unit", column.unit)]
    if column.words:
        chosen.append(("mappings", [_mapping(column.words).to_json()]))
    if column.steps:
        chosen.append(("thresholds", _thresholds(column.steps).build()))
    if column.words or column.steps:
        chosen.append(("custom.cellOptions", {"type": "color-text"}))
    if column.link:
        title, url = column.link
        chosen.append(("links", [{"title": title, "url": url}]))
    return [dashboard.DynamicConfigValue(id_val=name, value=value) for name, value in chosen]


def _legend(calcs: Sequence[str]) -> make.VizLegendOptions:
    return (
        make.VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.RIGHT)
        .calcs(list(calcs))
        .sort_by(_CALCS[calcs[-1]])
        .sort_desc(sort_desc=True)
    )


def _link(title: str, url: str) -> DashboardLink:
    return DashboardLink(title).url(url)
