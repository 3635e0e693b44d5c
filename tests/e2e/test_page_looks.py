"""How the pages look and read: every width and theme, without a mouse, a script or eyes."""

from __future__ import annotations

import asyncio
import re
import time
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.looking import Theme, Visit, visit
from tests.e2e.scenes import CROWD, LONG, Ward
from tests.medic import Medic

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = ("/", "/targets/us-east", "/targets/attacked", "/policies", "/audit", "/login")
CONTROLS = {"link", "button", "textbox", "combobox", "DisclosureTriangle", "image"}
TEXTS = """
() => {
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
      if (a !== 0) throw new Error(`half transparent: ${one.outerHTML.slice(0, 80)}`);
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("script, style, noscript")) continue;
    if (!element.checkVisibility() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const [one, other] = [luminance(parse(style.color).slice(0, 3)), luminance(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([contrast, node.data.trim().slice(0, 40)]);
  }
  return found;
}
"""
"""Every text that is seen, with its contrast to what is behind it, as WCAG computes it."""


async def operation_page(person: Visit) -> str:
    """The page of the newest operation."""
    body = person.medic.get("/api/v1/operations").json()
    return f"/audit/{body['operations'][0]['id']}"


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_text_can_be_read(browser: Browser, troubled: Ward, theme: Theme) -> None:
    """A contrast of 4.5 at least, in both themes, on every page."""
    async with visit(browser, troubled.medic, theme=theme) as person:
        await person.go()
        await person.log_in(troubled.key)
        for path in (*PAGES, await operation_page(person)):
            await person.go(path)
            for part in await person.page.locator("details").all():
                await part.evaluate("(one) => { one.open = true; }")
            texts: list[tuple[float, str]] = await person.page.evaluate(TEXTS)
            assert len(texts) > 15
            assert [(text, round(c, 2)) for c, text in texts if c < 4.5] == [], path


@pytest.mark.parametrize("width", [400, 800, 1440])
async def test_no_page_is_wider_than_its_window(
    browser: Browser, troubled: Ward, width: int
) -> None:
    """Also where names and errors are longer than a line; what is cut off is told whole."""
    async with visit(browser, troubled.medic, width=width) as person:
        await person.go()
        await person.log_in(troubled.key)
        for path in (*PAGES, await operation_page(person)):
            await person.go(path)
            for part in await person.page.locator("details").all():
                await part.evaluate("(one) => { one.open = true; }")
            assert await person.wide() <= 0, path
        await person.go("/targets/attacked")
        assert LONG in await person.text()


async def test_what_comes_from_outside_is_text(browser: Browser, troubled: Ward) -> None:
    """No attack becomes an element, runs, or turns text around; the page says what it is."""
    async with visit(browser, troubled.medic) as person:
        page = person.page
        for path in ("/", "/targets/attacked"):
            await person.go(path)
            assert await page.locator("main img, main script, main b:has-text('bold')").count() == 0
            said = await person.text()
            assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in said
            assert r"\u202egnp.exe" in said
            assert "\u202e" not in said
            await person.refreshed()  # nor when the script puts it in
            assert await page.locator("main img, main script").count() == 0
        assert "u:pass" not in await page.content()


async def test_a_screen_reader_is_told_what_everything_is(browser: Browser, troubled: Ward) -> None:
    """Landmarks, headings in order, tables with headers at every width, names for all controls."""
    for width in (1440, 400):
        async with visit(browser, troubled.medic, width=width) as person:
            await person.go()
            await person.log_in(troubled.key)
            for path in (*PAGES[:-1], await operation_page(person)):
                await person.go(path)
                tree = await person.tree()
                roles = [role for role, _ in tree]
                assert {"main", "banner", "navigation", "contentinfo", "heading"} <= set(roles)
                nameless = [role for role, name in tree if not name.strip() and role in CONTROLS]
                assert nameless == [], path
                if path != "/policies":
                    assert {"table", "row", "cell", "columnheader", "rowheader"} <= set(roles), path
                levels = await person.page.evaluate(
                    "[...document.querySelectorAll('h1,h2,h3')].map((one) => +one.tagName[1])"
                )
                assert levels[0] == 1
                assert all(b - a <= 1 for a, b in pairwise(levels))


