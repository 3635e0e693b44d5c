"""The overview, and what all pages share."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from dataclasses import replace
from datetime import UTC, timedelta
from functools import cache
from typing import Any

import pytest

from exporter.model.component import Component, Reason
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.operation import Operation, Phase
from exporter.model.orders import Pause
from exporter.model.report import Report
from exporter.web import StandingDecision, TargetStatus, WebStatus
from exporter.web.page.overview import MOST_DECISIONS, MOST_TARGETS
from exporter.web.recent import Recent
from exporter.web.status import Running
from tests.benchmarks import page as benchmark
from tests.benchmarks import synthetic
from tests.benchmarks.synthetic import START
from tests.unit.pages import HOSTILE, Html, Pages
from tests.unit.policy_scenes import policy

TRICK = "\u202egnp.exe\ud800\x1b[2J"
SOON = timedelta(seconds=15)


def healthy(name: str = "local", **labels: str) -> TargetStatus:
    target = replace(synthetic.target(name), labels=labels)
    return TargetStatus(target, synthetic.report(target))


def broken(
    name: str, *components: Component, reason: Reason = Reason.REFUSED, error: str = "refused"
) -> TargetStatus:
    row = healthy(name)
    failing = [synthetic.failure(row.target, c, reason, error=error) for c in components]
    return TargetStatus(row.target, synthetic.with_readings(row.report, *failing))


def held(
    target: str = "local",
    policy: str = "re-register",
    item: str | None = None,
    reason: HoldReason = HoldReason.PENDING,
    detail: str = "waits 2m",
) -> StandingDecision:
    subject = Subject(policy, target, item)
    return StandingDecision(
        Decision(subject, Result.HOLD, reason, detail=detail, remedy="force-redeploy"), START
    )


@cache
def opened() -> Pages:
    """One application for all of them; building it takes longer than a page."""
    return Pages()


def shown(status: WebStatus) -> Pages:
    opened().status = status
    return opened()


def fleet(*rows: TargetStatus, **facts: Any) -> Pages:
    return shown(replace(WebStatus(START, ready=True, targets=rows), **facts))


def plan(number: int = 1) -> Operation:
    return Operation(
        id=f"op_{number}",
        target="local",
        remedy="force-redeploy",
        arguments={},
        source="policy",
        actor="policy:heal",
        mode=Mode.APPROVE,
        phase=Phase.PROPOSED,
        created_at=START - timedelta(minutes=3),
        summary="register http://u:pass@w:9080/ again",
    )


# What is wrong, since when, what is done


async def test_a_healthy_fleet_says_so() -> None:
    """Every component's status in words, the version, and where to go on."""
    page = await fleet(healthy()).page()
    assert page.all("h1")[0].text == "The target is ok"
    row = page.row("local")
    assert row.count("ok 12 ms, just now") == len(Component)
    assert "restate-medic 9.9.9" in page.words
    for link in ("./metrics", "./api/v1/targets", "./openapi.json", "./-/ready", "./audit"):
        assert link in page.links()
    assert "2 targets are ok" in (await fleet(healthy("a"), healthy("b")).page()).words


async def test_what_is_wrong_stands_first() -> None:
    """The worst target, then its names; each with its reason, and its error once."""
    rows = (
        healthy("aaa"),
        healthy("bbb"),
        broken("yyy", Component.INVOCATIONS, reason=Reason.QUERY_FAILED, error="boom"),
        TargetStatus(synthetic.target("xxx"), Report("xxx")),
        broken("zzz", *Component, reason=Reason.TLS, error="bad http://u:pass@h/ cert"),
    )
    wanted = (held("bbb"),)
    page = await fleet(*rows, decisions=wanted).page()
    assert page.all("h1")[0].text == "3 of 5 targets need a look"
    names = [one.text.split()[0] for one in page.all("th", scope="row")]
    assert names[:5] == ["zzz", "yyy", "xxx", "bbb", "aaa"]
    assert "everything : tls · bad http://REDACTED@h/ cert" in page.words
    assert page.words.count("bad http://") == 1
    assert "invocations : query_failed · boom" in page.words
    assert "everything : not read yet" in page.words
    assert page.words.count("No policy wants to do anything about it.") == 3


