"""Two ways to one Restate: its own API, and a second restate-medic's operator API before it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from exporter.app.open import open_engine
from exporter.model.errors import CallFailedError, RefusedError
from exporter.model.operation import Operation, Outcome, Request
from exporter.settings.load import load
from lab import Restate
from tests.integration.engine import NAME, Desk
from tests.medic import Medic, target_of

Side = Literal["direct", "remote"]
SIDES: tuple[Side, ...] = ("direct", "remote")


def dalp_target(medic: Medic, key_file: Path, **more: object) -> dict[str, object]:
    """A target's entry that reaches whatever this daemon watches."""
    dalp = {"url": f"http://127.0.0.1:{medic.port}", "api_key": {"file": str(key_file)}}
    return {"name": NAME, "dalp": dalp, **more}


@dataclass
class Ways:
    """How each side reaches a Restate. The other restate-medic is one for all tests."""

    other: Medic
    key_file: Path
    folder: Path
    """Of the test."""

    def target(self, side: Side, restate: Restate, **expectations: object) -> dict[str, object]:
        """The target's entry; what is expected there the other restate-medic expects as well."""
        if side == "direct":
            return target_of(restate, NAME, **expectations)
        name = f"behind-{restate.admin_url.rpartition(':')[2]}"
        self.other.write(targets=[target_of(restate, name, **expectations)])
        assert self.other.post("/-/reload").is_success
        return dalp_target(self.other, self.key_file, **expectations)

    @asynccontextmanager
    async def desk(
        self, side: Side, restate: Restate, **expectations: object
    ) -> AsyncIterator[Desk]:
        """An engine on that side of a Restate."""
        target = self.target(side, restate, **expectations)
        async with desk_of(self.folder / side, target) as desk:
            yield desk


@asynccontextmanager
async def desk_of(folder: Path, target: dict[str, object]) -> AsyncIterator[Desk]:
    """An engine on one target."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    file = folder / "restate-medic.yaml"
    file.write_text(json.dumps({"targets": [target], "policies": [], "timeout": "60s"}))
    async with open_engine(load(file)) as engine:
        await engine.ownership.keep()
        yield Desk(engine, folder)


@dataclass(frozen=True)
class Ended:
    """How an attempt ended, whichever side refused it."""

    outcome: Outcome
    reason: str
    ids: list[str]
    row: Operation


async def attempt(desk: Desk, request: Request) -> Ended:
    """Carry it out. A refusal before anything is reserved and one by the other side are alike."""
    reason, data = "", dict[str, Any]()
    try:
        row = await desk.perform(request)
    except RefusedError as error:
        row, reason, data = (await desk.rows())[0], error.reason, error.data
    except CallFailedError as error:
        row, reason = (await desk.rows())[0], str(error.reason)
    else:
        reason, data = str(row.after.get("reason", "")), dict(row.after)
    assert row.outcome is not None
    return Ended(row.outcome, reason, data.get("invocationIds", []), row)