async def test_everything_is_reached_with_the_keyboard(browser: Browser, troubled: Ward) -> None:
    """Skip link first; what has the focus is seen; logging in and filtering need no mouse."""
    async with visit(browser, troubled.medic) as person:
        page = person.page
        await person.go()
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        await expect(skip).to_be_focused()
        box = await skip.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await page.keyboard.press("Tab")
        inside: dict[str, Any] = await page.evaluate(
            "({inside: document.getElementById('main').contains(document.activeElement)})"
        )
        assert inside["inside"]

        await person.go()
        order = []
        for _ in range(20):
            await page.keyboard.press("Tab")
            seen = await page.evaluate(
                """() => { const one = document.activeElement, style = getComputedStyle(one);
                return [one.textContent.trim() || one.name, style.outlineStyle,
                        parseFloat(style.outlineWidth)]; }"""
            )
            assert seen[1:] == ["solid", 3], seen
            order.append(seen[0])
        assert order[:6] == [
            *("Skip to the content", "restate-medic", "Overview", "Policies", "Audit"),
            "Log in with a key",
        ]
        positions = [
            [one["y"], one["x"]]
            for one in await page.evaluate(
                "[...document.querySelectorAll('nav a')].map((one) => one.getBoundingClientRect())"
            )
        ]
        assert positions == sorted(positions)

        await page.get_by_role("link", name="Log in with a key").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("key")).to_be_focused()
        await page.keyboard.type(troubled.key)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Log out")).to_be_visible()
        await page.get_by_label("name or label").focus()
        await page.keyboard.type("us-e")
        await page.keyboard.press("Enter")
        await expect(page.locator("table.grid tbody")).to_have_count(1)


async def test_without_a_script_everything_is_there(browser: Browser, troubled: Ward) -> None:
    """Read, filter, log in, pause and lift; the browser itself refreshes."""
    async with visit(browser, troubled.medic, javascript=False) as person:
        page = person.page
        await person.go()
        assert "3 of 4 targets need a look" in await person.text()
        refresh = page.locator("meta[http-equiv=refresh]")
        assert await refresh.get_attribute("content") == "15;url=?"
        await page.get_by_label("status").select_option("unreachable")
        await page.get_by_role("button", name="Show").click()
        assert await page.locator("table.grid tbody").count() == 1
        assert await refresh.get_attribute("content") == "15;url=?status=unreachable&q="
        await person.log_in(troubled.key)
        await person.go("/targets/staging")
        await page.get_by_text("Let policies rest on this target").click()
        await page.get_by_role("textbox", name="why").fill("no script")
        await page.get_by_role("button", name="Pause").click()
        assert "Paused." in await person.text()
        for _ in range(50):
            await person.go("/targets/staging")
            if await page.get_by_text("no script").count():
                break
        await page.get_by_role("button", name="Lift this pause").click()
        assert "The pause is lifted." in await person.text()
        await page.get_by_role("button", name="Log out").click()
        assert "Logged out." in await person.text()


async def test_five_hundred_targets_are_usable(browser: Browser, crowded: Medic) -> None:
    """The worst hundred at once, the others by name; shown and refreshed in bounded time."""
    async with visit(browser, crowded) as person:
        page = person.page
        await person.go()
        said = await person.text()
        assert f"{CROWD} of {CROWD} targets need a look" in said
        assert f"{CROWD - 100} more are not shown, none of them worse" in said
        began = time.monotonic()
        body = await asyncio.to_thread(crowded.get, "/")
        assert time.monotonic() - began < 5  # a tenth of a second on a quiet machine
        assert len(body.content) < 400_000
        assert await page.locator("*").count() < 10_000
        await person.refreshed()
        await page.get_by_label("name or label").fill("shop-49")
        await page.get_by_role("button", name="Show").click()
        await expect(page).to_have_url(re.compile(r"q=shop-49"))
        assert await page.locator("table.grid tbody").count() == 10
        await page.get_by_role("link", name="shop-499", exact=True).first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("shop-499")
        await person.go("/policies")
        assert f"and {CROWD - 20} more" in await person.text()
        await page.set_viewport_size({"width": 400, "height": 800})
        for path in ("/", "/policies", "/targets/shop-000"):
            await person.go(path)
            assert await person.wide() <= 0, path
