"""Alertmanager's JSON bodies, as far as we read them, and how they become facts.

Unknown fields are ignored; a missing or mistyped one makes the whole answer a ``bad_body``, so that
it never looks like "nothing fires". The shapes are those of Alertmanager's openapi.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from exporter.policy.alarms import Alert, Silence
from exporter.policy.matchers import Matcher, Sign
from exporter.transport import Answer, clean_text

_SHORT, _LONG = 60, 160
"""Characters of foreign text that a hold may quote."""
_SIGNS = {
    (True, False): Sign.EQUAL,
    (False, False): Sign.NOT_EQUAL,
    (True, True): Sign.REGEX,
    (False, True): Sign.NOT_REGEX,
}
"""By (isEqual, isRegex)."""
T = TypeVar("T")


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _AlertStatus(_Body):
    silenced_by: tuple[str, ...] = Field(alias="silencedBy")


class AlertBody(_Body):
    """An alert that fires."""

    labels: dict[str, str]
    starts_at: AwareDatetime = Field(alias="startsAt")
    status: _AlertStatus


class _Matcher(_Body):
    name: str
    value: str
    is_regex: bool = Field(alias="isRegex")
    is_equal: bool = Field(alias="isEqual", default=True)
    """Alertmanager before 0.22 does not tell, and knows no other."""


class _SilenceStatus(_Body):
    state: str


class SilenceBody(_Body):
    """A silence: to come, in force, or over."""

    id: str
    matchers: Annotated[tuple[_Matcher, ...], Field(min_length=1)]
    created_by: str = Field(alias="createdBy")
    comment: str
    ends_at: AwareDatetime = Field(alias="endsAt")
    status: _SilenceStatus


class _Cluster(_Body):
    status: Literal["ready", "settling", "disabled"]


class StatusBody(_Body):
    """Since when it runs, and whether its cluster has told it everything."""

    uptime: AwareDatetime
    """When it was started, by its own clock."""
    cluster: _Cluster


STATUS = TypeAdapter(StatusBody)
ALERTS = TypeAdapter(tuple[AlertBody, ...])
SILENCES = TypeAdapter(tuple[SilenceBody, ...])


def read_as(shape: TypeAdapter[T], answer: Answer) -> T:
    """Read an answer. CallFailedError when it has not this shape."""
    try:
        return shape.validate_json(answer.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise answer.bad_body(clean_text(f"not Alertmanager's: {where}: {first['msg']}")) from error


def alerts_of(bodies: Iterable[AlertBody]) -> tuple[Alert, ...]:
    """The alerts as policies see them."""
    return tuple(
        Alert(b.labels, b.starts_at, b.status.silenced_by, _name(b.labels)) for b in bodies
    )


def _name(labels: dict[str, str]) -> str:
    return clean_text(labels.get("alertname", ""), _SHORT) or "an alert without a name"


def silences_of(bodies: Iterable[SilenceBody]) -> tuple[Silence, ...]:
    """Those that Alertmanager itself calls active, as policies see them."""
    return tuple(
        Silence(
            id=clean_text(b.id, _SHORT),
            matchers=tuple(
                Matcher(m.name, _SIGNS[m.is_equal, m.is_regex], m.value) for m in b.matchers
            ),
            author=clean_text(b.created_by, _SHORT),
            comment=clean_text(b.comment, _LONG),
            until=b.ends_at,
        )
        for b in bodies
        if b.status.state == "active"
    )
