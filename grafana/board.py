"""The frame of every dashboard: variables, links, annotations, and where panels stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    ConstantVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from grafana.panels import DATASOURCE, Shown
from grafana.promql import SCRAPED, Scope, events, folded

FLEET, TARGET, REMEDIATION = (
    "restate-medic-fleet",
    "restate-medic-target",
    "restate-medic-remediation",
)
"""The uids of the dashboards, which their links to each other rest on."""
PAGE = "http://localhost:9970"
"""Where the page of restate-medic is, unless whoever makes the dashboards says otherwise."""
_WIDTH = 24
_KEPT = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Board:
    """What one dashboard shows. ``variables`` stand behind data source, job and instance."""

    uid: str
    title: str
    description: str
    scope: Scope
    variables: Sequence[QueryVariable]
    rows: Sequence[Row]


def many(
    name: str, label: str, short: str, *matchers: str, everything: str = ".+"
) -> QueryVariable:
    """A variable with the values of a label of a family: several, or all."""
    return (
        one(name, label, short, *matchers)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(everything)
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def one(name: str, label: str, short: str, *matchers: str) -> QueryVariable:
    """A variable with exactly one of the values of a label of a family."""
    selector = f"restate_medic_{short}{{{', '.join(matchers)}}}"
    query = f"label_values({selector if matchers else f'restate_medic_{short}'}, {name})"
    return (
        QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .definition(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
    )


def targets() -> QueryVariable:
    """Any of the targets."""
    return many("target", "Target", "up", SCRAPED)


def to_target(name: str) -> str:
    """The URL of the dashboard of one target, whose name is in an expression of Grafana's."""
    return f"/d/{TARGET}?var-target={name}&{_KEPT}&${{__url_time_range}}"


def page_of(name: str) -> str:
    """The URL of the page that restate-medic has about one target."""
    return f"${{medic}}/targets/{name}"


def assemble(board: Board, *, page: str = PAGE) -> dashboard.Dashboard:
    """Put a dashboard together. ``page`` is where links to restate-medic itself begin."""
    frame = (
        Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["restate-medic", "restate"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables([*_own_variables(page), *board.variables])
        .annotations([_operations(board.scope), _alerts()])
        .links(_links(board.uid))
    )
    made = frame.build()
    made.panels = _placed(board.rows)
    # Not said, they stand on the dashboard; the builders would put them into a menu.
    for placed in (*(made.links or ()), *(made.annotations.list_val or ())):
        placed.placement = None
    return made


def _own_variables(page: str) -> list[DatasourceVariable | QueryVariable | ConstantVariable]:
    return [
        DatasourceVariable("datasource").label("Data source").type("prometheus"),
        many("job", "Job", "build_info"),
        many("instance", "Instance", "build_info", 'job=~"$job"'),
        ConstantVariable("medic")
        .label("restate-medic")
        .description("Where the page of restate-medic is; links to it begin so.")
        .value(page.rstrip("/")),
    ]


def _links(here: str) -> list[Builder[dashboard.DashboardLink]]:
    titles = {FLEET: "Fleet", TARGET: "One target", REMEDIATION: "Remediation"}
    others = [
        DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(f"restate-medic: {title.lower()}")
        .url(f"/d/{uid}?{_KEPT}{'&${target:queryparam}' if here == TARGET else ''}")
        .keep_time(keep_time=True)
        for uid, title in titles.items()
        if uid != here
    ]
    page = (
        DashboardLink("restate-medic")
        .type(dashboard.DashboardLinkType.LINK)
        .icon("external link")
        .tooltip("The page of restate-medic itself")
        .url(page_of("${target:percentencode}") if here == TARGET else "${medic}/")
        .target_blank(target_blank=True)
    )
    return [*others, page]


def _operations(scope: Scope) -> AnnotationQuery:
    return _annotation(
        "Operations",
        events(scope("operations_total"), by="target, policy, remedy, outcome"),
        title="{{remedy}}: {{outcome}}",
        text="{{target}} {{policy}}",
        tags="target,policy,outcome",
        color="blue",
    )


def _alerts() -> AnnotationQuery:
    # Those of the chosen targets, and those about restate-medic itself, which have none.
    chosen = 'job=~"$job|", target=~"${target:regex}|"'
    firing = f'ALERTS{{alertstate="firing", generated_by="restate-medic", {chosen}}}'
    return _annotation(
        "Alerts",
        folded("alertname, severity, target", firing),
        title="{{alertname}}",
        text="{{target}} {{severity}}",
        tags="severity,target",
        color="red",
    )


def _annotation(
    name: str, expr: str, *, title: str, text: str, tags: str, color: str
) -> AnnotationQuery:
    return (
        AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(enable=True)
        .expr(expr)
        .step("60s")
        .title_format(title)
        .text_format(text)
        .tag_keys(tags)
        .icon_color(color)
    )


def _placed(rows: Sequence[Row]) -> list[dashboard.Panel | dashboard.RowPanel]:
    """Panels from left to right and from the top down, each with an id."""
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    y = 0
    for row in rows:
        at = dashboard.GridPos(x=0, y=y, w=_WIDTH, h=1)
        placed.append(dashboard.RowPanel(title=row.title, grid_pos=at, id_val=len(placed) + 1))
        x, y, height = 0, y + 1, 0
        for shown in row.panels:
            if x + shown.width > _WIDTH:
                x, y, height = 0, y + height, 0
            shown.panel.grid_pos = dashboard.GridPos(x=x, y=y, w=shown.width, h=shown.height)
            shown.panel.id_val = len(placed) + 1
            placed.append(shown.panel)
            x, height = x + shown.width, max(height, shown.height)
        y += height
    return placed
