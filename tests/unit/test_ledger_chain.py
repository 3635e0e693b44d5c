"""The chain shows any change to what was recorded."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.ledger.chain import (
    GENESIS,
    Entry,
    EntryKind,
    Head,
    canonical_bytes,
    digest,
    link,
    verify,
)

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LENGTH = 6


def chain(length: int = LENGTH) -> tuple[list[Entry], Head]:
    entries: list[Entry] = []
    head = Head()
    for number in range(length):
        at = AT + timedelta(seconds=number)
        entry = link(
            head, operation_id=f"op_{number}", kind=EntryKind.ACTING, at=at, body={"n": number}
        )
        entries.append(entry)
        head = Head(entry.seq, entry.hash)
    return entries, head


positions = st.integers(0, LENGTH - 1)
changes = st.one_of(
    st.tuples(st.just("seq"), st.integers(-5, 20)),
    st.tuples(st.just("operation_id"), st.none() | st.text(max_size=5)),
    st.tuples(st.just("kind"), st.sampled_from(list(EntryKind)).map(str) | st.text(max_size=5)),
    st.tuples(
        st.just("at"),
        st.timedeltas(timedelta(microseconds=1), timedelta(days=9)).map(lambda d: AT + d),
    ),
    st.tuples(st.just("body"), st.text(max_size=9)),
    st.tuples(st.just("prev_hash"), st.text("0123456789abcdef", min_size=64, max_size=64)),
    st.tuples(st.just("hash"), st.text("0123456789abcdef", min_size=64, max_size=64)),
)


def test_an_untouched_chain_holds() -> None:
    """What was only ever appended to verifies, whole and in pieces."""
    entries, head = chain()
    assert verify(entries, head) is None
    assert verify([], Head()) is None
    middle = Head(entries[2].seq, entries[2].hash)
    assert verify(entries[3:], head, start=middle) is None


@given(position=positions, change=changes)
def test_any_altered_field_is_found(position: int, change: tuple[str, Any]) -> None:
    """No field of any entry can be changed unnoticed."""
    entries, head = chain()
    field, value = change
    assume(getattr(entries[position], field) != value)
    entries[position] = replace(entries[position], **{field: value})
    assert verify(entries, head) is not None


@given(position=positions, change=changes)
def test_an_altered_entry_with_its_hash_made_anew_is_found(
    position: int, change: tuple[str, Any]
) -> None:
    """Computing the altered hash again does not help: the next entry, or the head, differs."""
    entries, head = chain()
    field, value = change
    assume(field != "hash" and getattr(entries[position], field) != value)
    altered = replace(entries[position], **{field: value})
    entries[position] = replace(altered, hash=digest(altered))
    assert verify(entries, head) is not None


@given(position=positions)
def test_a_removed_entry_is_found(position: int) -> None:
    """Neither the first, nor a middle one, nor the last can be taken out."""
    entries, head = chain()
    del entries[position]
    flaw = verify(entries, head)
    assert flaw is not None
    assert flaw.seq == position + 1


@given(position=st.integers(0, LENGTH), renumber=st.booleans())
def test_an_inserted_entry_is_found(position: int, *, renumber: bool) -> None:
    """Nothing can be put in between, or at the end, even with a fitting hash of its own."""
    entries, head = chain()
    before = Head(entries[position - 1].seq, entries[position - 1].hash) if position else Head()
    new = link(before, operation_id=None, kind=EntryKind.DECISION, at=AT, body={})
    rest = entries[position:]
    if renumber:
        rest = [replace(e, seq=e.seq + 1) for e in rest]
    assert verify([*entries[:position], new, *rest], head) is not None


@given(first=positions, second=positions)
def test_reordered_entries_are_found(first: int, second: int) -> None:
    """Two entries cannot change places."""
    assume(first != second)
    entries, head = chain()
    entries[first], entries[second] = entries[second], entries[first]
    assert verify(entries, head) is not None


def test_a_cut_tail_is_found_by_the_head() -> None:
    """A shorter chain is a perfect chain, but not the one that the head names."""
    entries, head = chain()
    flaw = verify(entries[:4], head)
    assert flaw is not None
    assert (flaw.seq, flaw.sentence) == (5, "entries after 4 are missing; 6 is known")
    shorter, _ = chain(LENGTH - 1)
    assert verify(shorter, Head(LENGTH - 1, "f" * 64)) is not None


def test_the_hash_covers_every_field_and_nothing_else() -> None:
    """The form that is hashed is fixed: what was written today is verifiable in ten years."""
    entry = Entry(1, None, "decision", AT, '{"a":1}', GENESIS)
    expected = f'["{GENESIS}",1,null,"decision","2026-03-01T03:00:00.000000+00:00","{{\\"a\\":1}}"]'
    assert canonical_bytes(entry) == expected.encode()
    assert digest(entry) == hashlib.sha256(expected.encode()).hexdigest()


def test_the_same_moment_in_another_zone_is_the_same() -> None:
    """A database that answers in another time zone does not break the chain."""
    entries, head = chain()
    berlin = timezone(timedelta(hours=1))
    moved = [replace(e, at=e.at.astimezone(berlin)) for e in entries]
    assert verify(moved, head) is None


@pytest.mark.parametrize("body", [{"b": 1, "a": [1, 2]}, {"a": [1, 2], "b": 1}])
def test_equal_bodies_are_equal_text(body: dict[str, object]) -> None:
    """The order in which a body was built does not show."""
    entry = link(Head(), operation_id=None, kind=EntryKind.DECISION, at=AT, body=body)
    assert entry.body == '{"a":[1,2],"b":1}'
    assert entry.data == {"a": [1, 2], "b": 1}
