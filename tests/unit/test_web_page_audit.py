"""The pages over the ledger: the list, its filters and parts, and one operation in full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.decision import Mode
from exporter.model.operation import Operation, Outcome, Phase, Request
from tests.doors import VIEWER
from tests.unit.bureau import Bureau, bureau_at
from tests.unit.fakes import by_person, by_policy, locked, plan_for
from tests.unit.pages import HOSTILE, Html
from tests.unit.policy_scenes import NOW
from tests.unit.test_read_api import fail_twice


@pytest.fixture
async def bureau(tmp_path: Path) -> AsyncIterator[Bureau]:
    async with bureau_at(tmp_path) as opened:
        yield opened


async def page(bureau: Bureau, path: str, *, code: int = 200, cookie: str = "") -> Html:
    answer = await bureau.browse(path, cookie=cookie)
    found = Html(answer.text)
    assert answer.status_code == code, found.words
    return found


async def waiting(bureau: Bureau) -> Operation:
    request = by_policy(mode=Mode.APPROVE)
    plan = replace(
        plan_for(request), steps=("register http://u:pass@w/", f"  adds {HOSTILE}", "put back")
    )
    return await bureau.ledger.propose(request, plan, owner="me", now=NOW)


async def refused(bureau: Bureau, request: Request, times: int = 1) -> None:
    for _ in range(times):
        await bureau.ledger.refuse(
            request, reason="busy", message="no http://u:pass@h/", now=bureau.clock.advance(60)
        )


async def test_the_list_tells_who_did_what_when_and_how_it_ended(bureau: Bureau) -> None:
    """Newest first, with the moment in UTC; errors without secrets."""
    await waiting(bureau)
    await refused(bureau, by_person())
    found = await page(bureau, "/audit")
    rows = [row for row in found.rows() if row.startswith("force-redeploy")]
    refusal, proposal = rows
    assert refusal.startswith("force-redeploy prod refused busy: no http://REDACTED@h/ mira cli")
    assert refusal.endswith("2026-11-02 03:01:00 just now, took 0s")
    assert proposal.startswith("force-redeploy force-redeploy on prod prod waiting for a yes heal")
    assert proposal.endswith("policy 2026-11-02 03:00:00 1m ago")
    assert found.all("main")[0]["data-refresh"] == "15"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4),
        ("target=prod", 3),
        ("target=gone", 1),
        ("target=never", 0),
        ("policy=heal", 1),
        ("outcome=refused", 3),
        ("phase=proposed", 1),
        ("remedy=force-redeploy&outcome=refused", 3),
        ("outcome=fine&phase=odd&target=prod", 3),
        ("target=" + "x" * 9_000, 0),
    ],
)
async def test_the_address_narrows_the_list(bureau: Bureau, query: str, count: int) -> None:
    """What was asked for stands in the form, also when it is configured no more."""
    await waiting(bureau)
    await refused(bureau, by_person(), 2)
    await refused(bureau, by_person(target="gone"))
    found = await page(bureau, f"/audit?{query}")
    assert len([row for row in found.rows() if row.startswith("force-redeploy")]) == count
    assert ("Nothing like that is in the ledger." in found.words) is (count == 0)
    asked = dict(part.split("=") for part in query.split("&") if part)
    chosen = {one.text for one in found.all("option") if "selected" in one.attributes}
    assert chosen == {
        value[:100] for name, value in asked.items() if value not in {"fine", "odd"}
    } - {"force-redeploy"}


async def test_a_long_list_comes_in_parts(bureau: Bureau) -> None:
    """Every row is in one of them once; older ones are not refreshed under the reader's eyes."""
    await refused(bureau, by_person(), 120)
    await refused(bureau, by_person(target="gone"))
    path, ids = "/audit?target=prod", []
    for number in range(3):
        found = await page(bureau, path)
        ids += [link for link in found.links() if link.startswith("./audit/")]
        assert ("data-refresh" in found.all("main")[0].attributes) is (number == 0)
        assert bool(found.all("a", href="./audit?target=prod")) is (number > 0)
        older = [one["href"] for one in found.all("a") if one.text == "older"]
        path = "/" + older[0].removeprefix("./") if older else ""
    assert path == ""
    assert len(ids) == len(set(ids)) == 120
    lost = await page(bureau, "/audit?before=op_none", code=404)
    assert "That part of the list is not there any more." in lost.words


