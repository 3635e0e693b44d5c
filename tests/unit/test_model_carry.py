"""What outlives a reading: how long a state has been seen, and whether an answer is stable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.carry import carry_over
from exporter.model.component import Component, Reason
from exporter.model.derive import derive
from exporter.model.report import Carried, Report, Seen
from exporter.model.views import (
    DeploymentsView,
    Discovery,
    DriftView,
    InvocationGroup,
    InvocationsView,
    ServicesView,
    View,
)
from tests.unit.policy_scenes import NOW, ONE, URL, report, shape, views

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def after(
    carried: Carried,
    shown: Mapping[Component, View],
    at: datetime,
    failed: Mapping[Component, Reason] | None = None,
) -> Report:
    """The report after a round at this moment, remembering what came before."""
    seen = replace(report(shown, at=at, failed=failed), carried=carried)
    return replace(seen, carried=carry_over(seen, ONE, now=at))


def offering(*names: str) -> dict[Component, View]:
    """A worker that offers these services, whatever is registered."""
    found = Discovery(URL, "http", "yes", "dp_0", latest=True, discovered=tuple(map(shape, names)))
    return views() | {Component.DRIFT: DriftView((found,))}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_seen_counts_distinct_readings_of_the_same(steps: list[tuple[str, int]]) -> None:
    """``since`` is when the present run of equal readings began; one reading counts once."""
    at = NOW
    seen = Seen(steps[0][0], at, at)
    run = [at]
    for value, seconds in steps[1:]:
        at += timedelta(seconds=seconds)
        if value != seen.value:
            run = [at]
        elif at > run[-1]:
            run.append(at)
        seen = seen.again(value, at)
    assert (seen.since, seen.last, seen.readings) == (run[0], run[-1], len(run))


def test_a_state_keeps_its_age_over_readings_and_loses_it_when_it_changes() -> None:
    """Active for an hour, then replaced: drained from the reading on that showed it."""
    first = after(Carried(), views(), NOW)
    second = after(first.carried, views(), NOW + HOUR)
    assert second.carried.states["dp_0"] == Seen("active", NOW, NOW + HOUR, 2)
    moved = views() | {Component.SERVICES: ServicesView(())}
    third = after(second.carried, moved, NOW + 2 * HOUR)
    assert third.carried.states["dp_0"] == Seen("drained", NOW + 2 * HOUR, NOW + 2 * HOUR)


def test_a_state_that_is_unknown_now_keeps_its_memory() -> None:
    """A scan that failed once does not start a day of waiting anew."""
    busy = InvocationsView(
        (InvocationGroup("dp_0", "Greeter", "service", "invoked", None, 1, NOW, NOW),),
        (),
        frozenset({"dp_0"}),
        0.1,
    )
    moved = views() | {
        Component.SERVICES: ServicesView(()),
        Component.INVOCATIONS: busy,
    }
    first = after(Carried(), moved, NOW)
    unread = after(
        first.carried, moved, NOW + HOUR, failed={Component.INVOCATIONS: Reason.QUERY_FAILED}
    )
    assert unread.carried.states == first.carried.states
    unlisted = after(
        first.carried, moved, NOW + HOUR, failed={Component.DEPLOYMENTS: Reason.TIMEOUT}
    )
    assert unlisted.carried.states == first.carried.states


def test_a_deployment_that_is_gone_is_forgotten() -> None:
    """If its id ever came back, its age would begin anew; nothing is kept for ever."""
    first = after(Carried(), views(), NOW)
    gone = views() | {Component.DEPLOYMENTS: DeploymentsView(())}
    assert after(first.carried, gone, NOW + HOUR).carried.states == {}


def test_an_answer_is_stable_after_two_equal_readings_in_a_row() -> None:
    """One reading is not enough, nor is the same one looked at twice, nor two that differ."""

    def stable(seen: Report, at: datetime) -> tuple[object, object]:
        found = derive(seen, ONE, now=at)
        (item,) = found.items["workers"] or ()
        return found.values["drift.stable"], item.values["item.stable"]

    first = after(Carried(), offering("Greeter"), NOW)
    assert stable(first, NOW) == (False, False)
    again = replace(first, carried=carry_over(first, ONE, now=NOW + MINUTE))
    assert stable(again, NOW + MINUTE) == (False, False)
    second = after(again.carried, offering("Greeter"), NOW + HOUR)
    assert stable(second, NOW + HOUR) == (True, True)
    third = after(second.carried, offering("Greeter", "Counter"), NOW + 2 * HOUR)
    assert stable(third, NOW + 2 * HOUR) == (False, False)
    fourth = after(third.carried, offering("Greeter", "Counter"), NOW + 3 * HOUR)
    assert stable(fourth, NOW + 3 * HOUR) == (True, True)


def test_an_endpoint_that_begins_to_answer_is_not_stable_yet() -> None:
    """Dead and alive are different answers, even where both offer nothing."""
    dead = Discovery(URL, "http", "no", "dp_0", latest=True)
    first = after(Carried(), views() | {Component.DRIFT: DriftView((dead,))}, NOW)
    alive = views() | {Component.DRIFT: DriftView((replace(dead, reachable="yes"),))}
    second = after(first.carried, alive, NOW + HOUR)
    assert derive(second, ONE, now=NOW + HOUR).values["drift.stable"] is False


def test_when_the_clock_was_set_back_no_age_grows() -> None:
    """Readings that seem older than the memory neither count nor make it older."""
    first = after(Carried(), views(), NOW)
    back = after(first.carried, views(), NOW - HOUR)
    assert back.carried.states["dp_0"] == Seen("active", NOW, NOW)
    (item,) = derive(back, ONE, now=NOW - HOUR).items["deployments"] or ()
    assert item.values["item.state_age"] == timedelta(0)
    assert derive(back, ONE, now=NOW - HOUR).values["drift.stable"] is False


def test_nothing_is_remembered_of_a_target_never_read() -> None:
    """After a restart there is no memory: waiting again is safe."""
    assert carry_over(Report("prod"), ONE, now=NOW) == Carried()
