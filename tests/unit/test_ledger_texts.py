"""What may be stored, and in which form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.ids import new_id, normalise
from exporter.ledger.texts import canonical, clean, clean_text, item_key
from exporter.model.duration import parse_duration

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=_json)
def test_whatever_is_cleaned_can_be_stored_and_read_back(value: object) -> None:
    """Clean data survives the canonical form, which is ASCII and the same each time."""
    text = canonical(clean(value))
    assert text.isascii()
    assert canonical(json.loads(text)) == text
    assert "\\u0000" not in text


@given(seconds=st.integers(0, 10**8), micro=st.integers(0, 999_999))
def test_durations_are_kept_exactly(seconds: int, micro: int) -> None:
    """A duration that a condition saw is stored to the microsecond, in the form policies use."""
    value = timedelta(seconds=seconds, microseconds=micro)
    assert abs(parse_duration(clean(value)) - value) < timedelta(microseconds=2)


def test_other_kinds_become_plain_json() -> None:
    """Sets, tuples, moments and odd objects are stored in a form that does not vary."""
    assert clean({"s": {"b", "a"}, "t": (1, AT), "p": complex(1, 2)}) == {
        "s": ["a", "b"],
        "t": [1, "2026-03-01T03:00:00Z"],
        "p": "(1+2j)",
    }


@given(key=st.text())
def test_a_stored_key_is_stable(key: str) -> None:
    """The stored form of a stored key is itself, so that it may be looked up either way."""
    stored = item_key(key)
    assert item_key(stored) == stored
    assert clean_text(stored) == stored


def test_ordinary_keys_stay_as_they_are() -> None:
    """Limits follow what a person would recognise: a URL, an id, a workflow's key."""
    for key in ("http://w:9080/", "Signup/ann", "inv_1@2026-03-01T03:00:00+00:00", ""):
        assert item_key(key) == key


def test_keys_with_secrets_or_without_end_stay_different() -> None:
    """Hidden or cut, two keys remain two; only a URL's user info makes no difference."""
    assert item_key("S/key_customer-ann") != item_key("S/key_customer-ben")
    assert item_key("S/key_customer-ann").startswith("S/REDACTED#")
    assert item_key("x" * 500 + "a") != item_key("x" * 500 + "b")
    assert len(item_key("x" * 500)) < 260
    assert item_key("http://u:p@w/") == item_key("http://v:q@w/") == "http://REDACTED@w/"


def test_ids_are_short_sorted_and_typed_without_care() -> None:
    """An id is 18 characters, later ones are greater, and a person may omit the prefix."""
    ids = [new_id(AT + timedelta(milliseconds=n)) for n in range(0, 5000, 7)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {len(i) for i in ids} == {18}
    assert normalise(f" {ids[0][3:].upper()} ") == ids[0]