async def test_a_service_that_is_missing_is_said_although_everything_answers() -> None:
    """Callers get a 404 then, and no policy may be there to say so; hostile names stay text."""
    worker = replace(synthetic.target().workers[0], services=("Orders", "<b>Pay</b>"))
    whole = healthy("bbb")
    row = TargetStatus(replace(whole.target, workers=(worker,)), whole.report)
    unread = broken("ccc", Component.SERVICES)
    page = await fleet(healthy("aaa"), row, unread).page()
    assert page.all("h1")[0].text == "2 of 3 targets need a look"
    names = [one.text.split()[0] for one in page.all("th", scope="row")]
    assert names[:3] == ["ccc", "bbb", "aaa"]
    assert page.words.count("not registered") == 1
    assert "services : not registered: &lt;b&gt;Pay&lt;/b&gt;" in page.words
    assert page.words.count("No policy wants to do anything about it.") == 2
    chosen = await fleet(healthy("aaa"), row).page("/?status=unhealthy")
    assert "bbb" in chosen.words
    assert "aaa" not in chosen.words


async def test_one_of_several_needs_and_two_need() -> None:
    """The headline counts in words that fit."""
    one = await fleet(broken("a", Component.ADMIN), healthy("b")).page()
    assert one.all("h1")[0].text == "1 of 2 targets needs a look"
    alone = await fleet(broken("a", Component.ADMIN)).page()
    assert alone.all("h1")[0].text == "1 of 1 target needs a look"


async def test_since_when_something_is_wrong() -> None:
    """Since it was seen to begin; ``at least`` where nobody was looking before."""
    row, recent = broken("a", Component.ADMIN), Recent()
    before = healthy("a")
    for seconds, seen in ((0, before), (15, row), (30, row)):
        recent.note(row.target, seen.report, START + timedelta(seconds=seconds))
    now = START + timedelta(seconds=40)
    page = await fleet(row, now=now, recent={"a": recent.of("a")}).page()
    assert "admin : refused, for 25s" in page.words
    (since,) = [one for one in page.all("time") if one.text == "for 25s"]
    assert since["datetime"] == "2026-11-20T12:00:15Z"
    only = Recent()
    only.note(row.target, row.report, START)
    page = await fleet(row, now=now, recent={"a": only.of("a")}).page()
    assert "admin : refused, for at least 40s" in page.words


async def test_an_old_reading_is_unknown() -> None:
    """The page asks the clock, too: what was read an hour ago is neither ok nor its number."""
    page = await fleet(healthy(), now=START + timedelta(hours=1)).page()
    assert page.all("h1")[0].text == "1 of 1 target needs a look"
    row = page.row("local")
    assert " ok " not in row
    assert "12 ms" not in row
    assert row.count("unknown last read 1h ago") == len(Component)


async def test_what_is_being_done_stands_beside_what_is_wrong() -> None:
    """The running operation, and every policy that wants something with the word for why not."""
    act = StandingDecision(
        Decision(Subject("clean-up", "sick"), Result.ACT, remedy="cleanup-stale-deployments"),
        START,
    )
    waits = held("sick", reason=HoldReason.AWAITING_APPROVAL)
    waits = replace(waits, decision=replace(waits.decision, proposal="op_7"))
    page = await fleet(
        broken("sick", Component.ADMIN),
        decisions=(held("sick", "third", reason=HoldReason.STORM), waits, act),
        operations={"sick": "op_9"},
    ).page()
    more = next(row for row in page.rows() if row.startswith("admin : refused"))
    assert "An operation is running" in more
    assert more.index("clean-up: does cleanup-stale-deployments") < more.index("re-register:")
    assert "re-register: awaiting_approval ( look at the plan ) · third: storm" in more
    assert {"./audit/op_9", "./audit/op_7"} <= set(page.links())


