"""What running probes promises, whatever the probes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from exporter.doctor import ProbeContext, ScanGovernor, probe_all
from exporter.model.component import Component, Reason, Status
from exporter.model.errors import CallFailedError
from exporter.model.target import Target
from exporter.model.views import AdminView, IngressView, InvocationsView, View
from exporter.restate_api import RestateApi
from tests.unit.fake_restate import FakeRestate

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
async def context() -> AsyncIterator[ProbeContext]:
    async with FakeRestate().api() as api:
        yield ProbeContext(api, Target("t", intervals={Component.ADMIN: timedelta(seconds=7)}))


async def _fine(_: ProbeContext) -> View:
    return AdminView("1")


async def _crashes(_: ProbeContext) -> View:
    raise KeyError("hunter2")


async def _hangs(_: ProbeContext) -> View:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_crash_is_a_failed_reading(context: ProbeContext) -> None:
    """A bug in one probe degrades that component as `internal`, is logged with its traceback,
    keeps its message to the log, and leaves the other probe alone."""
    probes = {Component.ADMIN: _fine, Component.DRIFT: _crashes}
    with structlog.testing.capture_logs() as logs:
        fine, crashed = await probe_all(probes, probes, context=context, clock=lambda: NOW)
    assert (fine.status, fine.view) == (Status.OK, AdminView("1"))
    assert (crashed.status, crashed.reason, crashed.latency_seconds) == (
        Status.DEGRADED,
        Reason.INTERNAL,
        None,
    )
    assert crashed.error == "the probe crashed: KeyError"
    assert [(entry["event"], entry["component"]) for entry in logs] == [("probe.crashed", "drift")]
    assert isinstance(logs[0]["exc_info"], KeyError)


async def test_a_probe_has_a_limit_of_its_own(context: ProbeContext) -> None:
    """A probe that takes longer than its limit is a reading of `timeout`."""
    (reading,) = await probe_all(
        {Component.DRIFT: _hangs},
        [Component.DRIFT],
        context=context,
        clock=lambda: NOW,
        timeouts={Component.DRIFT: timedelta(seconds=0.05)},
    )
    assert (reading.status, reading.reason) == (Status.UNREACHABLE, Reason.TIMEOUT)


async def test_cancelling_gets_out(context: ProbeContext) -> None:
    """Cancelling a round cancels its probes and is not turned into readings."""
    probes = {Component.ADMIN: _hangs, Component.DRIFT: _fine}
    running = asyncio.create_task(probe_all(probes, probes, context=context, clock=lambda: NOW))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_only_what_is_due_is_read_and_once(context: ProbeContext) -> None:
    """A component that is not due, or has no probe, none; due twice is read once."""
    readings = await probe_all(
        {Component.ADMIN: _fine, Component.INGRESS: _crashes},
        [Component.ADMIN, Component.DRIFT, Component.ADMIN],
        context=context,
        clock=lambda: NOW,
    )
    assert [reading.component for reading in readings] == [Component.ADMIN]


async def test_a_reading_says_when_how_long_and_how_often(context: ProbeContext) -> None:
    """A reading begins before its probe, carries the measured latency and the target's interval."""
    times = iter([NOW, NOW + timedelta(seconds=2)])
    ticks = iter([10.0, 10.25])
    (reading,) = await probe_all(
        {Component.ADMIN: _fine},
        [Component.ADMIN],
        context=context,
        clock=lambda: next(times),
        monotonic=lambda: next(ticks),
    )
    assert (reading.started_at, reading.finished_at) == (NOW, NOW + timedelta(seconds=2))
    assert (reading.latency_seconds, reading.interval) == (0.25, timedelta(seconds=7))


