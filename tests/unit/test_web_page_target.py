"""The page of one target, and the page of the policies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.report import Report
from exporter.web import StandingDecision, TargetStatus, WebStatus
from exporter.web.page.words import scalar, visible
from exporter.web.recent import Recent
from tests.benchmarks import synthetic
from tests.benchmarks.synthetic import START
from tests.unit.pages import Html
from tests.unit.policy_scenes import policy
from tests.unit.test_web_page import broken, healthy, held, shown


async def target_page(row: TargetStatus, **facts: object) -> Html:
    now = replace(WebStatus(START, ready=True, targets=(row,)), **facts)  # type: ignore[arg-type]
    return await shown(now).page(f"/targets/{row.target.name}")


async def test_a_target_tells_what_its_components_said() -> None:
    """Status, latency and age, how often it is read, and its last rounds in words."""
    row, recent = healthy(tier="critical"), Recent()
    intervals: dict[Component, timedelta] = {**row.target.intervals}
    del intervals[Component.NODE]
    row = TargetStatus(replace(row.target, intervals=intervals), row.report)
    for seconds in range(3):
        recent.note(row.target, row.report, START + timedelta(seconds=seconds))
    page = await target_page(row, recent={"local": recent.of("local")})
    assert page.all("h1")[0].text == "local ok"
    assert "Restate 1.7.12 · tier=critical" in page.words
    assert page.row("ingress").startswith("ingress ok for at least 0s 12 ms, just now 15s")
    (strip,) = {one["aria-label"] for one in page.all("svg")}
    assert strip == "0 of the last 3 rounds were not ok"
    told = {one.text for one in page.all("th", scope="row")}
    assert told & set(Component) == set(Component) - {Component.NODE}


async def test_a_failed_component_tells_why() -> None:
    """Its reason and its error without secrets, and no latency from before."""
    row = broken("local", Component.ADMIN, reason=Reason.TLS, error="see https://u:pass@h/ cert")
    page = await target_page(row)
    assert "unreachable tls, just now see https://REDACTED@h/ cert 15s" in page.row("admin")


async def test_findings_stand_under_their_subject() -> None:
    """Each with its value in words; what a table shows is not told twice."""
    page = await target_page(healthy())
    titles = [one.text for one in page.all("h3")]
    assert titles == sorted(titles)
    assert {"admin", "drift", "invocations", "services", "workflows"} <= set(titles)
    found = dict(zip((one.text for one in page.all("dt")), page.all("dd"), strict=True))
    assert found["paused"].text == "2"
    assert found["zombies"].text == "0"
    assert found["registered"].text == "Mail, Orders"
    assert found["complete"].text == "yes"
    assert found["dropped"].text == "none"
    assert not {"status", "reason", "age"} & found.keys()


async def test_what_is_unknown_is_never_a_number() -> None:
    """Without a fresh reading there is no 0, no ``none`` and no ``ok`` anywhere."""
    for row, now in (
        (TargetStatus(synthetic.target(), Report("local")), START),
        (healthy(), START + timedelta(hours=1)),
    ):
        page = await target_page(row, now=now)
        assert page.all("h1")[0].text == "local unknown"
        assert "Unknown: there is no fresh reading." in page.words
        assert "Nothing is known yet." in page.words
        assert "unknown unknown unknown" in page.row("http://worker:9080/")
        told = page.words.replace("there is none here", "")  # which is said of the ledger
        assert not {"0", "none", "ok"} & set(told.split())


async def test_a_scan_that_failed_leaves_its_numbers_out() -> None:
    """What is pinned to a deployment is unknown then, and no 0; the rest is told."""
    page = await target_page(broken("local", Component.INVOCATIONS, reason=Reason.QUERY_FAILED))
    assert page.row("dp_new").endswith("unknown unknown")
    assert "invocations" not in {one.text for one in page.all("h3")}
    assert "services" in {one.text for one in page.all("h3")}


async def test_workers_and_deployments_are_told() -> None:
    """Whether each answers and is registered, and what differs; state, owner and what is pinned."""
    page = await target_page(healthy())
    assert page.row("http://worker:9080/") == "http://worker:9080/ yes yes dp_new no"
    assert page.row("dp_old").startswith("dp_old http://worker-old:9080/ drained for 0s")
    assert page.row("dp_new").startswith("dp_new http://worker:9080/ active")
    names = [one.text for one in page.all("h2")]
    assert names == [
        *("Components", "Policies", "Last operations"),
        *("Workers", "Deployments", "Findings"),
    ]


async def test_policies_of_the_target_and_the_lack_of_a_ledger_are_told() -> None:
    """What is held and what is clear; an unreadable ledger is a sentence and no empty list."""
    clear = Decision(Subject("calm", "local"), Result.CLEAR)
    page = await target_page(
        healthy(), decisions=(held(), held("other", "foreign"), StandingDecision(clear, START))
    )
    assert page.row("re-register").startswith("re-register hold 0s pending waits 2m")
    assert "clear: calm" in page.words
    assert "foreign" not in page.words
    assert "The ledger cannot be read now, so operations are not shown" in page.words
    assert "None yet" not in page.words


async def test_an_unknown_target_is_a_page_that_says_so() -> None:
    """404, with a way back."""
    page = await shown(WebStatus(START, ready=True)).page("/targets/none", code=404)
    assert page.all("h1")[0].text == "Nothing here"
    assert "There is no target “none”." in page.words
    assert "../" in page.links()


async def test_a_policy_tells_what_it_does_and_what_it_decides_now() -> None:
    """Its mode under ``max_mode``, condition, limits, where it is written, and its decisions."""
    held_twice = [held(name, "heal", reason=HoldReason.STORM) for name in ("a", "b")]
    clear = StandingDecision(Decision(Subject("heal", "c"), Result.CLEAR), START)
    rows = tuple(healthy(f"t{n:02}") for n in range(23))
    page = await shown(
        WebStatus(
            START,
            ready=True,
            targets=rows,
            policies=(policy(name="heal", mode="enforce"),),
            decisions=(*held_twice, clear),
            max_mode=Mode.OBSERVE,
        )
    ).page("/policies")
    section = next(one.text for one in page.all("section"))
    assert section.startswith("heal observe written enforce when")
    assert "storm 2 clear 1" in section
    assert "does force-redeploy" in section
    assert "t19 and 3 more" in section
    assert "The configuration lets them go up to mode observe." in page.words
    assert "so open breakers are not shown" in page.words


async def test_without_policies_the_page_says_what_that_means() -> None:
    """Nothing is mended then."""
    page = await shown(WebStatus(START, ready=True)).page("/policies")
    assert "No policy is in force: restate-medic watches and mends nothing." in page.words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ("", "none"),
        (None, "none"),
        ([], "none"),
        ({}, "none"),
        (1.5, "1.5"),
        (START, "2026-11-20 12:00:00"),
    ],
)
def test_values_are_said_in_words(value: object, said: str) -> None:
    """As a person would, and 0 is 0."""
    assert scalar(value) == said


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("Ünïcödé 🦀 שלום", "Ünïcödé 🦀 שלום"),
        ("a\u202eb", r"a\u202eb"),
        ("\u200bx\ufeff", r"\u200bx\ufeff"),
        ("\x00\r\x1b", r"\u0000\u000d\u001b"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_hides_is_shown_as_its_code(text: str, seen: str) -> None:
    """Every language stays readable."""
    assert visible(text) == seen
    assert str(visible(text)).encode()
    assert visible(7) == 7