async def test_plans_that_wait_are_told_on_top() -> None:
    """A person is needed: what for, where, and since when; three by name."""
    page = await fleet(healthy(), plans=(plan(1),)).page()
    told = next(one.text for one in page.all("div") if one["class"] == "notice waits")
    assert told == (
        "A plan waits for a yes: register http://REDACTED@w:9080/ again on local,"
        " by policy:heal, 3m ago"
    )
    page = await fleet(healthy(), plans=tuple(map(plan, range(5)))).page()
    assert page.words.count("A plan waits for a yes") == 3
    assert "2 more wait: all plans that wait for a yes" in page.words


async def test_pauses_and_a_failed_reload_are_told_on_top() -> None:
    """Who paused what, since and until when and why; without secrets."""
    pauses = [
        Pause(n, "target", f"t{n}", "mira", "see http://u:pass@h/", START, None) for n in range(4)
    ]
    running = Running(START, START, ("medic.yaml:3: no such key",))
    page = await fleet(
        healthy(),
        pauses=tuple(pauses),
        running=running,
        now=START + SOON,
        ready=False,
        waiting_for=("local",),
    ).page()
    assert (
        "Paused: target t0 , by mira since 2026-11-20 12:00:00 UTC,"
        " until somebody lifts it: see http://REDACTED@h/"
    ) in page.words
    assert "1 more pause is in force" in page.words
    assert "the one before is in force: medic.yaml:3: no such key" in page.words
    assert "Waiting for the first round of 1." in page.words
    assert "the last reload failed" in page.words
    assert "up 15s · configuration loaded 15s ago" in page.words


# What policies want


async def test_decisions_that_are_alike_are_one_row() -> None:
    """With the items it is about; what acts comes first, what is clear is counted."""
    decisions = (
        StandingDecision(Decision(Subject("calm", "local"), Result.CLEAR), START),
        held(item="http://u:pass@w:9080/"),
        *(held(policy="resume", item=f"inv_{n}@2026-11-20T11:00:00+00:00") for n in range(3)),
        StandingDecision(Decision(Subject("clean-up", "local"), Result.ACT), START + SOON),
    )
    page = await fleet(healthy(), decisions=decisions, now=START + timedelta(minutes=5)).page()
    rows = [row for row in page.rows() if ("pending" in row and " hold " in row) or " act " in row]
    assert [row.split()[0] for row in rows] == ["clean-up", "re-register", "resume"]
    assert rows[1].startswith("re-register http://REDACTED@w:9080/ local hold 5m pending waits 2m")
    assert "3 items inv_0 inv_1 inv_2" in rows[2]
    assert "calm" not in page.words
    assert "1 decision is clear" in page.words


async def test_tiles_count_and_lead_on() -> None:
    """Targets by status, plans, operations and holds, each with where they are shown."""
    page = await fleet(
        healthy("a"),
        broken("b", Component.ADMIN),
        decisions=(held(), held(policy="q"), held(reason=HoldReason.AWAITING_APPROVAL)),
        plans=(plan(),),
        operations={"a": "op_1"},
    ).page()
    tiles = {one.text: one["href"] for one in page.all("a") if one.text[:1].isdigit()}
    assert tiles == {
        "1 unreachable": "?status=unreachable",
        "0 degraded": "?status=degraded",
        "0 unknown": "?status=unknown",
        "1 ok": "?status=ok",
        "1 waiting for a yes": "./audit?phase=proposed",
        "1 operations running": "#targets",
        "2 decisions held": "#decisions",
    }


