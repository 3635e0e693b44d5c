"""What ``block_on_alerts`` says: matchers with ``$target`` and ``$labels.NAME`` in their values.

Read once, when the policy is loaded; for each target the variables are put in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.model.target import Target
from exporter.policy.alarms import OWN_LABEL, OWN_VALUE
from exporter.policy.matchers import Matcher, MatcherError, Placed, Sign, parse_matchers
from exporter.policy.regex import PatternError, matches_whole, quoted
from exporter.policy.words import did_you_mean

_VARIABLE = re.compile(
    r"\$(?:\{([^{}]*)\}|(labels\.[A-Za-z_][A-Za-z0-9_]*|[A-Za-z_][A-Za-z0-9_]*))"
)
_TARGET = "target"
_LABELS = "labels."
_KNOWN = "write $target, or $labels.NAME for a label that the target has in the configuration"


@dataclass(frozen=True, slots=True)
class Blocker:
    """One entry of ``block_on_alerts``: an alert that fits all of it holds the policy."""

    matchers: tuple[Matcher, ...]

    @property
    def labels(self) -> frozenset[str]:
        """The target's labels that it needs."""
        return frozenset(
            name.removeprefix(_LABELS)
            for matcher in self.matchers
            for name in _variables(matcher.value)
            if name.startswith(_LABELS)
        )

    def on(self, target: Target) -> tuple[Matcher, ...]:
        """The same for one target. KeyError when it lacks a label, which loading refuses."""
        return tuple(
            Matcher(m.name, m.sign, _filled(m, target)) if "$" in m.value else m
            for m in self.matchers
        )


def read_blocker(text: str) -> Blocker:
    """Read one entry. MatcherError says what is wrong, what to write, and at which character."""
    placed = parse_matchers(text)
    for one in placed:
        _check_variables(one)
        if one.matcher.sign.is_regex:
            _check_pattern(one)
        if one.matcher == Matcher(OWN_LABEL, Sign.EQUAL, OWN_VALUE):
            message = "restate-medic's own alerts never block; leave this entry out"
            raise MatcherError(one.offset, message)
    return Blocker(tuple(one.matcher for one in placed))


def read_watchdog(text: str) -> tuple[Matcher, ...]:
    """Read the matchers of an alert that always fires, which have no variables. MatcherError."""
    placed = parse_matchers(text)
    for one in placed:
        if one.matcher.sign.is_regex:
            _check_pattern(one)
    return tuple(one.matcher for one in placed)


def missing_labels(blockers: Iterable[Blocker], target: Target) -> Iterator[tuple[int, str]]:
    """Labels that entries need and the target lacks: the entry's number, and the label."""
    for number, blocker in enumerate(blockers):
        for name in sorted(blocker.labels - target.labels.keys()):
            yield number, name


def _variables(value: str) -> Iterator[str]:
    for found in _VARIABLE.finditer(value):
        yield found[2] or found[1]


def _filled(matcher: Matcher, target: Target) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[2] or found[1]
        text = target.name if name == _TARGET else target.labels[name.removeprefix(_LABELS)]
        return quoted(text) if matcher.sign.is_regex else text

    return _VARIABLE.sub(value, matcher.value)


def _check_variables(one: Placed) -> None:
    for found in _VARIABLE.finditer(one.matcher.value):
        name = found[2] or found[1] or ""
        if name != _TARGET and not (name.startswith(_LABELS) and name != _LABELS):
            hint = did_you_mean(name, [_TARGET])
            raise MatcherError(one.offset, f"{found[0]} is not a variable{hint}; {_KNOWN}")


def _check_pattern(one: Placed) -> None:
    pattern = _VARIABLE.sub("x", one.matcher.value)
    try:
        matches_whole(pattern, "")
    except PatternError as error:
        message = f"{one.matcher.value!r} is no regular expression: {error}"
        raise MatcherError(one.offset, message) from error