async def test_an_operation_tells_everything(bureau: Bureau) -> None:
    """Who, where, why, what was seen, before and after, and every entry with its hash."""
    request = by_policy()
    row = await bureau.ledger.reserve(
        request,
        replace(plan_for(request), before={"revisions": {"Greeter": 2}, "flag": True, "no": []}),
        owner="me",
        lease=timedelta(hours=1),
        now=NOW,
    )
    await bureau.ledger.advance(row.id, Phase.ACTING, owner="me", lease=timedelta(hours=1), now=NOW)
    await bureau.ledger.finish(
        row.id,
        Outcome.FAILED,
        owner="me",
        now=bureau.clock.advance(90),
        error="see http://u:pass@h/",
        after={"registered": {"Greeter": 3}},
    )
    found = await page(bureau, f"/audit/{row.id}")
    assert found.all("h1")[0].text == "force-redeploy failed"
    assert found.all("main")[0].attributes.get("data-refresh") is None
    for told in (
        "see http://REDACTED@h/",
        "by heal policy, revision abc123",
        "begun 2026-11-02 03:00:00 UTC 1m30s ago",
        "finished 2026-11-02 03:01:30 UTC after 1m30s",
        "What the condition saw services.missing Greeter",
        "Before flag yes no none revisions Greeter 2",
        "After registered Greeter 3",
        "reserved 1 2026-11-02 03:00:00.000",
    ):
        assert told in found.words, found.words
    hashes = [one["title"] for one in found.all("td") if one["data-label"] == "hash"]
    assert hashes == [entry.hash for entry in await bureau.ledger.entries(row.id)]


async def test_a_plan_that_waits_shows_its_steps_before_anybody_says_yes(bureau: Bureau) -> None:
    """An operator gets the forms; everybody else is told who may answer, and how."""
    plan = await waiting(bureau)
    path = f"/audit/{plan.id}"
    for cookie in ("", await bureau.log_in(VIEWER)):
        found = await page(bureau, path, cookie=cookie)
        assert "register http://REDACTED@w/" in found.words
        assert not found.all("img")
        assert f"restate-medic approve {plan.id}" in found.words
        assert f"../login?next=audit/{plan.id}" in found.links()
        assert not [one for one in found.all("form") if "/approve" in one["action"]]
    found = await page(bureau, path, cookie=await bureau.log_in())
    assert [one["action"] for one in found.all("form")][1:] == [f"../act/audit/{plan.id}/approve"]
    (no,) = [one for one in found.all("button") if one["formaction"]]
    assert (no.text, no["formaction"]) == ("Reject", f"../act/audit/{plan.id}/reject")


async def test_an_operation_is_found_by_how_its_id_begins(bureau: Bureau) -> None:
    """What is not there, or not clear, is a page that says so."""
    plan = await waiting(bureau)
    assert plan.id in (await page(bureau, f"/audit/{plan.id[:-2]}")).words
    gone = await page(bureau, "/audit/op_none", code=404)
    assert "there is no operation 'op_none'" in gone.words.replace("&#39;", "'")
    await refused(bureau, by_person(), 2)
    assert "op_ may be op_" in (await page(bureau, "/audit/op_", code=404)).words


async def test_what_the_ledger_keeps_is_text(bureau: Bureau) -> None:
    """Reasons, errors, arguments and the bodies of entries from outside are never markup."""
    request = replace(
        by_person(), reason=HOSTILE, actor=HOSTILE, arguments={HOSTILE: {HOSTILE: [HOSTILE]}}
    )
    await bureau.ledger.refuse(request, reason="busy", message=HOSTILE, now=NOW)
    (row,) = await bureau.rows()
    for path in ("/audit", f"/audit/{row.id}", "/targets/prod"):
        found = await page(bureau, path)
        assert not found.all("img")
        assert "alert(2)" in found.words
        for element in found.elements:
            assert not [name for name in element.attributes if name.startswith("on")]


async def test_without_the_ledger_there_is_a_sentence_and_no_empty_list(
    bureau: Bureau,
) -> None:
    """Nothing looks as if nothing had been done."""
    plan = await waiting(bureau)
    await bureau.ledger.close()
    for path, code in (
        ("/audit", 200),
        (f"/audit/{plan.id}", 503),
        ("/targets/prod", 200),
        ("/policies", 200),
    ):
        found = await page(bureau, path, code=code)
        assert "The ledger cannot be read now, so" in found.words, path
        assert "Nothing like that" not in found.words
        assert "None yet" not in found.words


async def test_open_breakers_stand_with_their_policy(bureau: Bureau) -> None:
    """Where, why, and for an operator the way to close it."""
    await fail_twice(bureau)
    found = await page(bureau, "/policies")
    assert "breaker open on prod : force-redeploy failed 2 times on this target" in found.words
    assert not [one for one in found.all("form") if "/reset" in one["action"]]
    found = await page(bureau, "/policies", cookie=await bureau.log_in())
    (form,) = [one for one in found.all("form") if "/reset" in one["action"]]
    assert form["action"] == "./act/breakers/target%3Aprod%3Aforce-redeploy/reset"


async def test_a_locked_ledger_does_not_hold_up_what_is_in_memory(
    bureau: Bureau, tmp_path: Path
) -> None:
    """The overview asks the ledger nothing."""
    with locked(tmp_path):
        assert (await page(bureau, "/")).all("h1")[0].text == "1 of 1 target needs a look"
