"""The daemon's hourly check of its ledger, seen where people look: the metric and the log."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import structlog

from exporter.app.engine import Engine
from exporter.daemon.checking import Checking
from exporter.ledger.gateway import Ledger
from exporter.metrics.instruments import Instruments
from tests.unit.fakes import Clock

_CUT = """
DELETE FROM pauses WHERE seq = 2;
DELETE FROM entries WHERE seq = 2;
UPDATE head SET seq = 1, hash = (SELECT hash FROM entries WHERE seq = 1);
"""
_ALTERED = "UPDATE entries SET body = '{}' WHERE seq = 1"


async def test_a_ledger_that_was_changed_is_told_and_not_called_verified(tmp_path: Path) -> None:
    """Neither an altered entry nor an end that was cut off since the last good check passes."""
    file, clock = tmp_path / "medic.db", Clock()
    verified: list[datetime] = []
    ledger = await Ledger.open(f"sqlite:///{file}")
    try:
        for reason in ("one", "two"):
            await ledger.pause("global", "", owner="mira", reason=reason, now=clock.now())
        stands_for: Any = SimpleNamespace(ledger=ledger, now=clock.now)
        told: Any = SimpleNamespace(ledger_verified=verified.append)
        checking = Checking(lambda: cast("Engine", stands_for), cast("Instruments", told))
        with structlog.testing.capture_logs() as logs:
            await checking.look()
            assert (verified, logs) == ([clock.now()], [])
            for tampering in (_CUT, _ALTERED):
                with sqlite3.connect(file) as database:
                    database.executescript(tampering)
                await checking.look()
        assert [log["event"] for log in logs] == ["ledger.flawed", "ledger.flawed"]
        assert len(verified) == 1
    finally:
        await ledger.close()
