"""Why each policy does what it does, on the page of a target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exporter.model.target import Worker
from tests.unit.bureau import Bureau, bureau_at
from tests.unit.pages import HOSTILE, Html
from tests.unit.policy_scenes import policy, views


async def target_page(bureau: Bureau) -> Html:
    """After one round's reading, without a script."""
    readings = bureau.target.readings()
    bureau.fleet.merge(bureau.target.target, readings, now=bureau.clock.now())
    answer = await bureau.browse(f"/targets/{bureau.target.target.name}")
    assert answer.status_code == 200, answer.text
    return Html(answer.text)


async def test_a_policy_tells_what_it_sees_and_what_every_gate_says(tmp_path: Path) -> None:
    """The condition, its values, since when, which gates hold and pass, and what comes next."""
    async with bureau_at(tmp_path) as bureau:
        waits = {"for": "2m", "mode": "observe"}
        bureau.policies = (policy(name="heal", when="size(services.missing) > 0", **waits),)
        bureau.target.shown = dict(views(bureau.target.target, missing=["Greeter"]))
        page = await target_page(bureau)
        body = (await bureau.get("explain?target=prod"))["explanations"][0]
    assert "What policies see, and what holds them" in [one.text for one in page.all("h2")]
    (folded,) = [one for one in page.all("details") if one["data-key"] == "why heal "]
    assert "open" not in folded.attributes
    assert "when size(services.missing) > 0" in folded.text
    assert "services.missing Greeter" in folded.text
    assert "since not true" not in folded.text
    holding = [v["gate"] for v in body["verdicts"] if v["holds"]]
    passing = [v["gate"] for v in body["verdicts"] if not v["holds"]]
    assert holding
    assert all(f"{gate} holds" in folded.text for gate in holding)
    assert f"{', '.join(passing)} pass" in folded.text
    assert f"hold {holding[0]}" in folded.text
    assert "next " in folded.text


async def test_what_is_clear_says_that_there_is_nothing_to_do(tmp_path: Path) -> None:
    """No gate is asked then; and what is unknown is called so."""
    async with bureau_at(tmp_path) as bureau:
        bureau.policies = (policy(name="heal", when="size(services.missing) > 0"),)
        page = await target_page(bureau)
        (folded,) = [one for one in page.all("details") if one["data-key"].startswith("why ")]
        assert "next nothing to do" in folded.text
        assert "none is asked while there is nothing to do" in folded.text
        bureau.clock.advance(3600)
        old = Html((await bureau.browse("/targets/prod")).text)
    (folded,) = [one for one in old.all("details") if one["data-key"].startswith("why ")]
    assert "services.missing unknown" in folded.text


async def test_hostile_names_are_text(tmp_path: Path) -> None:
    """In values, items and details; no element of theirs is there."""
    async with bureau_at(tmp_path) as bureau:
        worker = Worker(f"http://w1:9080/{HOSTILE}", (HOSTILE, "Counter"))
        target = replace(bureau.target.target, workers=(worker,))
        bureau.target.target = target
        bureau.target.shown = dict(views(target, missing=[HOSTILE]))
        each = policy(name="each", when="size(item.missing) > 0", for_each="workers")
        bureau.policies = (policy(name="heal", when="size(services.missing) > 0"), each)
        page = await target_page(bureau)
    assert "<img" not in page.source
    assert "alert(1)" in page.words


async def test_of_many_items_the_first_are_shown(tmp_path: Path) -> None:
    """Those that are not clear; the rest is counted."""
    async with bureau_at(tmp_path) as bureau:
        workers = tuple(Worker(f"http://w{n:02}:9080/", (f"S{n}",)) for n in range(30))
        target = replace(bureau.target.target, workers=workers)
        bureau.target.target = target
        bureau.target.shown = dict(views(target, missing=["S29"]))
        bureau.policies = (policy(name="each", when="size(item.missing) > 0", for_each="workers"),)
        page = await target_page(bureau)
    told = [one["data-key"] for one in page.all("details") if one["data-key"].startswith("why ")]
    assert len(told) == 10
    assert told[0] == "why each http://w29:9080/"
    assert "each has 20 items more" in page.words
