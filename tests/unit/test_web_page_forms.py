"""What an operator does from a page: as the API's routes, written down, and told as a page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.ledger.chain import verify
from exporter.model.component import Component
from exporter.model.decision import Mode
from exporter.model.operation import Operation, Outcome
from exporter.web.api.body import MOST_BODY_BYTES
from exporter.wire.operator import LONGEST_REASON
from tests.doors import VIEWER
from tests.unit.bureau import Bureau, bureau_at
from tests.unit.fakes import by_policy, plan_for
from tests.unit.pages import HOSTILE, Html
from tests.unit.policy_scenes import NOW
from tests.unit.test_read_api import fail_twice

FORMS = (
    "targets/prod/check",
    "targets/prod/pause",
    "pauses/1/lift",
    "audit/op_1/approve",
    "audit/op_1/reject",
    "breakers/policy:heal/reset",
)


@pytest.fixture
async def bureau(tmp_path: Path) -> AsyncIterator[Bureau]:
    """After every test the whole chain is intact."""
    async with bureau_at(tmp_path) as opened:
        yield opened
        assert verify(await opened.ledger.chain(), await opened.ledger.head()) is None


async def send(bureau: Bureau, form: str, **fields: str) -> str:
    """As an operator; where the browser is sent to, which says what was done."""
    cookie = await bureau.log_in()
    answer = await bureau.browse(f"/act/{form}", fields, cookie=cookie)
    assert answer.status_code == 303, Html(answer.text).words
    way: str = answer.headers["location"]
    return way


async def not_done(bureau: Bureau, form: str, code: int, **fields: str) -> str:
    """As an operator; what the page says of what cannot be done."""
    cookie = await bureau.log_in()
    answer = await bureau.browse(f"/act/{form}", fields, cookie=cookie)
    page = Html(answer.text)
    assert answer.status_code == code, page.words
    assert page.all("h1")[0].text == "Not done"
    return page.all("p")[0].text


async def shown(bureau: Bureau, path: str) -> Html:
    """A page, once the next round has looked at the ledger."""
    await bureau.ledger.refresh()
    return Html((await bureau.browse(path)).text)


async def last(bureau: Bureau) -> Operation:
    """The newest row, which is a call's."""
    row = (await bureau.rows())[0]
    assert (row.source, row.actor, row.role, row.mode) == ("api", "ops", "operator", Mode.ENFORCE)
    assert row.request_id
    return row


async def proposed(bureau: Bureau) -> Operation:
    request = by_policy(mode=Mode.APPROVE)
    return await bureau.ledger.propose(request, plan_for(request), owner="me", now=NOW)


async def test_a_check_from_the_page_is_the_apis(bureau: Bureau) -> None:
    """Everything is read; the call is in the ledger with the route and who."""
    assert await send(bureau, "targets/prod/check") == "../../../targets/prod?done=checked"
    row = await last(bureau)
    assert (row.remedy, row.target, row.outcome) == ("check", "prod", Outcome.ANSWERED)
    assert row.route == "/act/targets/{name}/check"
    assert row.arguments == {"name": "prod"}
    assert bureau.woken == [("prod", frozenset(Component) & bureau.target.target.intervals.keys())]
    bureau.late = {Component.DRIFT}
    assert (await send(bureau, "targets/prod/check")).endswith("?done=checking")


async def test_a_pause_from_the_page_holds_until_it_is_lifted(bureau: Bureau) -> None:
    """Its owner is the key's name; both calls are rows."""
    way = await send(bureau, "targets/prod/pause", reason=" rollout ", **{"for": "2h"})
    assert way == "../../../targets/prod?done=paused"
    row = await last(bureau)
    assert (row.remedy, row.target, row.reason) == ("pause", "prod", " rollout ")
    assert row.arguments == {"name": "prod", "scope": "target", "for": "2h"}
    (pause,) = await bureau.ledger.pauses()
    assert (pause.scope, pause.name, pause.owner) == ("target", "prod", "ops")
    assert pause.expires_at is not None
    assert (pause.expires_at - pause.created_at).total_seconds() == 7200
    page = await shown(bureau, "/targets/prod")
    assert "Paused: target prod , by ops since 2026-11-02 03:00:00 until" in page.words
    way = await send(bureau, f"pauses/{pause.id}/lift")
    assert way == "../../../targets/prod?done=resumed"
    assert ((await last(bureau)).remedy, await bureau.ledger.pauses()) == ("unpause", ())
    assert "it was lifted, or never made" in await not_done(bureau, f"pauses/{pause.id}/lift", 404)
    assert (await last(bureau)).outcome is Outcome.REFUSED


