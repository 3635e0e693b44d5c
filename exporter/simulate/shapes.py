"""The shape of a file of policy tests. What its values may be is for ``load`` to say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from exporter.model.duration import parse_duration
from exporter.policy.fields import Duration, Strict

_MODES = Literal["observe", "approve", "enforce"]


def _since_start(value: object) -> object:
    return value if isinstance(value, timedelta) else parse_duration(value)


def _moment(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        msg = f"{value!r} is no moment; write one such as 2026-01-05T22:00:00Z"
        raise ValueError(msg)
    return found


_At = Annotated[timedelta, BeforeValidator(_since_start)]
_Start = Annotated[datetime, BeforeValidator(_moment)]


class OthersModel(Strict):
    """The other targets that a policy is about."""

    targets: int = Field(ge=0, description="How many there are.")
    affected: int = Field(ge=0, description="On how many of them its condition is not false.")


class StepModel(Strict):
    """What is so for a while; what a step does not say stays as it was."""

    for_: Duration = Field(alias="for", description="How long.")
    values: dict[str, Any] = Field(default_factory=dict)
    """By variable; null is unknown."""
    items: dict[str, dict[str, dict[str, Any]] | None] = Field(default_factory=dict)
    """By kind and key; null is an unknown list."""
    components: dict[str, str] = Field(default_factory=dict)
    """``ok``, ``unknown``, or the reason why it is not ok."""
    alerts: list[dict[str, str]] | Literal["unknown"] | None = None
    """The labels of each alert that fires."""
    others: OthersModel | None = None
    paused: bool | None = None
    """Whether a person has paused everything."""


class TargetModel(Strict):
    """The target that a test is about."""

    name: str = "prod"
    labels: dict[str, str] = Field(default_factory=dict)


class OperationModel(Strict):
    """One operation that is begun."""

    at: _At
    policy: str | None = None
    does: Literal["act", "rehearse", "propose"] | None = None
    items: list[str] | None = None
    outcome: str | None = None


class DecisionModel(Strict):
    """How one thing stands at a moment."""

    at: _At
    policy: str | None = None
    item: str | None = None
    decision: str
    """``clear``, ``act``, or the reason of a hold."""


class ExpectModel(Strict):
    """What must come out."""

    operations: list[OperationModel] | None = None
    """All of them, in their order; [] is none."""
    decisions: list[DecisionModel] = Field(default_factory=list)


class TestModel(Strict):
    """One test: a time that passes, and what must come of it."""

    __test__ = False

    name: str = Field(min_length=1)
    target: TargetModel = Field(default_factory=TargetModel)
    mode: _MODES | None = None
    """As if every policy were in it; left out: as they are written."""
    start: _Start | None = None
    steps: list[StepModel] = Field(min_length=1)
    expect: ExpectModel


class TestFileModel(Strict):
    """A file of tests."""

    __test__ = False

    policies: list[str] = Field(min_length=1)
    """Files or patterns, from where this file is."""
    interval: Duration = timedelta(seconds=15)
    """Between two rounds, each of which reads everything."""
    tests: list[TestModel] = Field(min_length=1)


EXAMPLES_OF_KEYS = {
    "tests": "tests: and a list of name, steps and expect below it",
    "policies": "policies: [../missing-services.yaml]",
    "steps": "steps: and a list of for, values and items",
    "for": "for: 5m",
    "expect": "expect: with operations, decisions or both",
    "decision": "decision: clear, act, or the reason of a hold such as cooldown",
    "at": "at: 10m",
    "name": "name: what must come out, in words",
}


def keys_at(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that a mapping at this place of the file may have."""
    models: dict[tuple[str, ...], type[Strict]] = {
        (): TestFileModel,
        ("tests",): TestModel,
        ("tests", "target"): TargetModel,
        ("tests", "steps"): StepModel,
        ("tests", "steps", "others"): OthersModel,
        ("tests", "expect"): ExpectModel,
        ("tests", "expect", "operations"): OperationModel,
        ("tests", "expect", "decisions"): DecisionModel,
    }
    model = models.get(tuple(part for part in path if isinstance(part, str)))
    fields = model.model_fields if model is not None else {}
    return tuple(field.alias or name for name, field in fields.items())
