"""The shape of a file of policy tests. What its values may be is for ``load`` to say."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from exporter.model.duration import parse_duration
from exporter.policy.fields import Duration, Strict

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT_SCHEMA = {"type": "string", "examples": ["2026-01-05T22:00:00Z"]}
_AT_SCHEMA = {"type": "string", "examples": ["0s", "10m", "2026-01-05T22:00:00Z"]}
_MODES = Literal["observe", "approve", "enforce"]


def _at(value: object) -> timedelta | datetime:
    """A duration since the start, or a moment."""
    if isinstance(value, str) and _DATE.match(value):
        return _moment(value)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}, or a moment such as 2026-01-05T22:00:00Z") from error


def _moment(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        msg = f"{value!r} is no moment; write one such as 2026-01-05T22:00:00Z"
        raise ValueError(msg)
    return found


def _alerts(value: object) -> object:
    if isinstance(value, list) or value == "unknown":
        return value
    raise ValueError(f"{value!r} are no alerts; write a list of labels, [] for none, or unknown")


_At = Annotated[timedelta | datetime, BeforeValidator(_at), WithJsonSchema(_AT_SCHEMA)]
_Start = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_MOMENT_SCHEMA)]


class OthersModel(Strict):
    """The other targets that a policy is about."""

    targets: int = Field(ge=0, description="How many there are.")
    affected: int = Field(ge=0, description="On how many of them its condition is not false.")


class StepModel(Strict):
    """What is so for a while; what a step does not say stays as it was.

    Or steps that come again and again: ``repeat`` and ``steps``, and nothing else.
    """

    for_: Duration | None = Field(None, alias="for", description="How long.")
    values: dict[str, Any] = Field(
        default_factory=dict, description="By variable; null is unknown. Durations grow."
    )
    items: dict[str, dict[str, dict[str, Any]] | None] = Field(
        default_factory=dict,
        description=(
            "By kind and key, all that there are of a kind; null is an unknown list. "
            "inv_{1..25} stands for 25 that are alike."
        ),
    )
    components: dict[str, str] = Field(
        default_factory=dict, description="ok, unknown, or the reason why it is not ok."
    )
    alerts: Annotated[
        list[dict[str, str]] | Literal["unknown"] | None, BeforeValidator(_alerts)
    ] = Field(None, description="The labels of each alert that fires, or unknown.")
    others: OthersModel | None = None
    paused: bool | None = Field(None, description="Whether a person has paused everything.")
    repeat: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="How often the steps below it come."
    )
    steps: list[StepModel] = Field(default_factory=list, description="What is repeated.")


class TargetModel(Strict):
    """The target that a test is about."""

    name: str = Field("prod", description="Its name.")
    labels: dict[str, str] = Field(default_factory=dict, description="As in the configuration.")


class OperationModel(Strict):
    """One operation that begins. What is left out may be anything."""

    at: _At = Field(description="When: since the start, or a moment.")
    policy: str | None = Field(None, description="Whose it is.")
    does: Literal["act", "rehearse", "propose"] | None = Field(
        None, description="act in mode enforce, propose in approve, rehearse in observe."
    )
    items: list[str] | None = Field(None, description="What it is about, in this order.")
    outcome: str | None = Field(None, description="How it ends within the test.")


class DecisionModel(Strict):
    """How one thing stands at a moment."""

    at: _At = Field(description="When: since the start, or a moment.")
    policy: str | None = Field(None, description="May be left out where there is only one.")
    item: str | None = Field(None, description="Which item; left out: all of them.")
    decision: str = Field(description="clear, act, or the reason of a hold.")


class ExpectModel(Strict):
    """What must come out."""

    operations: list[OperationModel] | None = Field(
        None, description="All that begin, in their order; [] is none."
    )
    decisions: list[DecisionModel] = Field(
        default_factory=list, description="How things stand at some moments."
    )


class TestModel(Strict):
    """One test: a time that passes, and what must come of it."""

    __test__ = False

    name: str = Field(min_length=1, description="What must come out, in words.")
    target: TargetModel = Field(default_factory=TargetModel)
    mode: _MODES | None = Field(
        None, description="As if every policy were in it; left out: as they are written."
    )
    start: _Start | None = Field(
        None, description="When it begins; left out: Monday, 2026-01-05, at midnight UTC."
    )
    interval: Duration | None = Field(None, description="Instead of the file's.")
    steps: list[StepModel] = Field(min_length=1)
    expect: ExpectModel


class TestFileModel(Strict):
    """A file of tests."""

    __test__ = False

    policies: list[str] = Field(
        min_length=1, description="Files or patterns, from where this file is."
    )
    interval: Duration = Field(
        timedelta(seconds=15), description="Between two rounds, each of which reads everything."
    )
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
    words = [part for part in path if isinstance(part, str)]
    nested = [w for n, w in enumerate(words) if w != "steps" or "steps" not in words[:n]]
    model = models.get(tuple(nested))
    fields = model.model_fields if model is not None else {}
    return tuple(field.alias or name for name, field in fields.items())
