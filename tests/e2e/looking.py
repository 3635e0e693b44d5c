"""A person before a browser: Debian's Chromium, driven by Playwright, and what went wrong in it."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import (
    Browser,
    Locator,
    Page,
    Request,
    TimeoutError,  # noqa: A004 - Playwright's own
    async_playwright,
)

from exporter.web.page.render import REFRESH_SECONDS
from tests.medic import PATIENCE_SECONDS, Medic

Theme = Literal["light", "dark"]
_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
_WATCH = """
window.shown = 0;
addEventListener("DOMContentLoaded", () =>
  new MutationObserver(() => { window.shown += 1; })
    .observe(document.getElementById("main"), { childList: true }));
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""


@asynccontextmanager
async def chromium(binary: Path) -> AsyncIterator[Browser]:
    """One browser with an empty profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=binary, args=list(_ARGUMENTS), headless=True
        )
        yield browser
        await browser.close()


class Visit:
    """One person at the pages of one daemon. Time is theirs: waiting for a refresh takes none."""

    def __init__(self, page: Page, medic: Medic) -> None:
        self.page = page
        self.medic = medic
        self.wrong: list[str] = []
        """Errors of scripts, violations of the policy, and requests to anywhere else."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        answered = message.text.startswith("Failed to load resource")  # a page with a status
        if message.type in {"error", "warning"} and not answered:
            self.wrong.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.medic.url("/"), "data:")):
            self.wrong.append(f"asked elsewhere: {request.url}")

    async def go(self, path: str = "/") -> None:
        await self.page.goto(self.medic.url(path))

    async def log_in(self, key: str) -> None:
        """From the page one is on, and back to it."""
        await self.page.get_by_role("link", name="Log in with a key").click()
        await self.page.get_by_label("key").fill(key)
        await self.page.get_by_role("button", name="Log in").click()
        await self.page.get_by_role("button", name="Log out").wait_for()

    async def refreshed(self) -> None:
        """Let the time until the next refresh go by, and see it."""
        before = await self.page.evaluate("shown")
        for _ in range(20):
            await self.page.clock.fast_forward(REFRESH_SECONDS * 1000 + 10)
            with suppress(TimeoutError):  # the refresh before was still on its way
                await self.page.wait_for_function(
                    "(before) => shown > before", arg=before, timeout=1_000
                )
                return
        raise AssertionError("the page is not refreshed")

    async def until(self, locator: Locator) -> None:
        """Refresh until it is there."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await locator.count():
                    await self.refreshed()
        except builtins.TimeoutError as error:
            told = await self.text("main")
            raise AssertionError(f"{locator} does not appear:\n{told}") from error

    async def text(self, selector: str = "main") -> str:
        return " ".join((await self.page.inner_text(selector)).split())

    async def wide(self) -> int:
        """By how many pixels the document is wider than the window."""
        found: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return found

    async def tree(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told of."""
        session = await self.page.context.new_cdp_session(self.page)
        found = await session.send("Accessibility.getFullAXTree")
        await session.detach()
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in found["nodes"]
            if not node["ignored"]
        ]


@asynccontextmanager
async def visit(
    browser: Browser,
    medic: Medic,
    *,
    width: int = 1280,
    height: int = 800,
    theme: Theme = "light",
    javascript: bool = True,
) -> AsyncIterator[Visit]:
    """Sit down with no cookies; afterwards nothing may have gone wrong."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        java_script_enabled=javascript,
    )
    try:
        context.set_default_timeout(15_000)
        page = await context.new_page()
        await page.add_init_script(_WATCH)
        await page.clock.install()
        found = Visit(page, medic)
        yield found
        assert found.wrong == []
    finally:
        await context.close()
