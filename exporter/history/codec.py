"""Facts as JSON data, each stored once: the frozen dataclasses that readings are made of, and back.

Self-describing: each class is stored with the names of its fields, so that history outlives a
field that comes or goes. Text is stored without secrets (rule 9); pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeAlias

from exporter.history.frames import Backdrop, Circumstances, Memory, Setting
from exporter.model.component import Component, Reason, Status
from exporter.model.decision import Mode, Subject, Waiting
from exporter.model.heartbeat import Heartbeat, HeartbeatView
from exporter.model.identity import Identity
from exporter.model.operation import Window
from exporter.model.redact import redact_text, redact_user_info, sanitise
from exporter.model.report import Carried, Reading, Report, Seen
from exporter.model.target import Target, Worker
from exporter.model.views import (
    AdminView,
    Deployment,
    DeploymentList,
    DeploymentsView,
    Discovery,
    DriftView,
    FailedRun,
    Handler,
    IngressView,
    InvocationGroup,
    InvocationItem,
    InvocationSummary,
    InvocationsView,
    ListedDeployment,
    NodeView,
    RecentFailure,
    Service,
    ServiceList,
    ServiceShape,
    ServicesView,
)
from exporter.policy.alarms import Alarms, Alert, Heard, Silence
from exporter.policy.clock import Suspicion
from exporter.policy.matchers import Matcher, Sign
from exporter.policy.world import OpenOperation, Refusal

Json: TypeAlias = Any
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGEST_LENGTH = 12
_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_METADATA = frozenset({"metadata", "protected_metadata"})
FACTS: Mapping[str, type] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            *(AdminView, DeploymentsView, DeploymentList, DriftView, HeartbeatView, IngressView),
            *(InvocationsView, InvocationSummary, NodeView, ServiceList, ServicesView),
            *(Deployment, Discovery, FailedRun, Handler, InvocationGroup, InvocationItem),
            *(ListedDeployment, RecentFailure, Service, ServiceShape),
            *(Carried, Reading, Report, Seen, Subject, Waiting),
            *(Heartbeat, Target, Worker),
            *(Alarms, Alert, Heard, Matcher, Silence, OpenOperation, Refusal),
            *(Backdrop, Circumstances, Identity, Memory, Setting, Suspicion, Window),
        )
    }
)
_WORDS: Mapping[str, type[Enum]] = MappingProxyType(
    {kind.__name__: kind for kind in (Component, Mode, Reason, Sign, Status)}
)


class UnreadableError(ValueError):
    """What was stored cannot be told any more: a sentence that says what is not known."""


class Encoder:
    """Turns facts into JSON data. Equal facts become one object, referred to by its number."""

    def __init__(self) -> None:
        self.classes: dict[str, tuple[int, tuple[str, ...]]] = {}
        """By name, in order: the number and the names of the stored fields."""
        self.objects: list[str] = []
        """Each as JSON text."""
        self.characters = 0
        """Of all objects."""
        self._numbers: dict[str, int] = {}

    def encode(self, value: object) -> Json:
        """One value as JSON data. TypeError for a class that is no fact."""
        match value:
            case Enum():
                return {"w": [type(value).__name__, value.value]}
            case None | bool() | int() | float():
                return value
            case str():
                return without_secrets(value)
            case datetime():
                return {"t": microseconds(value)}
            case timedelta():
                return {"d": value // _MICROSECOND}
            case tuple() | list():
                return [self.encode(one) for one in value]
            case frozenset():
                return {"s": [self.encode(one) for one in sorted(value)]}
            case Mapping():
                return {"m": [[self.encode(k), self.encode(v)] for k, v in value.items()]}
            case _:
                return {"o": self._number(value)}

    def _number(self, fact: object) -> int:
        name = type(fact).__name__
        if FACTS.get(name) is not type(fact):
            msg = f"{name} is no fact that history keeps"
            raise TypeError(msg)
        known = self.classes.get(name)
        if known is None:
            known = self.classes[name] = len(self.classes), _stored_fields(name)
        row = [known[0], *(self.encode(_shown(fact, one)) for one in known[1])]
        text = text_of(row)
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.objects)
            self.objects.append(text)
            self.characters += len(text)
        return number


class Decoder:
    """Reads what an Encoder made. UnreadableError for classes and fields nobody knows any more."""

    def __init__(self, classes: Iterable[tuple[str, list[str]]], objects: Iterable[Json]) -> None:
        makers = [_maker(name, tuple(names)) for name, names in classes]
        self._facts: list[object] = []
        for number, *values in objects:  # each refers only to those before it
            self._facts.append(makers[number]([self.decode(value) for value in values]))

    def decode(self, value: Json) -> Any:  # noqa: ANN401 - whatever was encoded
        """One value, as it was."""
        if isinstance(value, list):
            return tuple(self.decode(one) for one in value)
        if not isinstance(value, dict):
            return value
        (tag, inside) = next(iter(value.items()))
        match tag:
            case "o":
                return self._facts[inside]
            case "w":
                return _WORDS[inside[0]](inside[1])
            case "t":
                return moment(inside)
            case "d":
                return timedelta(microseconds=inside)
            case "s":
                return frozenset(self.decode(one) for one in inside)
            case "m":
                return {self.decode(k): self.decode(v) for k, v in inside}
            case _:
                msg = f"a value of the kind {tag!r} is not known"
                raise UnreadableError(msg)


def text_of(value: Json) -> str:
    """JSON data as text, without spaces."""
    return _JSON.encode(value)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def moment(number: int) -> datetime:
    """The moment of so many microseconds since 1970, aware UTC."""
    return _EPOCH + timedelta(microseconds=number)


def _shown(fact: object, name: str) -> object:
    """A field's value; what people wrote into metadata may be secret by its name alone."""
    value = getattr(fact, name)
    return sanitise(value) if name in _METADATA else value


@lru_cache(maxsize=65_536)
def without_secrets(text: str) -> str:
    """The text as it may be stored; what looked like two different tokens still differs."""
    located = redact_user_info(text)
    shown = redact_text(located)
    if shown == located:
        return shown
    return f"{shown}#{sha256(located.encode(errors='replace')).hexdigest()[:_DIGEST_LENGTH]}"


@cache
def _stored_fields(name: str) -> tuple[str, ...]:
    return tuple(one.name for one in fields(FACTS[name]) if one.init)


def _maker(name: str, stored: tuple[str, ...]) -> Callable[[list[Any]], object]:
    kind = FACTS.get(name)
    if kind is None:
        msg = f"facts of the kind {name} are not known"
        raise UnreadableError(msg)
    known = [one for one in fields(kind) if one.init]
    needed = {f.name for f in known if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(needed - set(stored)):
        msg = f"{name} was stored without {', '.join(missing)}"
        raise UnreadableError(msg)
    kept = {one.name for one in known}
    if kept >= set(stored):
        return lambda values: kind(**dict(zip(stored, values, strict=True)))
    return lambda values: kind(**{k: v for k, v in zip(stored, values, strict=True) if k in kept})