async def test_a_pause_without_an_end_stays(bureau: Bureau) -> None:
    """A field left empty was not sent."""
    await send(bureau, "targets/prod/pause", reason="rollout", **{"for": " "})
    (pause,) = await bureau.ledger.pauses()
    assert pause.expires_at is None


async def test_a_pause_of_everything_is_lifted_from_the_policies(bureau: Bureau) -> None:
    """Where it is shown."""
    body = {"scope": "global", "reason": "night"}
    made = await bureau.order("POST", "pauses", body, status=201)
    assert await send(bureau, f"pauses/{made['id']}/lift") == "../../../policies?done=resumed"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "reason: is needed"),
        ({"reason": "  "}, "reason: is needed"),
        ({"reason": "x" * (LONGEST_REASON + 1)}, "reason: String should have at most"),
        ({"reason": "x", "for": "soon"}, "for: "),
        ({"reason": "x", "for": "0s"}, "for: 0s is no time at all; write 30m or 2h"),
        ({"reason": "x", "for": "9" * 15 + "h"}, "for: "),
        ({"reason": "x", "name": "other", "scope": "global", "rest": "1"}, "rest: "),
    ],
)
async def test_a_pause_that_says_nothing_clear_is_refused(
    bureau: Bureau, fields: dict[str, str], says: str
) -> None:
    """With the words of the API, as a page; the attempt is in the ledger."""
    assert says in await not_done(bureau, "targets/prod/pause", 422, **fields)
    assert await bureau.ledger.pauses() == ()
    row = await last(bureau)
    assert (row.remedy, row.target, row.outcome) == ("pause", "prod", Outcome.REFUSED)
    assert says.split(":", maxsplit=1)[0] in (row.error or "")


async def test_a_forms_fields_cannot_name_another_target(bureau: Bureau) -> None:
    """What the path says counts."""
    await send(bureau, "targets/prod/pause", reason="x", name="other", scope="global")
    (pause,) = await bureau.ledger.pauses()
    assert (pause.scope, pause.name) == ("target", "prod")


async def test_a_yes_lets_the_next_round_carry_the_plan_out(bureau: Bureau) -> None:
    """It comes at once; a second yes is too late, and told so."""
    plan = await proposed(bureau)
    way = await send(bureau, f"audit/{plan.id}/approve", reason="seen")
    assert way == f"../../../audit/{plan.id}?done=approved"
    found = await bureau.ledger.operation(plan.id)
    assert found is not None
    assert (found.approved_by, len(bureau.woken)) == ("ops", 1)
    row = await last(bureau)
    assert (row.remedy, row.target, row.reason) == ("approve", "prod", "seen")
    assert (row.route, row.arguments) == (*("/act/audit/{id}/approve", {"operation": plan.id}),)
    told = await not_done(bureau, f"audit/{plan.id}/approve", 409)
    assert "ops" in told
    page = await shown(bureau, f"/audit/{plan.id}?done=approved")
    assert "Approved. The next round carries it out if everything is as planned." in page.words
    assert "approved by ops" in page.words
    assert "It waits for a yes" not in page.words


async def test_a_no_closes_the_plan(bureau: Bureau) -> None:
    """With its reason."""
    plan = await proposed(bureau)
    way = await send(bureau, f"audit/{plan.id}/reject", reason="by hand")
    assert way == f"../../../audit/{plan.id}?done=rejected"
    found = await bureau.ledger.operation(plan.id)
    assert found is not None
    assert found.outcome is Outcome.REJECTED
    assert "it is rejected" in await not_done(bureau, f"audit/{plan.id}/reject", 409)
    assert "op_none" in await not_done(bureau, "audit/op_none/approve", 404)


async def test_a_breaker_is_reset_from_the_page(bureau: Bureau) -> None:
    """By its id; a second time there is nothing to reset; what is none is refused."""
    await fail_twice(bureau)
    breaker = "breakers/target:prod:force-redeploy/reset"
    assert await send(bureau, breaker, reason="mended") == "../../../policies?done=reset"
    row = await last(bureau)
    assert (row.remedy, row.target, row.reason) == ("reset-breaker", "prod", "mended")
    assert (await bureau.get("breakers"))["breakers"] == []
    assert (await send(bureau, breaker)).endswith("?done=not-reset")
    for name, says in (
        ("x", "there is no such breaker"),
        ("policy:heel", "did you mean 'heal'"),
        ("target:prd:force-redeploy", "did you mean 'prod'"),
        ("target:prod:restart", "there is no such remedy"),
    ):
        assert says in await not_done(bureau, f"breakers/{name}/reset", 404), name
        assert (await last(bureau)).outcome is Outcome.REFUSED


