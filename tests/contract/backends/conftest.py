"""Every promise of a backend is checked on a Restate itself, and through another restate-medic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.backends.sides import SIDES, Side, Ways
from tests.medic import Medic


@pytest.fixture(scope="session")
def other_medic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Medic, Path]]:
    """A daemon whose only target is written anew for each test, and the file with its key."""
    folder = tmp_path_factory.mktemp("other")
    nowhere: dict[str, object] = {
        "name": "none",
        "ingress_url": "http://127.0.0.1:1",
        "admin_url": "http://127.0.0.1:1",
    }
    medic = Medic(folder, targets=[nowhere])
    key_file = folder / "key"
    with medic:
        key_file.write_text(medic.key())
        yield medic, key_file


@pytest.fixture
def ways(other_medic: tuple[Medic, Path], tmp_path: Path) -> Ways:
    """How each side reaches a Restate."""
    return Ways(*other_medic, tmp_path)


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    """Runs the test once on each side."""
    found: Side = request.param
    return found
