"""The bytes of a scrape: equal to what the client library would render, whatever is in them."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as ClientCounter
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser
from prometheus_client.registry import Collector

from exporter.metrics import Exposition, Instruments
from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.families import Rows, to_metric
from exporter.metrics.negotiation import Format
from exporter.model.decision import Mode
from exporter.model.derive import derive
from tests.benchmarks import scrape, synthetic

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Fleet:
    """An exposition that records what it was given, its instruments and their registry."""

    def __init__(self, targets: int = 2) -> None:
        self.registry = CollectorRegistry()
        self.exposition = scrape.Recording(self.registry)
        self.instruments = Instruments(
            registry=self.registry, exposition=self.exposition, version="1.2.3"
        )
        self.targets = [synthetic.target(f"t{n}") for n in range(targets)]
        self.instruments.configure(self.targets, {"p": Mode.OBSERVE}, now=synthetic.START)
        for target in self.targets:
            report = synthetic.report(target)
            findings = derive(report, target, now=synthetic.START)
            self.instruments.round_ended(
                report, findings, (), report.readings.values(), now=synthetic.START
            )

    def equal(self) -> scrape.Combined:
        return scrape.Combined(self.exposition, self.registry)


generate_openmetrics: Callable[[Collector], bytes] = openmetrics.generate_latest


def parse_openmetrics(page: str) -> list[Metric]:
    return list(parser.text_string_to_metric_families(page))  # type: ignore[no-untyped-call]


def helps(page: bytes) -> Counter[bytes]:
    return Counter(line.split()[2] for line in page.splitlines() if line.startswith(b"# HELP"))


def test_text_is_equal_to_one_registry_rendered_by_the_library() -> None:
    """A text scrape is byte for byte what generate_latest makes of everything in one registry."""
    fleet = Fleet()
    page = asyncio.run(fleet.exposition.scrape())
    assert page.body == generate_latest(fleet.equal())
    assert page.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert page.content_encoding is None


def test_openmetrics_is_equal_to_one_registry_rendered_by_the_library() -> None:
    """An OpenMetrics scrape is byte for byte the library's, parses, and ends with one EOF."""
    fleet = Fleet()
    page = asyncio.run(fleet.exposition.scrape(accept=OPENMETRICS))
    assert page.body == generate_openmetrics(fleet.equal())
    assert page.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert page.body.count(b"# EOF\n") == 1
    assert page.body.endswith(b"# EOF\n")
    assert parse_openmetrics(page.body.decode())


_LABEL = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ['"', "\\", "\n", '\\"\n', "a b", "é", "🦀", "# HELP x y", "\r\n", "{}=,"]
)
_VALUE = st.floats(allow_nan=True) | st.integers(-(10**18), 10**18).map(float)


