"""The fleet: the newest reading of each component wins, and who waits for a fresher one gets it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.fleet import Fleet
from exporter.model.component import Component, Reason, Status
from exporter.model.report import Carried, Reading, Report
from exporter.model.views import AdminView
from tests.unit.fakes import Clock, FakeTarget
from tests.unit.policy_scenes import NOW, ONE

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
QUICK = (Component.ADMIN, Component.INGRESS)


def reading(at: datetime, version: str = "1.7", component: Component = Component.ADMIN) -> Reading:
    view = AdminView(version)
    return Reading(component, Status.OK, at, at, ONE.intervals[component], view=view)


def newest(report: Report, component: Component = Component.ADMIN) -> datetime:
    return report.readings[component].started_at


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(QUICK)), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_the_newest_reading_stays_in_whatever_order_they_come(
    begun: list[tuple[int, Component]], data: st.DataObject
) -> None:
    """Rounds overlap: a slow probe that began earlier never replaces what was read later."""
    fleet, now = Fleet(), NOW + HOUR
    readings = [reading(NOW + n * SECOND, str(n), component) for n, component in begun]
    while readings:
        batch = data.draw(st.integers(1, len(readings)))
        fleet.merge(ONE, readings[:batch], now=now)
        readings = readings[batch:]
    report = fleet.report(ONE.name)
    latest = {c: NOW + max(n for n, of in begun if of is c) * SECOND for _, c in begun}
    assert {c: r.started_at for c, r in report.readings.items()} == latest


def test_a_failed_reading_replaces_a_good_one() -> None:
    """What was read last counts, good or bad: yesterday's success does not hide a failure."""
    fleet = Fleet()
    fleet.merge(ONE, [reading(NOW)], now=NOW)
    failed = replace(
        reading(NOW + SECOND), status=Status.UNREACHABLE, reason=Reason.REFUSED, view=None
    )
    report = fleet.merge(ONE, [failed], now=NOW + SECOND)
    assert report.status(Component.ADMIN, NOW + SECOND) is Status.UNREACHABLE


def test_after_the_clock_was_set_back_new_readings_count_at_once() -> None:
    """A kept reading from the future must not shut out the present for an hour."""
    fleet = Fleet()
    fleet.merge(ONE, [reading(NOW + HOUR, "future")], now=NOW + HOUR)
    report = fleet.merge(ONE, [reading(NOW, "present")], now=NOW)
    assert newest(report) == NOW
    assert report.status(Component.ADMIN, NOW) is Status.OK


def test_components_keep_their_own_newest_reading() -> None:
    """A round that reads one component leaves the others as they were."""
    fleet = Fleet()
    fleet.merge(ONE, [reading(NOW), reading(NOW, component=Component.INGRESS)], now=NOW)
    report = fleet.merge(ONE, [reading(NOW + SECOND)], now=NOW + SECOND)
    assert newest(report) == NOW + SECOND
    assert newest(report, Component.INGRESS) == NOW


def test_a_component_that_is_no_longer_probed_is_dropped() -> None:
    """After a reload its last reading must not linger."""
    fleet = Fleet()
    fleet.merge(ONE, [reading(NOW), reading(NOW, component=Component.INGRESS)], now=NOW)
    less = replace(ONE, intervals={Component.ADMIN: SECOND})
    report = fleet.merge(less, [], now=NOW)
    assert set(report.readings) == {Component.ADMIN}


def test_what_is_carried_over_grows_with_the_readings() -> None:
    """Each merge remembers beside the report how long states have been the same."""
    clock = Clock()
    fleet, target = Fleet(), FakeTarget(clock)
    for _ in range(2):
        fleet.merge(ONE, target.readings(), now=clock.now())
        clock.advance(60)
    seen = fleet.report("prod").carried.states["dp_0"]
    assert (seen.value, seen.since, seen.readings) == ("active", NOW, 2)


def test_a_target_never_read_has_an_empty_report() -> None:
    """Everything about it is unknown; it is not among those that have reported."""
    fleet = Fleet()
    assert fleet.report("prod") == Report("prod", {}, Carried())
    assert fleet.names() == frozenset()


