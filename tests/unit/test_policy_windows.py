"""Windows: open exactly while a clock on the wall there shows a time within them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.policy.windows import DAYS, DayWindow, is_open, opens_at

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
EVERY_DAY = frozenset(range(7))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def window(
    start: str, end: str, days: str = "mon tue wed thu fri sat sun", zone: ZoneInfo = BERLIN
) -> DayWindow:
    numbers = frozenset(DAYS.index(day) for day in days.split())
    until = None if end == "24:00" else time.fromisoformat(end)
    return DayWindow(numbers, time.fromisoformat(start), until, zone)


def open_minutes(one: DayWindow, begin: datetime, hours: int) -> list[datetime]:
    """The minutes of some hours in which it is open."""
    minutes = (begin + n * MINUTE for n in range(hours * 60))
    return [minute for minute in minutes if one.contains(minute)]


def shown(moments: list[datetime], zone: ZoneInfo = BERLIN) -> list[str]:
    return [f"{m.astimezone(zone):%H:%M}" for m in moments]


@pytest.mark.parametrize(
    ("zone", "before", "length"),
    [
        pytest.param(BERLIN, datetime(2026, 3, 28, 20, tzinfo=UTC), 6, id="berlin-spring"),
        pytest.param(BERLIN, datetime(2026, 10, 24, 19, tzinfo=UTC), 8, id="berlin-autumn"),
        pytest.param(BERLIN, datetime(2026, 6, 6, 19, tzinfo=UTC), 7, id="berlin-summer"),
        pytest.param(NEW_YORK, datetime(2026, 3, 8, 2, tzinfo=UTC), 6, id="new-york-spring"),
        pytest.param(NEW_YORK, datetime(2026, 11, 1, 1, tzinfo=UTC), 8, id="new-york-autumn"),
    ],
)
def test_a_night_opens_and_closes_by_the_clock_on_the_wall(
    zone: ZoneInfo, before: datetime, length: int
) -> None:
    """22:00 to 05:00 on a Saturday, whatever the clock does that night."""
    night = window("22:00", "05:00", "sat", zone)
    found = open_minutes(night, before, 20)
    assert len(found) == length * 60
    assert found[-1] - found[0] == (length * 60 - 1) * MINUTE
    assert (shown(found[:1], zone), shown(found[-1:], zone)) == (["22:00"], ["04:59"])
    assert found[0].astimezone(zone).weekday() == DAYS.index("sat")


@pytest.mark.parametrize(
    ("zone", "gap"),
    [
        (BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
        (NEW_YORK, datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ],
)
def test_a_time_that_is_skipped_opens_nothing(zone: ZoneInfo, gap: datetime) -> None:
    """A window within the skipped hour is skipped; one across it begins or ends at the jump."""
    begin = gap - 2 * HOUR
    assert open_minutes(window("02:15", "02:45", zone=zone), begin, 5) == []
    assert open_minutes(window("02:30", "04:00", zone=zone), begin, 5)[0] == gap
    assert open_minutes(window("01:00", "02:30", zone=zone), begin, 5)[-1] == gap - MINUTE
    one = window("02:30", "04:00", zone=zone)
    assert one.opens_at(begin) == gap
    inside = window("02:15", "02:45", zone=zone).opens_at(begin)
    assert inside is not None
    assert inside.astimezone(zone).date() == gap.astimezone(zone).date() + timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "turn"),
    [
        (BERLIN, datetime(2026, 10, 25, 1, tzinfo=UTC)),
        (NEW_YORK, datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_time_that_is_shown_twice_is_open_twice(zone: ZoneInfo, turn: datetime) -> None:
    """The repeated hour counts both times, and what is after the end is closed in between."""
    first = turn.astimezone(zone).hour
    begin = turn - 2 * HOUR
    one = window(f"{first:02}:15", f"{first:02}:45", zone=zone)
    found = open_minutes(one, begin, 5)
    assert len(found) == 60
    assert found[0] == turn - 45 * MINUTE
    assert found[-1] == turn + 44 * MINUTE
    assert one.opens_at(turn - 15 * MINUTE) == turn + 15 * MINUTE
    across = window(f"{first - 1:02}:00", f"{first:02}:30", zone=zone)
    assert across.opens_at(turn - 20 * MINUTE) == turn


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2028, 2, 29), "leap-day"),
        (date(2028, 2, 28), "before-leap-day"),
        (date(2027, 2, 28), "february"),
        (date(2026, 12, 31), "year-end"),
        (date(2026, 4, 30), "month-end"),
    ],
)
def test_a_window_across_midnight_belongs_to_the_day_it_begins_on(day: date, name: str) -> None:
    """At the end of months, of years, and on the leap day."""
    assert name
    one = window("23:30", "00:30", DAYS[day.weekday()])
    begin = datetime.combine(day, time(12), BERLIN)
    found = open_minutes(one, begin.astimezone(UTC), 24)
    assert len(found) == 60
    assert [f"{m.astimezone(BERLIN):%d %H:%M}" for m in (found[0], found[-1])] == [
        f"{day:%d} 23:30",
        f"{day + timedelta(days=1):%d} 00:29",
    ]


def test_a_whole_day_ends_at_midnight() -> None:
    """24:00 is the end of the day itself; the day after is another one."""
    found = open_minutes(
        window("00:00", "24:00", "sun"), datetime(2026, 10, 24, 12, tzinfo=UTC), 48
    )
    assert len(found) == 25 * 60
    assert {f"{m.astimezone(BERLIN):%a}" for m in found} == {"Sun"}


def test_several_windows_are_open_when_one_is() -> None:
    """And without any, always."""
    early, late = window("01:00", "02:00"), window("03:00", "04:00")
    now = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)  # half past two
    assert not is_open((early, late), now)
    assert is_open((early, late), now + HOUR)
    assert opens_at((early, late), now) == now + MINUTE * 30
    assert is_open((), now)


@freeze_time("2026-10-25 00:30:00", real_asyncio=True)
def test_the_real_clock_is_read_the_same_way() -> None:
    """Half past two in Berlin, an hour before it is half past two again."""
    now = datetime.now(UTC)
    assert f"{now.astimezone(BERLIN):%H:%M}" == "02:30"
    assert not window("02:45", "05:00").contains(now)
    with freeze_time("2026-10-25 01:30:00", real_asyncio=True):
        later = datetime.now(UTC)
        assert f"{later.astimezone(BERLIN):%H:%M}" == "02:30"
        assert window("02:15", "02:45").contains(later)


zones = st.sampled_from(
    [
        *(BERLIN, NEW_YORK, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")),
        *(ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns"), ZoneInfo("Africa/Casablanca")),
    ]
)
clock_times = st.integers(0, 24 * 12 - 1).map(lambda n: time(n // 12, n % 12 * 5))
turns = st.sampled_from(
    [
        *(datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
        *(datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
        *(datetime(2028, 2, 29, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC)),
    ]
)
moments = st.tuples(turns, st.integers(-60 * 40, 60 * 40)).map(lambda t: t[0] + t[1] * MINUTE)
windows = st.builds(
    DayWindow,
    st.frozensets(st.integers(0, 6), min_size=1),
    clock_times,
    st.none() | clock_times,
    zones,
)


def readings(one: DayWindow, day: date) -> tuple[datetime, datetime]:
    """The bounds of the window that begins on a day, as the clock on the wall shows them."""
    begin = datetime.combine(day, one.start)
    if one.end is None:
        return begin, datetime.combine(day + timedelta(days=1), time())
    end = datetime.combine(day, one.end)
    return begin, end if end > begin else end + timedelta(days=1)


@settings(max_examples=400, deadline=None)
@given(windows, moments)
@example(window("22:00", "05:00", "sat"), datetime(2026, 3, 29, 2, 59, tzinfo=UTC))
def test_it_is_open_exactly_within_what_the_clock_shows(one: DayWindow, now: datetime) -> None:
    """Never longer nor shorter than its bounds: the oracle compares whole dates and times."""
    wall = now.astimezone(one.zone).replace(tzinfo=None)
    days = [wall.date(), wall.date() - timedelta(days=1)]
    within = [readings(one, day) for day in days if day.weekday() in one.days]
    assert one.contains(now) is any(begin <= wall < end for begin, end in within)


@settings(max_examples=150, deadline=None)
@given(windows, moments)
def test_it_opens_when_it_says_and_not_before(one: DayWindow, now: datetime) -> None:
    """Every minute until then is closed, and that moment is open."""
    at = one.opens_at(now)
    assert at is not None
    assert one.contains(at)
    ahead = int((at - now) / MINUTE)
    assert ahead < 9 * 24 * 60
    assert not any(one.contains(now + n * MINUTE) for n in range(0, ahead, 5))
    assert ahead == 0 or not one.contains(at - timedelta(seconds=1))
