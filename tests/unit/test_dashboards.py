"""The dashboards hold the rules of Grafana's dashboard-linter and some more, on metrics that exist.

No Grafana reads them here; what their JSON may hold is what the SDK's types hold.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.metrics.catalogue import CATALOGUE, PREFIX, Kind
from exporter.model.component import Status
from exporter.model.operation import Outcome
from grafana import shared
from grafana.__main__ import texts
from grafana.promql import SEVERITY, Scope
from tests.alerts import load as load_yaml
from tests.dashboards import FILES, FOLDER, ROOT, Asked, everything, filled_in, load, panels
from tests.queries import check_names, selected

UNITS = {"none", "short", "s", "locale", "dateTimeFromNow"}
"""Those of Grafana's units that are used; another one is to be looked up before it is added."""
SHOWN_ELSEWHERE = {
    "probes_total": "component_last_run_timestamp_seconds says whether probes run",
    "config_last_reload_success_timestamp_seconds": "whether the last reload succeeded is shown",
}
"""Metrics on no dashboard, and why not."""
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
BOARDS = [pytest.param(file, id=file.stem) for file in FILES]
ASKED = [pytest.param(one, id=one.id) for one in everything()]
PANELS = [
    pytest.param(panel, id=f"{file.stem}/{panel['title']}")
    for file in FILES
    for panel in panels(file)
]
_LABEL = re.compile(r"\{\{(\w+)\}\}")
_BY = re.compile(r"^\w+ by \(([^)]*)\)")


def test_what_is_checked_in_is_what_the_code_makes() -> None:
    """Nobody edits JSON by hand: `make dashboards` writes it."""
    made = texts()
    assert {file.name for file in FILES} == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text() == text, f"{name} is not current: make dashboards"


def test_the_same_code_makes_the_same_text() -> None:
    """Making them twice differs in nothing, so that a difference is a change."""
    assert texts() == texts()


@pytest.mark.parametrize("file", BOARDS)
def test_the_types_of_the_sdk_hold_all_that_a_dashboard_says(file: Path) -> None:
    """Read as a classic dashboard and written again, nothing is lost and nothing is added."""
    register_default_plugins()
    read = Dashboard.from_json(load(file))
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    for placed in (*again["links"], *again["annotations"]["list"]):
        del placed["placement"]  # the types add it where it is not said
    assert again == load(file)


@pytest.mark.parametrize("file", BOARDS)
def test_a_dashboard_can_be_found_and_is_not_edited_in_grafana(file: Path) -> None:
    """A stable uid (links rest on it), a title, a description, tags; no id of some database."""
    board = load(file)
    assert board["uid"] == file.stem
    assert board["title"].startswith("Restate medic / ")
    assert board["description"]
    assert "restate-medic" in board["tags"]
    assert board["editable"] is False
    assert board.get("id") is None
    assert board["schemaVersion"] >= 39


@pytest.mark.parametrize("file", BOARDS)
def test_variables_are_what_people_expect(file: Path) -> None:
    """One data source; job and instance, several or all; reloaded when the time range changes."""
    variables = {v["name"]: v for v in load(file)["templating"]["list"]}
    assert list(variables)[:5] == ["datasource", "job", "instance", "medic", "target"]
    source = variables["datasource"]
    assert (source["type"], source["query"], source["label"]) == (
        "datasource",
        "prometheus",
        "Data source",
    )
    for name in ("job", "instance"):
        one = variables[name]
        assert (one["label"], one["multi"], one["allValue"]) == (name.title(), True, ".+")
    for one in variables.values():
        assert one["label"]
        if one["type"] == "query":
            assert one["refresh"] == 2
            assert one["datasource"] == DATASOURCE
            assert one["query"]["query"] == one["definition"]
            assert check_names(_selector(one["definition"])) == 1
    page = variables["medic"]
    assert (page["type"], page["hide"], page["query"]) == ("constant", 2, "http://localhost:9970")
    assert page["description"]


def _selector(definition: str) -> str:
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", definition)
    assert found
    return found[1]