# Filters


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["sick", "new", "well"]),
        ("?status=unhealthy", ["sick", "new"]),
        ("?status=unreachable", ["sick"]),
        ("?status=unknown", ["new"]),
        ("?status=ok", ["well"]),
        ("?status=fine", ["sick", "new", "well"]),
        ("?q=TIER%3Dcritical", ["well"]),
        ("?q=e", ["new", "well"]),
        ("?status=ok&q=sick", []),
        ("?q=" + "x" * 5_000, []),
    ],
)
async def test_the_address_narrows_the_targets(query: str, names: list[str]) -> None:
    """By status and by text; what was chosen stands in the form, and what is left out is said."""
    rows = (
        healthy("well", tier="critical"),
        broken("sick", Component.ADMIN),
        TargetStatus(synthetic.target("new"), Report("new")),
    )
    page = await fleet(*rows).page(f"/{query}")
    assert [one.text.split()[0] for one in page.all("th", scope="row")] == names
    assert ("No target is like that." in page.words) is (not names)
    assert page.all("h1")[0].text == "2 of 3 targets need a look"
    (chosen,) = [one for one in page.all("option") if "selected" in one.attributes]
    known = re.search(r"status=(unhealthy|unreachable|unknown|ok)", query)
    assert chosen["value"] == (known[1] if known else "")


async def test_a_large_fleet_is_cut_and_says_so() -> None:
    """The worst are shown; nothing is left out silently."""
    rows = [healthy(f"t{n:03}") for n in range(MOST_TARGETS + 7)]
    decisions = tuple(held(f"t{n:03}") for n in range(MOST_DECISIONS + 3))
    page = await fleet(*rows, broken("zzz", Component.ADMIN), decisions=decisions).page()
    assert len(page.all("tbody")) == MOST_TARGETS + 1
    assert page.all("th", scope="row")[0].text.startswith("zzz")
    assert "8 more are not shown, none of them worse" in page.words
    assert "3 more are on the pages of the targets." in page.words


async def test_an_empty_site_has_a_page() -> None:
    """No targets and no policies: said in words."""
    page = await fleet().page()
    assert "No targets are configured." in page.words
    assert "No policy wants to do anything." in page.words
    assert "0 policies in force, up to mode enforce." in page.words


# What comes from outside is text


def hostile_fleet(text: str, name: str) -> Pages:
    target = replace(synthetic.target(name), labels={text: text})
    failing = synthetic.failure(target, Component.ADMIN, error=text)
    report = synthetic.with_readings(
        synthetic.report(target, seen=synthetic.views([text])), failing
    )
    one = replace(held(name, name, text, detail=text), since=START)
    acts = Decision(Subject(name, name), Result.ACT, remedy=text)
    recent = Recent()
    recent.note(target, report, START)
    return shown(
        WebStatus(
            START.astimezone(UTC),
            ready=False,
            targets=(TargetStatus(target, report),),
            decisions=(one, replace(one, since=START + SOON), StandingDecision(acts, START)),
            waiting_for=(text,),
            operations={name: "op_1"},
            plans=(replace(plan(), summary=text, actor=text),),
            pauses=(Pause(1, "target", name, text, text, START),),
            running=Running(START, START, (text,)),
            recent={name: recent.of(name)},
        )
    )


@pytest.mark.parametrize("path", ["/", "/targets/{}", "/policies", "/login"])
async def test_remote_text_is_escaped(path: str) -> None:
    """Names, errors, reasons, labels and items from outside are text, never markup."""
    name = HOSTILE.replace("/", "")
    page = await hostile_fleet(HOSTILE, name).page(path.format(name))
    assert not page.all("img")
    assert not [one for one in page.all("script") if "alert" in one.text]
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on")]
    if path not in {"/login", "/policies"}:
        assert page.source.count("&lt;script&gt;") > 10


@pytest.mark.parametrize("path", ["/", "/targets/t", "/policies"])
async def test_nothing_hides_in_remote_text(path: str) -> None:
    """What would turn text around, or is no text at all, is shown as its code."""
    page = await hostile_fleet(TRICK, "t").page(path)
    assert not re.search("[\u202e\ud800\x1b]", page.source)
    if path != "/policies":
        assert r"\u202egnp.exe\ud800\u001b[2J" in page.words


# What all pages share

EVERY = ("/", "/targets/local", "/policies", "/audit", "/login", "/targets/none", "/audit/op_1")


