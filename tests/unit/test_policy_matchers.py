"""Matchers mean what Alertmanager means by them, and what is none says where and why."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.policy.matchers import Matcher, MatcherError, Sign, parse_matchers
from exporter.policy.regex import LONGEST_PATTERN, PatternError, matches_whole, quoted, which_match

EQUAL, NOT_EQUAL, REGEX, NOT_REGEX = Sign
LABELS = st.sampled_from(["severity", "target", "größe", "a b"])
PIECES = st.sampled_from(["a", "b", ".", "x", "a*", "(a|b)", "b+", "[ab]", "x?", r"\.", "é"])
PATTERNS = st.lists(PIECES, max_size=4).map("".join)
"""Where RE2 and Python's engine agree."""
VALUES = st.text(alphabet="abx.é", max_size=4)


def read(text: str) -> list[Matcher]:
    return [placed.matcher for placed in parse_matchers(text)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('severity="critical"', [Matcher("severity", EQUAL, "critical")]),
        ("severity=critical", [Matcher("severity", EQUAL, "critical")]),
        (" { severity = critical , } ", [Matcher("severity", EQUAL, "critical")]),
        ('{a!="1",b=~"x.+",c!~y}', None),
        ('"a b"="c"', [Matcher("a b", EQUAL, "c")]),
        (r'a="say \"hi, you\"\n\\ \d"', [Matcher("a", EQUAL, 'say "hi, you"\n\\ \\d')]),
        ('a=""', [Matcher("a", EQUAL, "")]),
        (r'a=~"\\d+"', [Matcher("a", REGEX, r"\d+")]),
        (r'a=~"\d+"', [Matcher("a", REGEX, r"\d+")]),
        ("grösse=10€", [Matcher("grösse", EQUAL, "10€")]),
    ],
)
def test_what_alertmanager_reads(text: str, meant: list[Matcher] | None) -> None:
    """With and without braces, blanks and quotes; a backslash escapes what it escapes there."""
    wanted = [
        Matcher("a", NOT_EQUAL, "1"),
        Matcher("b", REGEX, "x.+"),
        Matcher("c", NOT_REGEX, "y"),
    ]
    assert read(text) == (meant or wanted)


@pytest.mark.parametrize(
    ("text", "offset", "said"),
    [
        ("", 0, "is empty, which matches every alert"),
        ("{ }", 0, "{} matches every alert"),
        ("a", 1, "after a write ="),
        ("a b", 2, "after a write ="),
        ("a==b", 2, "after a= write a value"),
        ("=b", 0, "label's name is missing"),
        ('""="b"', 0, "label's name is missing"),
        ("a=", 2, "write a value in quotes"),
        ("a=b c", 4, "a comma between"),
        ("a=b,,c=d", 4, "label's name is missing"),
        ("a=b}", 3, "a comma between"),
        ("{a=b", 4, "never closed"),
        ('a="b', 2, "quote is never closed"),
        ("a='b'", 2, "double quotes"),
        ("a=b\\c", 3, "needs quotes"),
        ("a~b", 1, "cannot stand here"),
        ('a="b" or c="d"', 6, "a comma between"),
    ],
)
def test_what_is_no_matcher_is_refused_at_its_character(text: str, offset: int, said: str) -> None:
    """Nothing is guessed: what matches every alert is a mistake too."""
    with pytest.raises(MatcherError) as caught:
        parse_matchers(text)
    assert (caught.value.offset, said in str(caught.value)) == (offset, True), str(caught.value)


def simply(matcher: Matcher, labels: dict[str, str]) -> bool:
    """The same by Python's engine, spelled out."""
    value = labels.get(matcher.name, "")
    match matcher.sign:
        case Sign.EQUAL:
            return value == matcher.value
        case Sign.NOT_EQUAL:
            return value != matcher.value
        case Sign.REGEX:
            return re.fullmatch(matcher.value, value) is not None
        case Sign.NOT_REGEX:
            return re.fullmatch(matcher.value, value) is None


plain = st.builds(Matcher, LABELS, st.sampled_from([EQUAL, NOT_EQUAL]), VALUES)
patterned = st.builds(Matcher, LABELS, st.sampled_from([REGEX, NOT_REGEX]), PATTERNS)
matchers = plain | patterned


@given(matchers, st.dictionaries(LABELS, VALUES))
def test_a_matcher_means_what_it_says(matcher: Matcher, labels: dict[str, str]) -> None:
    """Over the whole value; an absent label has the empty one."""
    assert matcher.matches(labels) is simply(matcher, labels)


@given(
    st.lists(
        st.builds(Matcher, st.sampled_from(["a", "b_1"]), st.sampled_from(Sign), st.text()),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_what_is_written_is_read_again(some: list[Matcher], braced: bool) -> None:
    """Whatever the value holds: quotes, commas, braces, line ends, backslashes."""
    text = ", ".join(map(str, some))
    assert read(f"{{{text}}}" if braced else text) == some


@given(st.text(alphabet='ab="\\{},!~\n $', max_size=20))
def test_no_text_crashes_the_reader(text: str) -> None:
    """It gives matchers, or a place within the text and a sentence."""
    offset = 0
    try:
        assert parse_matchers(text)
    except MatcherError as error:
        offset = error.offset
    assert 0 <= offset <= len(text)


@given(*[st.text(st.characters(exclude_characters="\ufffd", codec="utf-8"), max_size=8)] * 2)
def test_a_quoted_text_matches_itself_alone(text: str, other: str) -> None:
    """A target's name in a pattern is a name, not a pattern."""
    assert matches_whole(quoted(text), text)
    assert matches_whole(quoted(text), other) is (text == other)


LINES = st.lists(st.text(alphabet="ab.\nx", max_size=4), max_size=40)
ANCHORED = st.sampled_from(["", "^", "$", r"\A", r"\z", "(?i)", "(?-m)", "(?s)", r"\b", "[^b]*"])


@given(st.tuples(ANCHORED, PATTERNS, ANCHORED).map("".join), LINES)
def test_asking_about_many_texts_is_asking_about_each(pattern: str, texts: list[str]) -> None:
    """Whatever a pattern says of lines and ends, and whatever lines are in a text."""
    assert which_match(pattern, texts) == {t for t in texts if matches_whole(pattern, t)}


def test_patterns_are_re2_and_end() -> None:
    """What would keep Python's engine busy for years is answered at once; what is none is told."""
    assert not matches_whole("(a+)+$", "a" * 5_000 + "b")
    assert matches_whole("a|b", "b")
    assert not matches_whole("a|b", "ab")
    assert not matches_whole(r"\d+", "1\n")
    for pattern, why in {"(": "missing )", "(?=a)": "invalid perl operator"}.items():
        with pytest.raises(PatternError, match=re.escape(why)):
            matches_whole(pattern, "")
    with pytest.raises(PatternError, match="more than"):
        matches_whole("a" * (LONGEST_PATTERN + 1), "a")