@pytest.mark.parametrize(("status", "latency"), [(500, True), (None, False)])
async def test_latency_needs_an_answer(
    context: ProbeContext, status: int | None, latency: bool
) -> None:
    """A failed reading has a latency exactly when something answered."""

    async def fails(_: ProbeContext) -> View:
        raise CallFailedError(Reason.HTTP_STATUS, "x", http_status=status)

    (reading,) = await probe_all(
        {Component.ADMIN: fails}, [Component.ADMIN], context=context, clock=lambda: NOW
    )
    assert (reading.latency_seconds is not None) is latency


def _view(seconds: float = 0.0) -> InvocationsView:
    return InvocationsView((), (), frozenset(), seconds)


async def test_scans_never_overlap_and_waiters_share_the_next() -> None:
    """Two scans never run at once; all who ask while one runs share the one that begins after
    they asked, so that nobody gets what was seen before."""
    running = 0
    seen: list[int] = []
    order: list[int] = []

    async def scan() -> InvocationsView:
        nonlocal running
        running += 1
        seen.append(running)
        await asyncio.sleep(0.02)
        running -= 1
        order.append(len(order))
        return _view(len(order))

    governor = ScanGovernor()
    first = asyncio.create_task(governor.run(scan))
    await asyncio.sleep(0.005)
    later = [asyncio.create_task(governor.run(scan)) for _ in range(5)]
    results = [(await task).scan_seconds for task in [first, *later]]
    assert set(seen) == {1}
    assert results == [1, 2, 2, 2, 2, 2]


async def test_slow_scans_space_themselves_out() -> None:
    """After a scan of 2 s the next scheduled one waits until 40 s after its beginning (5 %), the
    reading's interval grows along, and a failed scan counts like a good one."""
    now = 100.0

    async def slow() -> InvocationsView:
        nonlocal now
        now += 2
        raise CallFailedError(Reason.QUERY_FAILED, "x")

    governor = ScanGovernor(monotonic=lambda: now)
    assert governor.due()
    with pytest.raises(CallFailedError):
        await governor.run(slow)
    assert governor.pause == timedelta(seconds=40)
    now = 139.9
    assert not governor.due()
    now = 140.0
    assert governor.due()


async def test_a_slow_scan_stretches_the_interval_of_its_readings() -> None:
    """A reading stays fresh for as long as the slowed scans make the next one wait."""
    now = 0.0

    async def slow() -> InvocationsView:
        nonlocal now
        now += 10
        return _view()

    governor = ScanGovernor(monotonic=lambda: now)
    async with FakeRestate().api() as api:
        context = ProbeContext(api, Target("t"), governor)
        assert context.interval(Component.INVOCATIONS) == timedelta(seconds=60)
        await governor.run(slow)
        assert context.interval(Component.INVOCATIONS) == timedelta(seconds=200)
        assert context.interval(Component.ADMIN) == timedelta(seconds=15)


async def test_another_question_about_everything_waits_its_turn_and_counts() -> None:
    """``why`` asks beside the doctor: never at the same time, and its time is part of the share."""
    now, running, most = 0.0, 0, 0

    async def busy() -> InvocationsView:
        nonlocal now, running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        now += 2
        running -= 1
        return _view()

    governor = ScanGovernor(monotonic=lambda: now)
    await asyncio.gather(governor.run(busy), governor.alone(busy), governor.alone(busy))
    assert most == 1
    assert governor.pause == timedelta(seconds=120)


async def test_a_cancelled_scan_lets_the_next_one_run() -> None:
    """Cancelling a scan frees the way for the next."""

    async def forever() -> InvocationsView:
        await asyncio.Event().wait()
        return _view()

    async def quick() -> InvocationsView:
        return _view(7)

    governor = ScanGovernor()
    stuck = asyncio.create_task(governor.run(forever))
    await asyncio.sleep(0.01)
    assert not governor.due()
    stuck.cancel()
    assert (await asyncio.wait_for(governor.run(quick), 1)).scan_seconds == 7


async def test_the_ingress_view(context: ProbeContext) -> None:
    """The api of a context is used as it is."""
    assert isinstance(context.api, RestateApi)
    assert await context.api.ingress.health() == IngressView(frozenset({"Greeter"}))
