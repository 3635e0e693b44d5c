"""A person at the page while things happen: faults, orders, repairs, on a real Restate."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from lab import RestateServer, Worker
from tests.e2e.looking import visit
from tests.e2e.scenes import asking, gone, running
from tests.integration.rolled import BILLING, GREETER
from tests.medic import Medic, target_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_faults_appear_by_themselves_and_the_reader_stays_where_they_are(
    browser: Browser, tmp_path: Path
) -> None:
    """The page is never loaded again: scroll, focus, open parts and what is typed survive."""
    async with RestateServer("1.7") as restate, Worker((GREETER,)) as worker:
        restate.register(worker.url)
        medic = Medic(tmp_path, targets=[target_of(restate, service_url=worker.url)])
        async with running(medic), visit(browser, medic, height=500) as person:
            page = person.page
            await person.go()
            await expect(page.get_by_role("heading", level=1)).to_have_text("The target is ok")
            await page.get_by_role("link", name="prod").click()
            await person.log_in(medic.key())
            await person.go("/targets/prod")
            rest = page.get_by_text("Let policies rest on this target")
            await rest.focus()
            await page.keyboard.press("Enter")
            await page.evaluate("scrollTo(0, 260); window.same = true")
            restate.stop()
            await person.until(page.get_by_role("heading", level=1).get_by_text("unreachable"))
            await expect(page).to_have_title("prod is unreachable · restate-medic")
            await expect(rest).to_be_focused()
            await expect(page.get_by_role("textbox", name="why")).to_be_visible()
            assert await page.evaluate("[scrollY, window.same]") == [260, True]
            said = await page.get_by_role("row", name="admin").inner_text()
            assert "refused" in said
            assert "for at least" not in said  # it was seen to begin

            # What is typed is kept: the page stands still until it is sent or emptied.
            why = page.get_by_role("textbox", name="why")
            await why.fill("migration")
            await page.get_by_role("button", name="Pause").focus()
            standing = await person.text("#as-of")
            await restate.start_async()
            await page.clock.fast_forward(60_000)
            assert (
                await page.get_by_role("textbox", name="why").input_value(),
                await person.text("#as-of"),
            ) == (*("migration", standing),)
            await page.get_by_role("textbox", name="why").fill("")
            await rest.focus()
            await person.until(page.get_by_role("heading", level=1).get_by_text("ok"))
            assert await page.evaluate("window.same") is True


async def test_a_daemon_that_ends_does_not_leave_a_page_that_looks_fresh(
    browser: Browser, tmp_path: Path
) -> None:
    """It says that it is not refreshed any more."""
    medic = Medic(tmp_path, targets=[gone("prod", 9)])
    async with running(medic), visit(browser, medic) as person:
        await person.go()
        medic.kill()
        async with person.page.expect_event("requestfailed"):
            await person.page.clock.fast_forward(16_000)
        await expect(person.page.locator("body.lost")).to_have_count(1)
        said = await person.page.evaluate(
            "getComputedStyle(document.getElementById('as-of'), '::after').content"
        )
        assert "what is shown may be old" in said


async def test_a_person_mends_a_target_by_clicking(  # noqa: PLR0915 - one story, step by step
    browser: Browser, tmp_path: Path
) -> None:
    """Log in, check now, pause, lift, look at the plan, say yes, see it verified, log out."""
    async with RestateServer("1.7") as restate, Worker((GREETER,)) as worker:
        restate.register(worker.url)
        worker.roll([GREETER, BILLING])
        target = target_of(
            restate, service_url=worker.url, expected_services=["Greeter", "Billing"]
        )
        medic = Medic(tmp_path, targets=[target], policies=[asking()])
        async with running(medic), visit(browser, medic) as person:
            page = person.page
            await person.go("/targets/prod")
            assert await page.get_by_role("button").count() == 0
            await person.log_in(medic.key("mira"))
            await expect(page).to_have_url(medic.url("/targets/prod"))  # where one came from
            await expect(page.get_by_role("status")).to_have_text("Logged in.")

            await page.get_by_role("button", name="Check now").click()
            await expect(page.get_by_role("status")).to_have_text("Read just now.")

            await page.get_by_text("Let policies rest on this target").click()
            await page.get_by_role("textbox", name="why").fill("rollout <b>today</b>")
            await page.get_by_label("for how long").fill("2h")
            await page.get_by_role("button", name="Pause").click()
            await expect(page.get_by_role("status")).to_have_text("Paused.")
            paused = page.get_by_text("Paused: target prod")
            await person.until(paused)
            assert "rollout <b>today</b>" in await person.text()
            await person.until(page.get_by_role("row").get_by_text("paused"))
            await person.refreshed()
            assert await page.get_by_role("status").count() == 0  # said once
            await page.get_by_role("button", name="Lift this pause").click()
            await expect(page.get_by_role("status")).to_have_text("The pause is lifted.")

            await page.get_by_role("link", name="restate-medic").click()
            plan = page.get_by_role("link", name="register http://")
            await person.until(plan)
            await plan.click()
            assert "adds Billing" in await person.text()
            await page.get_by_role("textbox", name="why").fill("seen")
            await page.get_by_role("button", name="Approve").click()
            await expect(page.get_by_role("status")).to_contain_text("Approved.")
            await person.until(page.get_by_role("heading", level=1).get_by_text("verified"))
            assert {s["name"] for s in restate.services()} == {"Greeter", "Billing"}
            assert "approved by mira" in await person.text()

            await page.get_by_role("link", name="Audit").click()
            rows = await page.get_by_role("row").all_inner_texts()
            begun = [row.split()[0] for row in rows[1:]]
            calls = [word for word in begun if word != "force-redeploy"]
            assert calls == ["approve", "unpause", "pause", "check"]
            assert sum("mira" in row for row in rows) == len(calls)
            await page.get_by_label("outcome").select_option("verified")
            await page.get_by_role("button", name="Show").click()
            await expect(page).to_have_url(
                medic.url("/audit?target=&policy=&outcome=verified&phase=")
            )
            assert await page.get_by_role("row").count() == 2

            await page.get_by_role("button", name="Log out").click()
            await expect(page.get_by_role("status")).to_have_text("Logged out.")
            await person.go("/targets/prod")
            assert await page.get_by_role("button").count() == 0


async def test_a_no_is_said_with_its_reason(browser: Browser, tmp_path: Path) -> None:
    """The plan is closed, and nothing was written."""
    async with RestateServer("1.7") as restate, Worker((GREETER,)) as worker:
        restate.register(worker.url)
        worker.roll([GREETER, BILLING])
        target = target_of(
            restate, service_url=worker.url, expected_services=["Greeter", "Billing"]
        )
        medic = Medic(tmp_path, targets=[target], policies=[asking()])
        async with running(medic), visit(browser, medic, theme="dark") as person:
            page = person.page
            await person.go()
            await person.log_in(medic.key())
            plan = page.get_by_role("link", name="register http://")
            await person.until(plan)
            await plan.click()
            await page.get_by_role("textbox", name="why").fill("by hand")
            await page.get_by_role("button", name="Reject").click()
            await expect(page.get_by_role("heading", level=1)).to_contain_text("rejected")
            assert {s["name"] for s in restate.services()} == {"Greeter"}
            # A second answer, from a page that was left open, is refused and told.
            await page.evaluate(
                """() => { const form = document.createElement("form");
                form.method = "post";
                form.action = location.pathname.replace("/audit/", "/act/audit/") + "/approve";
                document.body.append(form); form.submit(); }"""
            )
            await expect(page.get_by_role("heading", level=1)).to_have_text("Not done")
            assert "it is rejected" in await person.text()
