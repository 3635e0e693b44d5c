"""Writes to single invocations and narrow look-ups, on real servers of every supported version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from exporter.model.views import cause_of
from exporter.restate_api import RestateApi, Said, connect
from exporter.transport import Transport
from lab import Restate, ServiceSpec, Version, wait_until
from tests.support import ServerFactory, WorkerFactory

PLAIN = ServiceSpec("Plain", pause_after=2)
FLOW = ServiceSpec("Flow", "workflow", ("run", "ask"))
CART = ServiceSpec("Cart", "object")


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as made:
        yield made


def _api(restate: Restate, transport: Transport) -> RestateApi:
    return connect(transport, ingress_url=restate.ingress_url, admin_url=restate.admin_url)


def _send(restate: Restate, service: str, body: str, key: str | None = None) -> str:
    answer = restate.call(service, "run", body, key=key, send=True)
    return str(answer.json()["invocationId"])


def _until(restate: Restate, invocation_id: str, status: str) -> str:
    wait_until(lambda: restate.status(invocation_id) == status, what=f"it to be {status}")
    return invocation_id


async def test_each_write_and_each_documented_refusal(
    fresh_restate: ServerFactory,
    any_version: Version,
    worker_factory: WorkerFactory,
    transport: Transport,
) -> None:
    """What Restate answers is a value that says what became of the write."""
    restate = fresh_restate(any_version)
    restate.register(worker_factory(PLAIN, FLOW, CART).url)
    api = _api(restate, transport)
    write, look = api.lifecycle, api.lookups
    nobody = "inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
    for verb in (write.kill, write.cancel, write.pause, write.resume, write.purge):
        assert (await verb(nobody)).said is Said.GONE
    assert (await write.kill("abc")).said is Said.INVALID

    paused = _until(restate, _send(restate, "Plain", "crash"), "paused")
    (seen,) = (await look.paused_by_id([paused])).values()
    assert (seen.status, seen.item.paused_by) == ("paused", "retries")
    assert "told to crash" in seen.item.error
    assert (await write.purge(paused)).said is Said.CONFLICT
    assert (await write.restart_as_new(paused)).said is Said.CONFLICT
    assert (await write.resume(paused, deployment="dp_nope")).said is Said.INVALID
    assert (await write.resume(paused)).ok
    _until(restate, paused, "paused")
    assert (await write.kill(paused)).ok
    _until(restate, paused, "completed")
    (seen,) = (await look.by_id([paused])).values()
    assert (seen.result, cause_of(seen.failure)) == ("failure", "killed")
    for verb in (write.kill, write.cancel, write.resume):
        found = await verb(paused)
        assert found.said is Said.CONFLICT
        assert "completed" in found.message
    again = await write.restart_as_new(paused)
    assert again.new_id is not None
    assert again.new_id != paused
    assert (await write.purge(paused)).ok
    assert await look.by_id([paused]) == {}

    asleep = _until(restate, _send(restate, "Flow", "sleep", f"k{uuid4()}"), "suspended")
    assert (await write.cancel(asleep)).ok
    _until(restate, asleep, "completed")
    assert (await write.restart_as_new(asleep)).said is Said.UNSUPPORTED
    restate.admin("PATCH", f"/invocations/{again.new_id}/kill")


async def test_what_a_key_had_and_what_it_leaves(
    any_restate: Restate, worker_factory: WorkerFactory, transport: Transport
) -> None:
    """Invocations, timers, state and promises of one key, and nobody else's."""
    restate, key = any_restate, f"k{uuid4()}"
    restate.register(worker_factory(PLAIN, FLOW, CART).url)
    api, version = _api(restate, transport), restate.version()
    look = api.lookups
    run = _until(restate, _send(restate, "Flow", "wait", key), "suspended")
    asker = restate.call("Flow", "ask", "wait", key=key, send=True).json()["invocationId"]
    _until(restate, asker, "suspended")
    _send(restate, "Flow", "fail", f"other{key}")
    found = await look.of_key("Flow", key, version=version)
    assert [(one.item.id, one.active) for one in found] == [(run, True), (asker, True)]
    assert await look.left_of_key("Flow", key, version=version) == ("state calls", "promise x")
    assert (await look.journal(run)).sleeps_until is None
    for one in (asker, run):
        assert (await api.lifecycle.kill(one)).ok
        _until(restate, one, "completed")
    assert await look.left_of_key("Flow", key, version=version) == ("state calls", "promise x")
    assert (await api.lifecycle.purge(run)).ok
    assert await look.left_of_key("Flow", key, version=version) == ()

    asleep = _until(restate, _send(restate, "Flow", "sleep", f"s{key}"), "suspended")
    assert (await api.lifecycle.kill(asleep)).ok
    _until(restate, asleep, "completed")
    journal = await look.journal(asleep)
    assert journal.kept
    assert journal.sleeps_until is not None
    assert journal.sleeps_until - datetime.now(UTC) > timedelta(hours=23)
    assert not (await look.journal(run)).kept

    cart = _until(restate, _send(restate, "Cart", "fail", key), "completed")
    assert (await look.by_id([cart]))[cart].result == "failure"
    assert await look.left_of_key("Cart", key, version=version) == ("state calls",)
    await api.lifecycle.clear_state("Cart", key)
    wait_until(
        lambda: not restate.query(f"SELECT key FROM state WHERE service_key = '{key}'"),
        what="the state to be gone",
    )