def test_one_target_is_chosen_where_one_is_shown() -> None:
    """Several targets or all everywhere else."""
    several = {
        file.stem: next(
            v["multi"] for v in load(file)["templating"]["list"] if v["name"] == "target"
        )
        for file in FILES
    }
    assert several == {
        "restate-medic-fleet": True,
        "restate-medic-remediation": True,
        "restate-medic-target": False,
    }


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Title, description, a unit that Grafana has, and the data source that was chosen."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    shown = panel["fieldConfig"]
    units = [p["value"] for o in shown["overrides"] for p in o["properties"] if p["id"] == "unit"]
    assert {shown["defaults"]["unit"], *units} <= UNITS
    assert panel["datasource"] == DATASOURCE
    assert panel["targets"]
    assert [t["refId"] for t in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
    for target in panel["targets"]:
        assert target["datasource"] == DATASOURCE
        assert target["instant"] is not target["range"]
        assert target["legendFormat"]


@pytest.mark.parametrize("panel", PANELS)
def test_what_has_no_unit_has_words(panel: dict[str, Any]) -> None:
    """A number without a unit is a count; a status is a word, whatever number stands for it."""
    if panel["type"] == "state-timeline":
        assert panel["fieldConfig"]["defaults"]["mappings"]


@pytest.mark.parametrize("file", BOARDS)
def test_panels_stand_side_by_side(file: Path) -> None:
    """Ids are unique; nothing overlaps, leaves the grid, or comes before its row's heading."""
    every = load(file)["panels"]
    ids = [panel["id"] for panel in every]
    assert sorted(ids) == list(range(1, len(every) + 1))
    places = [panel["gridPos"] for panel in every]
    for at in places:
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= 24
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert places == sorted(places, key=lambda at: (at["y"], at["x"]))
    titles = [panel["title"] for panel in every]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("one", ASKED)
def test_a_query_names_only_what_exists(one: Asked) -> None:
    """Metrics, labels and values are in the catalogue; job and instance are always asked for."""
    assert check_names(one.expr)
    for name, inside in selected(one.expr):
        assert 'job=~"$' in inside, name
        assert 'instance=~"$' in inside or name == "ALERTS", name
        family = CATALOGUE.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
        if family is not None and "target" in family.label_names:
            assert 'target="$' in inside or 'target=~"$' in inside, name


@pytest.mark.parametrize("one", ASKED)
def test_counters_are_only_looked_at_as_they_grow(one: Asked) -> None:
    """By increase or rate, or against what they were a step ago; never a window of some minutes."""
    for window in re.findall(r"\[([^\]]*)\]", one.expr):
        assert window in {"$__rate_interval", "$__range", "$__range:$__interval"}
    for name, _ in selected(one.expr):
        short = name.removeprefix(PREFIX)
        base = re.sub(r"_(bucket|sum|count)$", "", short)
        kinds = {CATALOGUE[s].kind for s in (short, base) if s in CATALOGUE}
        if not kinds & {Kind.COUNTER, Kind.HISTOGRAM}:
            continue
        seen = re.compile(re.escape(name) + r"\{[^}]*\}")
        for found in seen.finditer(one.expr):
            before = one.expr[: found.start()].endswith(("rate(", "increase("))
            grown = f"{found[0]} offset $__interval" in one.expr
            assert before or grown, name


@pytest.mark.parametrize("one", ASKED)
def test_series_are_called_by_labels_that_they_have(one: Asked) -> None:
    """A legend, or an annotation's text, names labels that the query keeps, and each of them."""
    named = set(_LABEL.findall(one.called))
    expr = re.sub(r"^(topk\(10, |histogram_quantile\([\d.]+, )", "", one.expr)
    kept = _BY.match(expr)
    labels = {label.strip() for label in kept[1].split(",")} - {"le"} if kept else set()
    if "instance" not in labels:
        assert named <= labels
    if named:
        left = labels - named
        assert not left or one.ref == "annotation" or one.instant, f"series differ by {left}"


def _links(file: Path) -> list[str]:
    board = load(file)
    found = [link["url"] for link in board["links"]]
    for panel in panels(file):
        shown = panel["fieldConfig"]
        found += [link["url"] for link in shown["defaults"].get("links", [])]
        found += [
            link["url"]
            for override in shown["overrides"]
            for prop in override["properties"]
            if prop["id"] == "links"
            for link in prop["value"]
        ]
    return found


@pytest.mark.parametrize("file", BOARDS)
def test_links_lead_to_dashboards_that_exist_or_to_the_page(file: Path) -> None:
    """From each dashboard to both others, and to restate-medic; what was chosen goes along."""
    urls = _links(file)
    uids = {found[1] for url in urls if (found := re.match(r"/d/([\w-]+)\?", url))}
    assert uids | {file.stem} == {other.stem for other in FILES}
    assert any(url.startswith("${medic}/") for url in urls)
    for url in urls:
        assert url.startswith(("/d/", "${medic}/"))
        if url.startswith("/d/"):
            assert "${datasource:queryparam}" in url
            assert "${job:queryparam}" in url
    known = {v["name"] for v in load(file)["templating"]["list"]} | {
        "__url_time_range",
        "__data",
        "__field",
    }
    for name in re.findall(r"\$\{(\w+)", " ".join(urls)):
        assert name in known


def test_unhealthy_targets_lead_to_their_dashboard_and_page() -> None:
    """On the overview, the table and the map over time are ways to the target."""
    urls = _links(next(file for file in FILES if file.stem.endswith("fleet")))
    own = [url for url in urls if "var-target=" in url]
    assert {"__data.fields.target", "__field.labels.target"} == {
        found for url in own for found in re.findall(r"var-target=\$\{([\w.]+)", url)
    }
    assert any(url.startswith("${medic}/targets/${__") for url in urls)


def test_another_page_can_be_linked_to(tmp_path: Path) -> None:
    """Whoever makes the dashboards says where restate-medic's page is; nothing else differs."""
    asked = ["--page", "https://medic.internal/", "--into", str(tmp_path / "new")]
    command = [sys.executable, "-m", "grafana", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(tmp_path / "new" / name) for name in texts()]
    for name, text in texts().items():
        own = text.replace("http://localhost:9970", "https://medic.internal")
        assert (tmp_path / "new" / name).read_text() == own


@pytest.mark.parametrize("file", BOARDS)
def test_operations_and_alerts_are_marked(file: Path) -> None:
    """On each dashboard, what was done and what fired stand on the time axis."""
    notes = load(file)["annotations"]["list"]
    assert [note["name"] for note in notes] == ["Operations", "Alerts"]
    assert all(note["datasource"] == DATASOURCE and note["enable"] for note in notes)


def test_every_metric_is_shown_or_it_is_said_why_not() -> None:
    """Whoever adds a metric decides whether people look at it."""
    shown = {name for one in everything() for name, _ in selected(one.expr)}
    families = {
        short
        for short, family in CATALOGUE.items()
        if any(name == family.name or name.startswith(family.name + "_") for name in shown)
    }
    unseen = set(CATALOGUE) - families
    assert unseen == {short for short in SHOWN_ELSEWHERE if short in CATALOGUE} - families
    assert not {short for short in SHOWN_ELSEWHERE if short in families}


def test_each_status_and_outcome_has_its_look() -> None:
    """A new word is not drawn in a color that means something else."""
    assert set(SEVERITY) == set(Status)
    assert len(set(SEVERITY.values())) == len(Status)
    assert set(shared.OUTCOME_COLORS) == set(Outcome)


def test_a_metric_that_does_not_exist_cannot_be_asked_for() -> None:
    """Making the dashboards fails, and says where metrics are declared."""
    with pytest.raises(ValueError, match="catalogue"):
        Scope()("component_statuses")
    with pytest.raises(ValueError, match="histograms"):
        Scope()("round_lag_seconds")
    with pytest.raises(ValueError, match="histograms"):
        Scope()("up", part="bucket")


def test_provisioning_finds_the_dashboards() -> None:
    """The provider reads the folder that is mounted; the data source is one of Prometheus."""
    folder = ROOT / "grafana" / "provisioning"
    (provider,) = load_yaml(folder / "dashboards" / "restate-medic.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"]
    (source,) = load_yaml(folder / "datasources" / "prometheus.yaml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"].startswith("http")


def test_filling_in_misses_no_variable() -> None:
    """The tests' way to fill in variables knows all forms, and stops at one it does not know."""
    values = {"a": "1", "__b": "2"}
    assert filled_in("$a ${a} ${a:regex} [$__b:$__b]", values) == "1 1 1 [2:2]"
    with pytest.raises(KeyError):
        filled_in("$c", values)
