"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.duration import format_duration, parse_duration

MANY = settings(max_examples=200, deadline=None)
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15),
        ("2m", 120),
        ("24h", 86_400),
        ("7d", 604_800),
        ("1h30m", 5_400),
        ("250ms", 0.25),
        ("1m5ms", 60.005),
        ("1.5h", 5_400),
        (" 5s ", 5),
        ("0s", 0),
    ],
)
def test_a_number_with_a_unit(text: str, seconds: float) -> None:
    """Days, hours, minutes, seconds and milliseconds, also one after the other."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15",
        "s",
        "15 s",
        "-5s",
        "1h 30m",
        "1y",
        "1e3s",
        "\u0661s",
        "15S",
        15,
        1.5,
        None,
        True,
        ["1s"],
    ],
)
def test_anything_else_is_refused_with_the_mend(text: object) -> None:
    """A bare number would leave the unit to be guessed."""
    with pytest.raises(ValueError, match="write a number with a unit, such as 15s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3651d", "9" * 400 + "s"])
def test_a_duration_has_an_end(text: str) -> None:
    """What no clock could hold is refused with a sentence, not with an overflow."""
    with pytest.raises(ValueError, match="longer than ten years"):
        parse_duration(text)


@MANY
@given(st.text(max_size=8) | st.text("0123456789.dhms ", max_size=8))
def test_only_a_value_error_comes_out(text: str) -> None:
    """Whatever somebody writes: a duration, or the one error that has a sentence."""
    told = ""
    try:
        assert parse_duration(text) >= timedelta(0)
    except ValueError as error:
        told = str(error)
    assert not told or "; write a" in told


@MANY
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(list(UNITS))), min_size=1, max_size=4)
)
def test_parts_add_up(parts: list[tuple[int, str]]) -> None:
    """Each part counts, in whatever order."""
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration(text).total_seconds() == sum(n * UNITS[unit] for n, unit in parts)


@MANY
@given(st.integers(0, 300_000_000))
def test_what_is_written_can_be_read(seconds: int) -> None:
    """In its two largest units: never more than it is, and short of it by less than the second."""
    value = timedelta(seconds=seconds)
    back = parse_duration(format_duration(value))
    sizes = [size for size in UNITS.values() if seconds >= size]
    lost = (value - back).total_seconds()
    assert 0 <= lost < (sizes[1] if len(sizes) > 1 else 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (59, "59s"),
        (60, "1m"),
        (5_400, "1h30m"),
        (90_061, "1d1h"),
        (-90, "-1m30s"),
    ],
)
def test_how_it_is_written(seconds: float, text: str) -> None:
    """Short, for people; a difference may be negative."""
    assert format_duration(timedelta(seconds=seconds)) == text