def test_a_forgotten_target_leaves_nothing() -> None:
    """Targets do not share anything, and one that is gone is as if it was never read."""
    fleet = Fleet()
    fleet.merge(ONE, [reading(NOW)], now=NOW)
    fleet.merge(replace(ONE, name="other"), [reading(NOW)], now=NOW)
    fleet.forget("prod")
    fleet.forget("never there")
    assert fleet.names() == {"other"}
    assert fleet.report("prod") == Report("prod")


# Waiting for something fresher


async def waiting(
    fleet: Fleet, *components: Component, after: datetime, seconds: float = 5
) -> asyncio.Task[Report | None]:
    """Somebody who waits already when this returns."""
    wait = fleet.fresher("prod", components, after=after, timeout_seconds=seconds)
    task = asyncio.ensure_future(wait)
    await asyncio.sleep(0)
    return task


async def test_who_waits_gets_the_first_report_that_is_fresh_in_everything() -> None:
    """Every component must have been read by a probe that began later, each in its own round."""
    fleet = Fleet()
    task = await waiting(fleet, *QUICK, after=NOW)
    fleet.merge(ONE, [reading(NOW), reading(NOW, component=Component.INGRESS)], now=NOW)
    fleet.merge(ONE, [reading(NOW + SECOND)], now=NOW + SECOND)
    await asyncio.sleep(0)
    assert not task.done()
    later = [reading(NOW + 2 * SECOND, component=Component.INGRESS)]
    report = fleet.merge(ONE, later, now=NOW + 2 * SECOND)
    assert await task == report


async def test_what_is_fresh_already_is_not_waited_for() -> None:
    """Not even when there is no time left; and nothing wanted is always there."""
    fleet = Fleet()
    report = fleet.merge(ONE, [reading(NOW + SECOND)], now=NOW + SECOND)
    for seconds in (5.0, 0.0, -1.0):
        found = await fleet.fresher("prod", [Component.ADMIN], after=NOW, timeout_seconds=seconds)
        assert found == report
    assert await fleet.fresher("prod", [], after=NOW + HOUR, timeout_seconds=0) == report


@pytest.mark.parametrize("seconds", [0.01, 0.0, -1.0])
async def test_waiting_ends_in_time(seconds: float) -> None:
    """None: it came too late, or never. A reading that began at that very moment is not later."""
    fleet = Fleet()
    fleet.merge(ONE, [reading(NOW)], now=NOW)
    wait = fleet.fresher("prod", [Component.ADMIN], after=NOW, timeout_seconds=seconds)
    assert await wait is None


async def test_everybody_who_waits_is_told_and_other_targets_wake_nobody() -> None:
    """Verification, a route and a webhook may wait for the same target."""
    fleet = Fleet()
    tasks = [await waiting(fleet, Component.ADMIN, after=NOW) for _ in range(3)]
    other = replace(ONE, name="other")
    fleet.merge(other, [reading(NOW + SECOND)], now=NOW + SECOND)
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    report = fleet.merge(ONE, [reading(NOW + SECOND)], now=NOW + SECOND)
    assert await asyncio.gather(*tasks) == [report] * 3


async def test_a_failed_reading_is_fresh_too() -> None:
    """Who waits must learn that it cannot be read; whether that helps is theirs to judge."""
    fleet = Fleet()
    task = await waiting(fleet, Component.ADMIN, after=NOW)
    failed = replace(reading(NOW + SECOND), status=Status.DEGRADED, reason=Reason.BAD_BODY)
    fleet.merge(ONE, [failed], now=NOW + SECOND)
    report = await task
    assert report is not None
    assert report.status(Component.ADMIN, NOW + SECOND) is Status.DEGRADED


async def test_waiting_can_be_cancelled() -> None:
    """A cancellation is not taken for a timeout."""
    fleet = Fleet()
    task = await waiting(fleet, Component.ADMIN, after=NOW)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
