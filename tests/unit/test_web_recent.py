"""What is remembered of the last rounds, and the strips that show it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.component import WORST_FIRST, Component, Reason, Status
from exporter.web.page.cells import bars
from exporter.web.recent import ROUNDS, Past, Recent
from tests.benchmarks import synthetic
from tests.benchmarks.synthetic import START

TARGET = synthetic.target()
REASONS = {
    Status.OK: None,
    Status.DEGRADED: Reason.HTTP_STATUS,
    Status.UNREACHABLE: Reason.REFUSED,
}
_histories = st.lists(
    st.dictionaries(st.sampled_from(sorted(TARGET.intervals)), st.sampled_from(sorted(REASONS))),
    max_size=3 * ROUNDS,
)


def played(history: list[dict[Component, Status]]) -> Past:
    """Rounds of 15 s in which these components change their status, the others being ok."""
    recent = Recent()
    for number, statuses in enumerate(history):
        at = START + timedelta(seconds=15 * number)
        failing = [
            synthetic.failure(TARGET, component, reason, at)
            for component, status in statuses.items()
            if (reason := REASONS[status]) is not None
        ]
        report = synthetic.with_readings(synthetic.report(TARGET, at), *failing)
        recent.note(TARGET, report, at)
    return recent.of(TARGET.name)


@given(_histories)
@example([{Component.ADMIN: Status.UNREACHABLE}, *[{}] * (2 * ROUNDS)])
def test_the_last_rounds_are_remembered_in_order(history: list[dict[Component, Status]]) -> None:
    """So many at most, the oldest first, each with its worst status and what was not ok."""
    past = played(history)
    kept = history[-ROUNDS:]
    assert len(past.rounds) == len(kept)
    times = [one.at for one in past.rounds]
    assert times == sorted(times)
    for one, statuses in zip(past.rounds, kept, strict=True):
        assert one.statuses.keys() == TARGET.intervals.keys()
        seen = {*statuses.values(), *([] if statuses.keys() >= TARGET.intervals.keys() else ["ok"])}
        assert one.worst == min(seen, key=lambda s: WORST_FIRST.index(Status(s)))
        assert set(one.trouble) == {c for c, s in statuses.items() if s is not Status.OK}


@given(_histories)
@example([{Component.ADMIN: Status.UNREACHABLE}, *[{}] * (2 * ROUNDS)])
def test_since_is_when_the_present_status_began(history: list[dict[Component, Status]]) -> None:
    """Also when that is longer ago than rounds are kept; before the first round nobody looked."""
    past = played(history)
    for component in TARGET.intervals if history else ():
        told = [statuses.get(component, Status.OK) for statuses in history]
        began = len(told)
        while began and told[began - 1] == told[-1]:
            began -= 1
        since = past.since[component]
        assert (since.status, since.begun) == (told[-1], began > 0)
        assert since.at == START + timedelta(seconds=15 * began)


@given(_histories, st.sampled_from([None, *sorted(TARGET.intervals)]))
def test_a_strip_shows_every_round_once(
    history: list[dict[Component, Status]], component: Component | None
) -> None:
    """The newest at its right end; neighbours differ, so that there is one bar for each change."""
    past = played(history)
    strip = bars(past.rounds, ROUNDS, component)
    painted = [
        bar.status for bar in strip for _ in range(bar.rounds) if bar.width == bar.rounds * 4 - 1
    ]
    expected = [one.worst if component is None else one.statuses[component] for one in past.rounds]
    assert painted == expected
    at = (ROUNDS - len(past.rounds)) * 4
    for bar in strip:
        assert (bar.x, bar.y + bar.height) == (at, 20)
        at += bar.rounds * 4
    assert at == ROUNDS * 4
    assert len({bar.told for bar in strip}) == len(strip)
    if component is not None:
        assert all(a.status is not b.status for a, b in pairwise(strip))


def test_another_target_of_the_same_name_has_no_past() -> None:
    """What is known of one that is gone is forgotten."""
    recent = Recent()
    recent.note(TARGET, synthetic.report(TARGET), START)
    assert len(recent.of("local").rounds) == 1
    recent.forget("local")
    assert recent.of("local") == Past()


def test_what_was_unknown_may_have_been_so_for_longer() -> None:
    """After a gap in the readings nobody knows when the present status began."""
    recent, report = Recent(), synthetic.report(TARGET)
    recent.note(TARGET, report, START)
    recent.note(TARGET, report, START + timedelta(hours=1))
    later = START + timedelta(hours=2)
    recent.note(TARGET, synthetic.report(TARGET, later), later)
    since = recent.of("local").since[Component.ADMIN]
    assert (since.status, since.at, since.begun) == (Status.OK, later, False)
