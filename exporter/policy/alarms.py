"""What Alertmanager told last, as policies ask it: which alerts fire, which targets are silenced.

Facts only, with the time they were read; whether they hold a policy is for ``alarm_gates``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from exporter.model.target import Target
from exporter.policy.alert_index import AlertIndex
from exporter.policy.matchers import Matcher, Sign
from exporter.policy.regex import PatternError

OWN_LABEL = "generated_by"
OWN_VALUE = "restate-medic"
"""Every alert that is made of restate-medic's metrics carries this label from its rule: it is
about a fault that policies are to repair, so it must not hold them back."""
TARGET_LABEL = "target"
"""The label in which alerts and silences name a target, as restate-medic's metrics do."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fires."""

    labels: Mapping[str, str]
    since: datetime
    silenced_by: tuple[str, ...] = ()
    """The silences that cover it now, as Alertmanager says."""
    name: str = "an alert without a name"
    """What people call it, fit to be shown."""

    @property
    def own(self) -> bool:
        """Whether it is one of restate-medic's."""
        return self.labels.get(OWN_LABEL) == OWN_VALUE


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence in force when it was read."""

    id: str
    matchers: tuple[Matcher, ...]
    author: str
    comment: str
    until: datetime

    @property
    def only_about(self) -> str | None:
        """The one value of the label ``target`` that it asks for, if it asks for one."""
        asked = (m for m in self.matchers if m.name == TARGET_LABEL and m.sign is Sign.EQUAL)
        return next((m.value for m in asked), None)

    def covers(self, target: Target) -> bool:
        """Whether it would match every alert of restate-medic about the target.

        Such an alert is known to have the target's name, its labels of the configuration and
        restate-medic's own; all other labels count as absent, so that a silence of one kind of
        alert does not cover the target.
        """
        labels = {**target.labels, TARGET_LABEL: target.name, OWN_LABEL: OWN_VALUE}
        return all(_may_match(matcher, labels) for matcher in self.matchers)

    def names(self, target: Target) -> bool:
        """Whether one of its matchers asks for the target by name."""
        labels = {TARGET_LABEL: target.name}
        return any(
            m.name == TARGET_LABEL and m.sign.wants and _may_match(m, labels) for m in self.matchers
        )


def _may_match(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """What cannot be read might match."""
    try:
        return matcher.matches(labels)
    except PatternError:
        return True


@dataclass(frozen=True, slots=True)
class Heard:
    """One reading of an Alertmanager: everything that fires, and every silence in force."""

    read_at: datetime
    """When it began to be read."""
    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    _blocking: AlertIndex[Alert] = field(init=False, repr=False, compare=False)
    """Of the alerts that may hold a policy: not silenced, and not restate-medic's own."""
    _silences: dict[str | None, list[Silence]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """By the target they can be about only; None: others too."""
    _own_silenced: dict[str, set[str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """By target: the silences that cover own alerts about it."""
    _silenced: dict[object, Silence | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        some = (a for a in self.alerts if not a.silenced_by and not a.own)
        object.__setattr__(self, "_blocking", AlertIndex(some))  # once, before anybody sees it
        for silence in self.silences:
            self._silences.setdefault(silence.only_about, []).append(silence)
        for alert in self.alerts:
            if alert.own and alert.silenced_by:
                about = self._own_silenced.setdefault(alert.labels.get(TARGET_LABEL, ""), set())
                about.update(alert.silenced_by)

    def firing(self, matchers: tuple[Matcher, ...]) -> Alert | None:
        """An alert that may hold a policy and fits all matchers."""
        return self._blocking.find(matchers)

    def silencing(self, target: Target) -> Silence | None:
        """The silence that holds the target's policies, if there is one.

        One that covers the target, or one that names it and silences an alert of restate-medic
        about it now: a person who silences what fires about a target is at work on it.
        """
        key: Any = (target.name, *target.labels.items())
        if key not in self._silenced:
            some = [s for n in (target.name, None) for s in self._silences.get(n, ())]
            about = next((s for s in some if s.covers(target)), None)
            self._silenced[key] = about or self._at_work_on(target, some)
        return self._silenced[key]

    def _at_work_on(self, target: Target, some: list[Silence]) -> Silence | None:
        ids = self._own_silenced.get(target.name, ())
        return next((s for s in some if s.id in ids and s.names(target)), None)


@dataclass(frozen=True, slots=True)
class Alarms:
    """What is known of a configured Alertmanager."""

    max_age: timedelta
    heard: Heard | None = None
    """The newest reading; None when there was none yet."""
    trouble: str = ""
    """Why it could not be read again since; a sentence without secrets."""
    silences_count: bool = True
    """Whether silences hold policies; then all policies need to know them."""
