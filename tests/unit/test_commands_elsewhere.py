"""What a command makes of what it is told at ``--url``: by a daemon, another version, a proxy."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.office.office import Deed, Where
from exporter.cli.office.there import There
from exporter.cli.output import Exit, exit_code_of
from exporter.model.errors import ConfigurationError, MedicError, NotFoundError
from exporter.model.operation import Plan
from exporter.operator_api.control import ControlApi
from exporter.operator_api.errors import LostOutcomeError
from exporter.transport import Transport
from lab import clean_environment
from tests.unit import hostile

HTML = "<html><h1>Bad Gateway</h1></html>"
PAUSE = {
    "id": 1,
    "scope": "global",
    "name": "",
    "owner": "mira",
    "reason": "look",
    "createdAt": "2026-11-21T16:00:00.000Z",
    "expiresAt": None,
    "inForce": True,
}
DEED = Deed(target="prod", remedy="force-redeploy", arguments={}, reason="", allow=frozenset())
READS: dict[str, Callable[[There], Any]] = {
    "pauses": lambda there: there.pauses(),
    "operation": lambda there: there.operation("op_1"),
    "plan": lambda there: there.plan(DEED),
}
WRITES: dict[str, Callable[[There], Any]] = {
    "deed": lambda there: there.carry_out(DEED, None),
    "approve": lambda there: there.approve("op_1", reason=""),
    "lift": lambda there: there.lift(1),
}


@asynccontextmanager
async def there_that(reply: hostile.Reply, key: str | None = "rm_k") -> AsyncIterator[There]:
    provider = None if key is None else lambda: key
    async with hostile.serving(reply) as server, Transport() as transport:
        api = ControlApi(transport, url=server.url, key=provider, without_key="write --key-file")
        yield There(api)


async def failure(reply: hostile.Reply, call: Callable[[There], Any], **more: Any) -> MedicError:
    async with there_that(reply, **more) as there:
        with pytest.raises(MedicError) as caught:
            await call(there)
    return caught.value


IN_BETWEEN: dict[str, hostile.Reply] = {
    "502": hostile.answer(502, HTML, "text/html"),
    "login": hostile.answer(200, HTML, "text/html"),
    "redirect": hostile.answer(302, "", "text/html", Location="/login"),
    "hang-up": hostile.hang_up(),
}


@pytest.mark.parametrize("call", READS)
@pytest.mark.parametrize("reply", IN_BETWEEN)
async def test_a_read_that_failed_did_nothing(reply: str, call: str) -> None:
    """Nobody is made to wonder whether it was done; the daemon was not reached."""
    error = await failure(IN_BETWEEN[reply], READS[call])
    assert "whether it was done" not in str(error)
    assert exit_code_of(error) is Exit.UNREACHABLE


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize("reply", IN_BETWEEN)
async def test_a_write_without_a_usable_answer_may_have_been_done(reply: str, call: str) -> None:
    """Also when it was cut off, or answered with a page: the next step is to look."""
    error = await failure(IN_BETWEEN[reply], WRITES[call])
    assert isinstance(error, LostOutcomeError)
    assert "whether it was done is not known" in str(error)
    assert exit_code_of(error) is Exit.UNREACHABLE


async def test_fields_of_a_newer_daemon_are_ignored() -> None:
    """A command goes on working while one side is a version ahead."""
    body = {"pauses": [{**PAUSE, "colour": "red"}], "nextCursor": None, "total": 1}
    async with there_that(hostile.json_answer(body)) as there:
        (found,) = await there.pauses()
    assert found.owner == "mira"


async def test_an_answer_that_lacks_something_is_said_to_be_of_another_version() -> None:
    """With the place of what is missing."""
    short = {name: value for name, value in PAUSE.items() if name != "owner"}
    error = await failure(hostile.json_answer({"pauses": [short]}), READS["pauses"])
    assert "not as this version knows it: pauses.0.owner: Field required" in str(error)


async def test_who_has_no_key_is_told_how_to_give_one() -> None:
    """Not how HTTP carries it; who has a wrong one, or lacks a password, is told that."""
    said = {"code": "UNAUTHORIZED", "message": "it is needed", "data": {}, "requestId": "r"}
    refused = hostile.json_answer(said, 401, WWW_Authenticate='ApiKey realm="restate-medic"')
    assert str(await failure(refused, WRITES["deed"], key=None)) == "write --key-file"
    assert str(await failure(refused, WRITES["deed"])) == "it is needed"
    locked = hostile.json_answer(said, 401, WWW_Authenticate='Basic realm="restate-medic"')
    assert str(await failure(locked, WRITES["deed"], key=None)) == "it is needed"


@pytest.mark.parametrize(("kind", "code"), [("target", Exit.USAGE), ("pause", Exit.UNHEALTHY)])
async def test_what_is_not_there_ends_as_the_local_command_does(kind: str, code: Exit) -> None:
    """A name that nobody configured is wrong usage; what is gone is not."""
    said = {"code": "NOT_FOUND", "message": "no", "data": {"kind": kind}, "requestId": "r"}
    error = await failure(hostile.json_answer(said, 404), WRITES["lift"])
    assert isinstance(error, NotFoundError)
    assert (error.kind, exit_code_of(error)) == (kind, code)


async def test_ctrl_c_leaves_the_daemon_to_it() -> None:
    """Nobody has to wait for an answer that does not come; what is under way is said to go on."""
    asked = asyncio.Event()

    async def silent(_request: hostile.Request, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with hostile.serving(silent) as server:
        command = ("redeploy", "--target", "prod", "--yes", "--url", server.url)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exporter", *command),
            env=clean_environment(PYTHONPATH=str(Path(__file__).parents[2])),
            stderr=asyncio.subprocess.PIPE,
        )
        await asyncio.wait_for(asked.wait(), 30)
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode != 0
    assert b"the daemon goes on" in said


def test_a_key_file_without_a_url_is_refused() -> None:
    """It would be shown to nobody."""
    with pytest.raises(ConfigurationError, match="--url"):
        Where(key_file=Path("key"))


@pytest.mark.parametrize(
    "other",
    [
        {"target": "eu"},
        {"remedy": "kill-invocations"},
        {"arguments": {"ids": ["inv_2"]}},
        {"steps": ("end it",)},
        {"allowed": ("zombie",)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_yes_is_to_one_plan_on_one_target(other: dict[str, Any]) -> None:
    """The same steps elsewhere, or with more insisted on, are another plan."""
    plan = Plan(
        remedy="cancel-invocations", target="prod", summary="", arguments={"ids": ["inv_1"]}
    )
    assert replace(plan).digest == plan.digest
    assert replace(plan, **other).digest != plan.digest
