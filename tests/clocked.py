"""The program with a wall clock that a test sets: ``python -m tests.clocked FILE run ...``.

The file holds by how many seconds the clock is wrong; it may change at any time.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from exporter import scheduler
from exporter.app import open as opening
from exporter.backends import direct
from exporter.cli import main

WRONG_BY = Path(sys.argv.pop(1))


class Clock(datetime):
    """The real clock, so many seconds off."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(seconds=float(WRONG_BY.read_text()))


# Each module that asks for the time; one that no longer does shall be noticed here.
for module in (opening, direct, scheduler):
    assert vars(module)["datetime"] is datetime, f"{module.__name__} asks for no time"
    module.datetime = Clock  # type: ignore[attr-defined]

if __name__ == "__main__":
    main()
