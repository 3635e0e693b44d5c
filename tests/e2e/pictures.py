"""Makes the pictures of the page that README shows, from a real run.

By hand: ``PYTHONPATH=.:deploy/demo python -m tests.e2e.pictures``.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import get_args

from tests.e2e.looking import Theme, chromium, visit
from tests.e2e.scenes import ward

_FOLDER = Path(__file__).parents[2] / "docs" / "images"
_ROUNDS_SECONDS = 45
"""Until the strips are full."""


async def main() -> None:
    """One picture of the overview a theme."""
    binary = Path(shutil.which("chromium") or "chromium")
    with tempfile.TemporaryDirectory() as folder:
        async with chromium(binary) as browser, ward(Path(folder), attacked=False) as found:
            await asyncio.sleep(_ROUNDS_SECONDS)
            for theme in get_args(Theme):
                async with visit(browser, found.medic, theme=theme, height=712) as person:
                    await person.go()
                    await person.page.screenshot(path=_FOLDER / f"page-{theme}.png")


if __name__ == "__main__":
    asyncio.run(main())
