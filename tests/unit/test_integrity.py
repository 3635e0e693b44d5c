"""The whole chain is read page by page, and every kind of flaw is found."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from exporter.ledger.integrity import inspect
from exporter.remediate.verification import Verification
from tests.unit.fakes import Ward, by_policy, ledger_at


@pytest.mark.parametrize("page", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    "change",
    [
        None,
        "UPDATE entries SET body = '{}' WHERE seq = {middle}",
        "UPDATE entries SET body = '{}' WHERE seq = {last}",
        "UPDATE entries SET hash = 'ab' WHERE seq = {last}",
        "DELETE FROM entries WHERE seq = {middle}",
        "DELETE FROM entries WHERE seq = {last}",
        "UPDATE head SET hash = 'ab'",
    ],
)
async def test_a_flaw_is_found_wherever_a_page_ends(
    tmp_path: Path, change: str | None, page: int
) -> None:
    """Also in the last entry, and when a page ends right before or after it."""
    async with ledger_at(tmp_path, whole=False) as ledger:
        ward = Ward(ledger)
        for _ in range(2):
            await ward.remediator.perform(by_policy(), ward.target.backend, Verification())
        last = (await ledger.head()).seq
        if change is not None:
            with sqlite3.connect(tmp_path / "medic.db") as connection:
                connection.execute("PRAGMA foreign_keys = OFF")
                text = change.replace("{middle}", str(last // 2)).replace("{last}", str(last))
                for (name,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                ).fetchall():
                    connection.execute(f"DROP TRIGGER {name}")
                connection.execute(text)
        found = await inspect(ledger, page=page)
        assert (found.flaw is None) is (change is None)


async def test_an_empty_ledger_holds(tmp_path: Path) -> None:
    """There is nothing in it that could be wrong."""
    async with ledger_at(tmp_path, whole=False) as ledger:
        assert (await inspect(ledger)).flaw is None
