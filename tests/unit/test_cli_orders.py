"""Orders go into the ledger of the daemon that is meant, or nowhere; a broken file stops nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exporter.ledger.gateway import Ledger
from tests.unit.test_cli import Folder

ORDERS = (
    ("pause", "--all", "--reason", "work"),
    ("unpause", "--all"),
    ("pauses",),
    ("approvals",),
    ("approve", "op_1", "--yes"),
    ("reject", "op_1"),
    ("breaker", "list"),
    ("audit", "list"),
)


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.configure()
    return made


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_no_order_makes_a_ledger_of_its_own(place: Folder, order: tuple[str, ...]) -> None:
    """It would reach no daemon, and look as if it had."""
    result = place.run(*order)
    assert (result.exit_code, place.ledger_exists) == (2, False)
    assert "there is no ledger at" in result.stderr


def test_a_broken_policy_file_keeps_nobody_from_pausing(place: Folder) -> None:
    """The daemon still runs what was valid before; the brake must work by name."""

    async def begin() -> None:
        ledger = await Ledger.open(f"sqlite:///{place.path}/data/medic.db")
        await ledger.close()

    asyncio.run(begin())
    place.policies()
    unknown = place.run("pause", "--policy", "heel", "--reason", "work")
    assert (unknown.exit_code, "no policy 'heel'" in unknown.stderr) == (2, True)
    place.policies("policies: [")
    paused = place.run("pause", "--policy", "heal", "--reason", "work")
    assert (paused.exit_code, "cannot be loaded now" in paused.stderr) == (0, True)
    assert "heal" in paused.stdout
