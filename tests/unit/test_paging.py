"""Lists in pages: whatever comes or goes in between, each row is shown once and in order."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.wire.paging import Key, cursor_of, key_of, page

KEYS = st.tuples(st.text(max_size=3), st.text(max_size=3))


def same(row: Key) -> Key:
    return row


@given(
    st.sets(KEYS, max_size=30),
    st.lists(st.tuples(st.sets(KEYS, max_size=5), st.sets(KEYS, max_size=3)), max_size=12),
    st.integers(1, 7),
)
def test_every_row_that_stays_is_shown_once_and_in_order(
    rows: set[Key], between: list[tuple[set[Key], set[Key]]], limit: int
) -> None:
    """Rows are added and removed between pages; those there all the time are shown exactly once."""
    there, stayed, shown = set(rows), set(rows), list[Key]()
    cursor: str | None = None
    changes = iter(between)
    while True:
        after = None if cursor is None else key_of("rows", cursor)
        found, last = page(there, key=same, after=after, limit=limit)
        assert len(found) <= limit
        shown += found
        if last is None:
            break
        cursor = cursor_of("rows", last)
        added, removed = next(changes, (set[Key](), set[Key]()))
        there = there - removed | added
        stayed &= there
    assert shown == sorted(set(shown))
    assert stayed <= set(shown)


@given(st.sets(KEYS, max_size=10))
def test_without_a_limit_all_are_shown(rows: set[Key]) -> None:
    """And there is nothing to go on after."""
    assert page(rows, key=same, after=None, limit=None) == (tuple(sorted(rows)), None)


@given(st.text(max_size=5), st.lists(st.text(max_size=8), max_size=4))
def test_a_cursor_means_what_it_was_made_of(kind: str, key: list[str]) -> None:
    """Of its own list only, and it is fit for a URL as it is."""
    cursor = cursor_of(kind, tuple(key))
    assert key_of(kind, cursor) == tuple(key)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    with pytest.raises(ValueError, match="no cursor of this list"):
        key_of(kind + "x", cursor)


@given(st.text(max_size=40) | st.binary(max_size=30).map(lambda b: base64.b64encode(b).decode()))
def test_anything_else_is_no_cursor(text: str) -> None:
    """It is refused with what to write instead; it never becomes another page."""
    with pytest.raises(ValueError, match="write the nextCursor"):
        key_of("operations", text)
