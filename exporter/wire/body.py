"""How bodies are written: camel case; what is asked is strict, what is answered is complete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from exporter.model.duration import format_duration
from exporter.model.redact import sanitise


class Asked(BaseModel):
    """What is sent: an unknown field or a value of another type is refused, not ignored."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )


class Answer(BaseModel):
    """What is answered."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        # A field that is always answered is no optional one to who reads the OpenAPI document.
        json_schema_serialization_defaults_required=True,
    )

    def as_json(self) -> dict[str, Any]:
        """The same as plain data in camel case, for programs that read a command's output."""
        return self.model_dump(mode="json", by_alias=True)


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def moment(at: datetime | None) -> str | None:
    """A timestamp, or null where there is none."""
    return None if at is None else timestamp(at)


def facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON can carry them, free of secrets; durations are written ``2m30s``."""
    found: dict[str, Any] = sanitise(_plain(values))
    return found


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return format_duration(value)
        case datetime():
            return timestamp(value)
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case set() | frozenset():
            return [_plain(v) for v in sorted(value, key=str)]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
