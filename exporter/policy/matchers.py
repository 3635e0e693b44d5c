"""Alertmanager's matchers: read from text such as ``severity="critical", target=~"prod-.+"``.

The grammar is Alertmanager's own (0.27 and later, the braces optional); inside quotes a backslash
escapes as it always did there: before ``"``, ``n`` and itself, and is itself before all else.
Stricter than it in one thing: a value with blanks or special characters needs its quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from exporter.policy.regex import matches_whole

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<sign>=~|!=|!~|=|[{},])|(?P<plain>[^\s{}!=~,\\"'`]+))""",
    re.DOTALL,
)
_ESCAPE = re.compile(r'\\([\\"n])')
_EXAMPLE = 'severity="critical"'


class Sign(StrEnum):
    """How a matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"

    @property
    def is_regex(self) -> bool:
        """Whether its value is a pattern."""
        return self in _PATTERNS

    @property
    def wants(self) -> bool:
        """Whether the value is to be met, and not to be missed."""
        return self in _WANTING


_PATTERNS = frozenset({Sign.REGEX, Sign.NOT_REGEX})
_WANTING = frozenset({Sign.EQUAL, Sign.REGEX})


@dataclass(frozen=True, slots=True)
class Matcher:
    """One comparison of a label's value; a label that is absent has the empty one."""

    name: str
    sign: Sign
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels fit. PatternError when its value is no pattern."""
        found = labels.get(self.name, "")
        same = matches_whole(self.value, found) if self.sign.is_regex else found == self.value
        return same is self.sign.wants

    def __str__(self) -> str:
        value = self.value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        return f'{self.name}{self.sign}"{value}"'


class MatcherError(ValueError):
    """The text is no list of matchers: what is wrong, what to write, and at which character."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


class Placed(NamedTuple):
    """A matcher, and at which character its value begins."""

    matcher: Matcher
    offset: int


class _Token(NamedTuple):
    kind: str
    text: str
    offset: int


def parse_matchers(text: str) -> tuple[Placed, ...]:
    """Read a list of matchers, all of which an alert must fit. MatcherError says what is wrong."""
    tokens = _tokens(text)
    end = _Token("end", "", len(text.rstrip()))
    tokens, braced = _unbraced(tokens, end)
    found: list[Placed] = []
    while tokens:
        name, sign, value = (*tokens[:3], end, end, end)[:3]
        if name.kind not in {"plain", "quoted"} or not name.text:
            raise MatcherError(name.offset, f"a label's name is missing; write {_EXAMPLE}")
        if sign.text not in set(Sign) or sign.kind != "sign":
            raise MatcherError(sign.offset, f"after {name.text} write =, !=, =~ or !~ and a value")
        if value.kind not in {"plain", "quoted"}:
            message = f'after {name.text}{sign.text} write a value in quotes; "" is an absent label'
            raise MatcherError(value.offset, message)
        offset = value.offset + (value.kind == "quoted")
        found.append(Placed(Matcher(name.text, Sign(sign.text), value.text), offset))
        tokens = _after_comma(tokens[3:])
    if not found:
        what = "{} matches" if braced else "is empty, which matches"
        raise MatcherError(0, f"{what} every alert; write at least one, such as {_EXAMPLE}")
    return tuple(found)


def _after_comma(tokens: list[_Token]) -> list[_Token]:
    if tokens and (tokens[0].kind, tokens[0].text) != ("sign", ","):
        message = "write a comma between two matchers, and quotes around a value with blanks"
        raise MatcherError(tokens[0].offset, message)
    return tokens[1:]


def _unbraced(tokens: list[_Token], end: _Token) -> tuple[list[_Token], bool]:
    if not tokens or (tokens[0].kind, tokens[0].text) != ("sign", "{"):
        return tokens, False
    if (tokens[-1].kind, tokens[-1].text) != ("sign", "}"):
        raise MatcherError(end.offset, "{ is never closed; write } at the end, or leave { out")
    return tokens[1:-1], True


def _tokens(text: str) -> list[_Token]:
    tokens, at, stop = list[_Token](), 0, len(text.rstrip())
    while at < stop:
        found = _TOKEN.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise MatcherError(at, _unreadable(text[at]))
        kind = str(found.lastgroup)
        read = found[kind]
        if kind == "quoted":
            read = _ESCAPE.sub(lambda e: "\n" if e[1] == "n" else e[1], read[1:-1])
        tokens.append(_Token(kind, read, found.start(kind)))
        at = found.end()
    return tokens


def _unreadable(character: str) -> str:
    match character:
        case '"':
            return 'a quote is never closed; write " at the end of the value'
        case "'" | "`":
            return f"values stand in double quotes, as in {_EXAMPLE}"
        case "\\":
            return "a value with a backslash needs quotes"
        case _:
            return f"{character!r} cannot stand here; write matchers such as {_EXAMPLE}"