@pytest.mark.parametrize("path", EVERY)
async def test_a_page_runs_under_its_policy(path: str) -> None:
    """Its own style and script are what its policy allows, and nothing comes from elsewhere."""
    answer = await fleet(healthy()).get(path)
    allowed, page = answer.headers["content-security-policy"], Html(answer.text)
    for tag in ("style", "script"):
        for element in page.all(tag):
            digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in allowed
            assert element.attributes == {}
    assert len(page.all("style")) == 1
    for rule in (
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "connect-src 'self'",
    ):
        assert rule in allowed
    assert "frame-ancestors 'none'" in allowed
    assert "unsafe" not in allowed
    for element in page.elements:
        assert not element["style"]
        assert not [name for name in element.attributes if name.startswith("on")]
        for name in ("src", "href", "action", "formaction"):
            assert not re.match(r"(?i)[a-z]+:(?!,$)|//|/", element[name]), element
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", EVERY)
async def test_links_hold_under_a_proxys_prefix(path: str) -> None:
    """Each leads, from wherever the page is, to a path that is answered."""
    pages = fleet(healthy())
    page = Html((await pages.get(path)).text)
    folder = posixpath.dirname("/some/prefix" + path)
    for link in page.links():
        bare = link.split("#")[0].split("?")[0]
        there = posixpath.normpath(posixpath.join(folder, bare)) if bare else "/some/prefix" + path
        assert there.startswith("/some/prefix"), link
        asked = there.removeprefix("/some/prefix") or "/"
        if not asked.startswith(("/metrics", "/-/", "/openapi", "/api/")):
            known = {200, 503} if asked != path else {200, 404, 503}
            assert (await pages.get(asked)).status_code in known, link


async def test_a_page_is_refreshed_with_and_without_a_script() -> None:
    """Every 15 s; without a script by the browser, and not with what was said once."""
    pages = fleet(healthy())
    page = await pages.page("/?status=ok&done=checked")
    assert page.all("main")[0]["data-refresh"] == "15"
    (refresh,) = [one for one in page.all("meta") if one["http-equiv"] == "refresh"]
    assert refresh["content"] == "15;url=?status=ok"
    assert "Read just now." in page.words
    assert not (await pages.page("/?done=<b>")).all("div", role="status")
    login = await pages.page("/login")
    assert not login.all("script")
    assert "data-refresh" not in login.all("main")[0].attributes


async def test_a_page_can_be_read_aloud_and_walked_through() -> None:
    """Language, title, one heading of the first order, landmarks, and names for what is there."""
    for path in EVERY:
        page = Html((await fleet(healthy(), broken("sick", Component.ADMIN)).get(path)).text)
        assert page.all("html")[0]["lang"] == "en"
        assert page.all("title")[0].text
        assert len(page.all("h1")) == 1
        assert page.all("a")[0]["href"] == "#main"
        assert page.all("main")[0]["id"] == "main"
        labels = {one["aria-labelledby"] for one in page.all("section")} - {""}
        assert labels <= {one["id"] for one in page.elements}
        assert all(one["aria-label"] for one in page.all("svg"))
        assert all(one["scope"] for one in page.all("th"))
        named = {one["name"] for one in page.all("input") if one["type"] != "hidden"}
        spoken = "".join(one.text for one in page.all("label"))
        assert len(page.all("label")) == len(named - {"user"}) + len(page.all("select"))
        assert spoken.strip() or not named


async def test_the_viewer_sees_no_forms() -> None:
    """Without an operator's key there is nothing to press that would be refused."""
    page = await fleet(healthy(), pauses=(Pause(1, "global", "", "mira", "x", START),)).page(
        "/targets/local"
    )
    assert not [one for one in page.all("form") if one["method"] == "post"]


def test_a_large_fleet_is_rendered_quickly() -> None:
    """It takes a part of what the same targets' metrics take; ``make bench`` shows how much."""
    result = benchmark.measure(repeat=3)
    assert result.ratio < 0.6  # a fifth on a quiet machine
    assert result.kilobytes < 300


async def test_policies_are_counted_in_the_lead() -> None:
    """One policy, two policies, and how far they may go."""
    page = await fleet(healthy(), policies=(policy(),), max_mode=Mode.OBSERVE).page()
    assert "1 policy in force, up to mode observe." in page.words
