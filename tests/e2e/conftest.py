"""One browser, and the daemons it looks at, for the whole run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.looking import chromium
from tests.e2e.scenes import Ward, crowd, ward
from tests.medic import Medic
from tests.postgres import postgresql
from tests.support import ToolFinder

__all__ = ["postgresql"]  # a fixture, used by its name


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(tool: ToolFinder) -> AsyncIterator[Browser]:
    """Debian's Chromium; without it the test is skipped, but fails where CI is set."""
    async with chromium(tool("chromium")) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def troubled(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ward]:
    """A daemon on a fleet with every kind of trouble; its tests leave it as it was."""
    del browser  # without one nobody looks
    async with ward(tmp_path_factory.mktemp("ward")) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def crowded(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Medic]:
    """A daemon on five hundred targets."""
    del browser
    async with crowd(tmp_path_factory.mktemp("crowd")) as medic:
        yield medic
