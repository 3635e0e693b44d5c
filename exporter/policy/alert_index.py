"""Finds an alert that fits matchers without looking at all of them for each policy and target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from exporter.policy.matchers import Matcher
from exporter.policy.regex import which_match


class Labelled(Protocol):
    """What has labels."""

    @property
    def labels(self) -> Mapping[str, str]:
        """By name."""


T = TypeVar("T", bound=Labelled)


class AlertIndex(Generic[T]):
    """The alerts of one reading by their labels. A pattern is asked once about all values."""

    def __init__(self, alerts: Iterable[T]) -> None:
        self._alerts = list(alerts)
        self._by_label: dict[str, dict[str, list[T]]] = defaultdict(dict)
        for alert in self._alerts:
            for name, value in alert.labels.items():
                self._by_label[name].setdefault(value, []).append(alert)
        self._fitting: dict[tuple[str, str], frozenset[str]] = {}

    def find(self, matchers: Iterable[Matcher]) -> T | None:
        """An alert that fits all matchers. PatternError when a value is no pattern."""
        ordered = sorted(matchers, key=lambda m: m.sign.is_regex)  # patterns cost more
        some = self._alerts
        for matcher in ordered:
            if not some:
                return None
            some = min(some, self._candidates(matcher), key=len)
        return next((a for a in some if all(self._fits(m, a) for m in ordered)), None)

    def _candidates(self, matcher: Matcher) -> list[T]:
        """Alerts beside which none fits the matcher: all of them, where the index cannot tell."""
        if not matcher.sign.wants or self._fits_value(matcher, ""):
            return self._alerts
        values = self._by_label.get(matcher.name, {})
        if not matcher.sign.is_regex:
            return values.get(matcher.value, [])
        fitting = sorted(self._values_that_fit(matcher))
        return [alert for value in fitting for alert in values[value]]

    def _fits(self, matcher: Matcher, alert: T) -> bool:
        return self._fits_value(matcher, alert.labels.get(matcher.name, "")) is matcher.sign.wants

    def _fits_value(self, matcher: Matcher, value: str) -> bool:
        if not matcher.sign.is_regex:
            return value == matcher.value
        return value in self._values_that_fit(matcher)

    def _values_that_fit(self, matcher: Matcher) -> frozenset[str]:
        key = matcher.name, matcher.value
        if key not in self._fitting:
            values = ("", *self._by_label.get(matcher.name, ()))
            self._fitting[key] = which_match(matcher.value, values)
        return self._fitting[key]