@given(
    st.lists(
        st.dictionaries(
            _LABEL, st.dictionaries(st.tuples(_LABEL, _LABEL), _VALUE, max_size=4), max_size=3
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_label_and_value_renders_as_the_library_renders_it(
    rounds: list[dict[str, Rows]],
) -> None:
    """Quotes, newlines, any Unicode, any float, over several rounds: still byte for byte equal."""
    exposition = scrape.Recording(CollectorRegistry())
    for targets in rounds:
        for target, rows in targets.items():
            exposition.render(
                target,
                [
                    to_metric(target, "service_invocations", rows),
                    to_metric(target, "probe_failures_total", rows),
                ],
            )
    equal = CollectorRegistry()
    equal.register(scrape.Combined(exposition, CollectorRegistry()))
    assert exposition.body(Format.TEXT) == generate_latest(equal)
    assert exposition.body(Format.OPENMETRICS) == generate_openmetrics(equal)


def test_a_family_is_described_once() -> None:
    """However many targets there are, each family has one HELP line, in both formats."""
    fleet = Fleet(targets=5)
    for fmt in Format:
        assert set(helps(fleet.exposition.body(fmt)).values()) == {1}


def test_a_dropped_target_leaves_nothing() -> None:
    """After drop no line names the target, and the others are untouched."""
    fleet = Fleet()
    fleet.exposition.drop("t0")
    page = fleet.exposition.body(Format.TEXT)
    assert b'"t0"' not in page
    assert b'"t1"' in page
    assert page == generate_latest(fleet.equal())
    fleet.exposition.drop("t1")
    assert b"restate_medic_up" not in fleet.exposition.body(Format.TEXT)


def test_a_family_that_is_gone_from_a_target_has_no_lines() -> None:
    """What a render leaves out disappears; nothing of the one before shines through."""
    exposition = Exposition(registry=CollectorRegistry())
    exposition.render(
        "a", [to_metric("a", "up", {(): 1.0}), to_metric("a", "services", {("x",): 1})]
    )
    exposition.render("a", [to_metric("a", "up", {(): 0.0})])
    lines = [x for x in exposition.body(Format.TEXT).splitlines() if not x.startswith(b"#")]
    assert lines == [b'restate_medic_up{target="a"} 0.0']


@pytest.mark.parametrize(
    ("families", "problem"),
    [
        ([to_metric("a", "up", {(): 1})] * 2, "twice"),
        ([Metric("other", "text", "gauge")], "catalogue"),
        ([Metric("restate_medic_up", "another text", "gauge")], "catalogue"),
    ],
)
def test_what_is_not_in_the_catalogue_is_refused(families: list[Metric], problem: str) -> None:
    """A second HELP can never get in: such families are refused and the old lines stay."""
    exposition = Exposition(registry=CollectorRegistry())
    exposition.render("a", [to_metric("a", "up", {(): 1.0})])
    before = exposition.body(Format.TEXT)
    for family in families:
        if not family.samples:
            family.add_sample(family.name, {"target": "a", "more": "b"}, 1.0)
    with pytest.raises(ValueError, match=problem):
        exposition.render("a", families)
    assert exposition.body(Format.TEXT) == before


def test_a_process_metric_cannot_take_a_target_familys_name() -> None:
    """The registry refuses a metric that would describe a target family a second time."""
    registry = CollectorRegistry()
    Exposition(registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        ClientCounter(CATALOGUE["probes_total"].name, "again", registry=registry)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["restate_medic_up"], {"restate_medic_up"}),
        (["restate_medic_probes_total"], {"restate_medic_probes_total"}),
        (
            ["restate_medic_build_info", "restate_medic_up"],
            {"restate_medic_build_info", "restate_medic_up"},
        ),
        (["restate_medic_round_lag_seconds_sum"], {"restate_medic_round_lag_seconds_sum"}),
        (
            ["restate_medic_round_lag_seconds"],
            {f"restate_medic_round_lag_seconds_{s}" for s in ("bucket", "sum", "count")},
        ),
        (["nothing"], set()),
    ],
)
def test_name_filter(names: list[str], expected: set[str]) -> None:
    """``name[]`` keeps those samples, or a whole family by its name, for targets and process."""
    fleet = Fleet()
    for accept in ("", OPENMETRICS):
        body = asyncio.run(fleet.exposition.scrape(accept=accept, names=names)).body
        lines = (x.decode() for x in body.splitlines() if not x.startswith(b"#"))
        assert {line.partition("{")[0].partition(" ")[0] for line in lines} == expected
        assert body.endswith(b"# EOF\n") is bool(accept)


def sized(series: int) -> Exposition:
    exposition = Exposition(registry=CollectorRegistry())
    rows: Rows = {(f"service-{n}", "invoked"): float(n) for n in range(series)}
    exposition.render("a", [to_metric("a", "service_invocations", rows)])
    return exposition


@pytest.mark.parametrize("series", [20, 5000], ids=["inline", "in a thread"])
def test_gzip_is_the_same_page(series: int) -> None:
    """Compressed or not, small or large, the page says the same."""
    exposition = sized(series)
    page = asyncio.run(exposition.scrape(accept_encoding="gzip, deflate"))
    assert page.content_encoding == "gzip"
    assert gzip.decompress(page.body) == exposition.body(Format.TEXT)


def test_created_series_are_not_exposed() -> None:
    """No ``_created`` series: they double what a counter costs and say nothing new."""
    fleet = Fleet()
    assert b"_created" not in fleet.exposition.body(Format.TEXT)
    assert b"_created" not in fleet.exposition.body(Format.OPENMETRICS)


def test_a_scrape_is_faster_than_rendering_the_registry() -> None:
    """At 1,000 targets a scrape costs a small part of rendering everything (aim: a fiftieth)."""
    result = scrape.measure(targets=scrape.TARGETS, repeat=3)
    assert result.targets == scrape.TARGETS
    assert result.ratio > scrape.AIM / 4  # shared machines are noisy; `make bench` shows the ratio
