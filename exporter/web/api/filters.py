"""What may stand in a path or a query: ids, the filters of a list, and where in it to go on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from exporter.model.component import Status
from exporter.model.decision import Mode, Result
from exporter.model.hold import HoldReason
from exporter.model.operation import Outcome, Phase, Source
from exporter.model.orders import PauseScope
from exporter.model.target import TargetKind
from exporter.policy.actions import ACTIONS
from exporter.policy.words import did_you_mean
from exporter.wire.paging import LONGEST_CURSOR, MOST

CALLS = ("doctor", "plan", "check", "pause", "unpause", "approve", "reject", "reset-breaker")
"""What people ask for beside the remedies, as the ledger calls it."""
_REMEDIES = (*ACTIONS, *CALLS)


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is no moment; write 2026-05-09T10:00:00Z") from error


def _remedy(word: str) -> str:
    if word not in _REMEDIES:
        raise ValueError(f"is none{did_you_mean(word, _REMEDIES)}; write {', '.join(_REMEDIES)}")
    return word


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Moment = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    Field(description="Such as `2026-05-09T10:00:00Z`.", examples=["2026-05-09T10:00:00Z"]),
]
Remedy = Annotated[
    str,
    AfterValidator(_remedy),
    Field(json_schema_extra={"enum": list(_REMEDIES)}),
]


class Filters(BaseModel):
    """A query in which nothing is ignored."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_else(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was sent
        unknown = sorted(given.keys() - cls.model_fields.keys())
        if unknown:
            known = list(cls.model_fields)
            hint = did_you_mean(unknown[0], known)
            mend = f"write {', '.join(known)}"
            raise ValueError(f"there is no parameter {unknown[0]!r}{hint}; {mend}")
        return given


class Paged(Filters):
    """A list in pages."""

    limit: Annotated[
        int | None, Field(ge=1, le=MOST, description="Rows of the answer at most.")
    ] = None
    cursor: Annotated[
        str | None,
        Field(max_length=LONGEST_CURSOR, description="`nextCursor` of the answer before."),
    ] = None


class TargetFilters(Paged):
    """Which targets."""

    status: Annotated[Status | None, Field(description="Of the worst component.")] = None
    kind: TargetKind | None = None


class PolicyFilters(Paged):
    """Which policies."""

    target: Annotated[Name | None, Field(description="That are about this target.")] = None
    remedy: Remedy | None = None
    mode: Annotated[Mode | None, Field(description="The one in force.")] = None


class DecisionFilters(Paged):
    """Which present decisions."""

    target: Name | None = None
    policy: Name | None = None
    remedy: Remedy | None = None
    result: Result | None = None
    reason: HoldReason | None = None
    mode: Mode | None = None


class ChangeFilters(Paged):
    """Which recorded changes of one decision."""

    item: Annotated[str | None, Field(max_length=2048, description="One item only.")] = None
    since: Moment | None = None
    until: Annotated[Moment | None, Field(description="Not included.")] = None


class ExplainFilters(Paged):
    """Which policies, on which targets, about which item."""

    target: Name | None = None
    policy: Name | None = None
    item: Annotated[str | None, Field(max_length=2048, description="One item only.")] = None


class OperationFilters(Paged):
    """Which operations."""

    target: Name | None = None
    policy: Name | None = None
    remedy: Remedy | None = None
    outcome: Outcome | None = None
    phase: Annotated[Phase | None, Field(description="`proposed` is what waits for a person.")] = (
        None
    )
    source: Source | None = None
    since: Annotated[Moment | None, Field(description="Created then or later.")] = None
    until: Annotated[Moment | None, Field(description="Created before.")] = None


class PauseFilters(Paged):
    """Which pauses."""

    scope: PauseScope | None = None
    name: Annotated[Name | None, Field(description="The target's or the policy's.")] = None
    status: Annotated[
        Literal["in_force", "any"],
        Field(description="`any`: also those that ran out and were not lifted."),
    ] = "in_force"


class LiftFilters(Filters):
    """Which pauses to lift: every one of this scope and name."""

    scope: PauseScope
    name: Annotated[Name | None, Field(description="Needed unless the scope is `global`.")] = None


class BreakerFilters(Paged):
    """Which breakers."""

    target: Name | None = None
    policy: Name | None = None
    remedy: Remedy | None = None


OperationId = Annotated[
    str,
    Path(
        alias="id",
        pattern=r"^[A-Za-z0-9_]{1,64}$",
        description="The operation's id, or how it begins; `op_` may be left out.",
    ),
]
PauseId = Annotated[int, Path(alias="id", ge=1, lt=10**18, description="As listed.")]
BreakerId = Annotated[
    str,
    Path(
        alias="id",
        pattern=r"^[A-Za-z0-9_.:-]{1,200}$",
        description="As listed: `target:prod:force-redeploy` or `policy:heal`.",
    ),
]