@pytest.mark.parametrize("form", ["targets/none/check", "targets/none/pause"])
async def test_what_is_not_there_is_a_page_and_a_row(bureau: Bureau, form: str) -> None:
    """404, naming what there is."""
    assert "write prod" in await not_done(bureau, form, 404, reason="x")
    assert (await last(bureau)).outcome is Outcome.REFUSED


@pytest.mark.parametrize("form", ["pauses/x/lift", "targets/a%20b/check", "audit/a.b/approve"])
async def test_a_path_that_means_nothing_is_a_page_and_a_row(bureau: Bureau, form: str) -> None:
    """422, without repeating it."""
    await not_done(bureau, form, 422)
    assert (await last(bureau)).outcome is Outcome.REFUSED


async def test_what_is_sent_is_shown_as_text_and_kept_without_secrets(bureau: Bureau) -> None:
    """Whatever stands in a form."""
    told = await not_done(bureau, "targets/prod/pause", 422, reason="x", **{"for": "<b>2</b>"})
    assert "<b>" in told
    await send(bureau, "targets/prod/pause", reason=f"{HOSTILE} http://u:pass@h/")
    page = await shown(bureau, "/targets/prod")
    assert not page.all("img")
    assert "http://REDACTED@h/" in page.words
    assert "pass" not in repr([await bureau.ledger.entries(r.id) for r in await bureau.rows()])


async def test_an_endless_form_is_refused(bureau: Bureau) -> None:
    """413, and no more of it is read than anything here needs."""
    told = await not_done(bureau, "targets/prod/pause", 413, reason="x" * (MOST_BODY_BYTES + 1))
    assert "longer than" in told
    many = {str(n): "" for n in range(50)}
    assert "reason: is needed" in await not_done(bureau, "targets/prod/pause", 422, **many)


@pytest.mark.parametrize("form", FORMS)
async def test_only_an_operator_acts(bureau: Bureau, form: str) -> None:
    """Neither a stranger nor a viewer, and no other site's page with an operator's cookie."""
    viewer, operator = await bureau.log_in(VIEWER), await bureau.log_in()
    for cookie, more, code in (
        ("", {"accept": "*/*"}, 401),
        (viewer, {}, 403),
        (operator, {"origin": "https://evil.test"}, 403),
        (operator, {"origin": "null"}, 403),
        (operator, {"sec_fetch_site": "cross-site"}, 403),
        (operator, {"sec_fetch_site": "same-site"}, 403),
    ):
        answer = await bureau.browse(f"/act/{form}", {"reason": "x"}, cookie=cookie, **more)
        assert answer.status_code == code, (cookie, more)
    assert (await bureau.rows(), await bureau.ledger.pauses(), bureau.woken) == ((), (), [])


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("targets/prod/pause", "targets/prod"),
        ("audit/op_1/approve", "audit/op_1"),
        ("pauses/1/lift", "policies"),
        ("breakers/policy:heal/reset", "policies"),
    ],
)
async def test_whose_session_ended_is_told_that_nothing_was_done(
    bureau: Bureau, form: str, page: str
) -> None:
    """And led to log in, and then back to the page; what was ordered is not kept."""
    answer = await bureau.browse(f"/act/{form}", {"reason": "x"}, accept="text/html")
    way = f"../../../login?next={page}&done=nothing"
    assert (answer.status_code, answer.headers["location"]) == (303, way)
    shown_ = await shown(bureau, f"/{way.removeprefix('../../../')}")
    assert "Nothing was done" in shown_.words
    assert shown_.all("input", name="next")[0].attributes["value"] == page
    assert await bureau.rows() == ()
    cross = await bureau.browse(f"/act/{form}", {}, accept="text/html", origin="https://evil.test")
    assert cross.status_code == 403


@pytest.mark.parametrize("form", FORMS)
async def test_forms_are_only_sent(bureau: Bureau, form: str) -> None:
    """No link and no picture does what a form does."""
    answer = await bureau.browse(f"/act/{form}", cookie=await bureau.log_in())
    assert answer.status_code == 405
    assert await bureau.rows() == ()


@pytest.mark.parametrize("form", FORMS[1:])
async def test_without_the_ledger_nothing_is_ordered(tmp_path: Path, form: str) -> None:
    """503 as a page: what nobody wrote down did not happen."""
    async with bureau_at(tmp_path) as bureau:
        await bureau.ledger.close()
        assert "ledger" in await not_done(bureau, form, 503, reason="x")
