"""The program with a wall clock that a test sets: ``python -m tests.clocked FILE run ...``.

The file holds by how many seconds the clock is wrong; it may change at any time.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from exporter import app, scheduler
from exporter.backends import direct
from exporter.cli import main

WRONG_BY = Path(sys.argv.pop(1))


class Clock(datetime):
    """The real clock, so many seconds off."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(seconds=float(WRONG_BY.read_text()))


for module in (app, direct, scheduler):
    module.datetime = Clock  # type: ignore[attr-defined]

if __name__ == "__main__":
    main()
