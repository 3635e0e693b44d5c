"""The demonstration's windows are open whenever it is played."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from stage.medic import it_is_night_in


@given(moment=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)))  # noqa: DTZ001 - hypothesis takes naive bounds
def test_it_is_always_night_somewhere(moment: datetime) -> None:
    """The zone exists, and its clocks show between two and three."""
    now = moment.replace(tzinfo=UTC)
    assert now.astimezone(ZoneInfo(it_is_night_in(now))).hour == 2
