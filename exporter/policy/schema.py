"""The shape of a policy file; conditions and actions, which a shape cannot say, are ``parse``'s.

The descriptions are for people: editors show them from the generated JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema, model_validator

from exporter.model.variables import ITEM_KINDS
from exporter.policy.fields import (
    ClockTime,
    Duration,
    EndTime,
    ManualReset,
    Names,
    Period,
    Share,
    Strict,
    Zone,
)
from exporter.policy.windows import DAYS
from exporter.policy.words import did_you_mean, listing

_Text = Annotated[str, StringConstraints(min_length=1, max_length=253)]
_Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=63)
]
_Matchers = Annotated[
    str,
    StringConstraints(max_length=1000),
    WithJsonSchema({"type": "string", "examples": ['severity="critical", target="$target"']}),
]
_Mode = Literal["off", "observe", "approve", "enforce"]


def _item_kind(value: str) -> str:
    if value not in ITEM_KINDS:
        hint = did_you_mean(value, ITEM_KINDS) or f"; write {listing(ITEM_KINDS)}"
        raise ValueError(f"{value!r} is not something to run over{hint}")
    return value


_ForEach = Annotated[
    str,
    AfterValidator(_item_kind),
    WithJsonSchema({"type": "string", "enum": list(ITEM_KINDS)}),
]


class LimitModel(Strict):
    """At most this many operations in a sliding window."""

    scope: Literal["item", "target", "policy"] = Field(
        description="What is counted: this remedy on the item, on the target, or this policy."
    )
    max: int = Field(ge=0, le=1_000_000, description="How many; 0 is never.")
    per: Period = Field(description="The length of the sliding window, or forever.")


class VerifyModel(Strict):
    """How a repair is confirmed, on readings begun after it."""

    within: Duration = Field(
        default=timedelta(minutes=10), description="The repair must show within this time."
    )
    healthy_for: Duration = Field(
        default=timedelta(seconds=30), description="And then hold for this long."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.healthy_for >= self.within:
            raise ValueError("healthy_for does not fit into within; write a longer within")
        return self


class StormModel(Strict):
    """When too much is wrong at once for a remedy on one target."""

    max_unhealthy: Share = Field(
        default="40%", description="Of the policy's targets, this share may be affected."
    )
    at_least: int = Field(
        default=1, ge=0, le=1_000_000, description="So many may be, however small the share is."
    )
    at_most: int = Field(
        default=20, ge=0, le=1_000_000, description="And never more, however many targets."
    )
    max_items: int = Field(
        default=20, ge=1, le=1_000_000, description="Affected items of one target, with for_each."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.at_least > self.at_most:
            raise ValueError("at_least is more than at_most; write a larger at_most")
        return self


class BreakerModel(Strict):
    """When a remedy that does not help is stopped; what succeeds in between changes nothing."""

    failed: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="Open after so many that were unverified, failed, indeterminate, interrupted.",
    )
    per: Duration = Field(default=timedelta(hours=24), description="Within this time.")
    reset: ManualReset = Field(
        default="manual", description="manual: a person closes it; or for how long it stays open."
    )


def _day(value: str) -> str:
    if value not in DAYS:
        short = value[:3].lower()
        hint = f"; write {short}" if short in DAYS else f"; write {', '.join(DAYS)}"
        raise ValueError(f"{value!r} is not a day{hint}")
    return value


_Day = Annotated[str, AfterValidator(_day), WithJsonSchema({"type": "string", "enum": list(DAYS)})]


class WindowModel(Strict):
    """Hours in which the policy may act, as the clock on the wall shows them."""

    days: list[_Day] = Field(
        min_length=1, description="The days on which the window starts, mon to sun."
    )
    start: ClockTime = Field(description='From this time on, such as "22:00".')
    end: EndTime = Field(
        description='Until this time, such as "05:00", on the next day if it is not after start.'
    )
    timezone: Zone = Field(description="Whose clock: an IANA time zone such as Europe/Berlin.")

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.start == self.end:
            message = "start and end are the same; for whole days write start 00:00 and end 24:00"
            raise ValueError(message)
        return self


class TargetsModel(Strict):
    """Which targets; a target must have one of the names and all of the labels."""

    names: list[_Text] | None = Field(default=None, min_length=1, description="Target names.")
    labels: dict[str, _Text] | None = Field(
        default=None, min_length=1, description="Labels a target must have."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.names is None and self.labels is None:
            raise ValueError("says nothing; write names or labels, or leave targets out for all")
        return self


class PolicyModel(Strict):
    """One policy: when what is true for how long, do what, how often at most."""

    name: _Name = Field(description="Unique; it labels metrics and stands in the ledger.")
    mode: _Mode = Field(
        default="observe",
        description="off; observe: rehearse; approve: a person says yes to a plan; enforce: act. "
        "The lower of it and max_mode wins.",
    )
    targets: TargetsModel | None = Field(default=None, description="Absent: all targets.")
    for_each: _ForEach | None = Field(
        default=None, description="Decide for each of these separately, as item.*"
    )
    when: str = Field(description="The condition, in CEL.")
    for_: Duration | None = Field(
        default=None,
        alias="for",
        description="True for this long, on two fresh readings of all it reads at least.",
    )
    action: dict[str, dict[str, Any] | None] = Field(
        min_length=1, max_length=1, description="The remedy and its arguments."
    )
    cooldown: Duration = Field(description="Between two operations of the remedy on a target.")
    limits: list[LimitModel] | None = Field(
        default=None,
        min_length=1,
        description="All of them must have room. Required, except for the action notify.",
    )
    verify: VerifyModel = Field(default_factory=VerifyModel)
    storm: StormModel = Field(default_factory=StormModel)
    breaker: BreakerModel = Field(default_factory=BreakerModel)
    windows: list[WindowModel] | None = Field(
        default=None, min_length=1, description="Act only within one of these. Absent: always."
    )
    block_on_alerts: list[_Matchers] | None = Field(
        default=None,
        min_length=1,
        description="Hold while an alert fires that fits one of these: Alertmanager's matchers, "
        "with $target and $labels.NAME for the target's name and labels.",
    )
    notify: Names | None = Field(
        default=None, description="The notifiers that are told how each operation ended."
    )


class PolicyFileModel(Strict):
    """A file of policies."""

    policies: list[PolicyModel] = Field(description="In the order in which they go first.")


EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "policies": "policies: and a list below it",
        "name": "name: re-register-missing-services",
        "when": "when: size(services.missing) > 0",
        "action": "action: {force-redeploy: {}}",
        "cooldown": "cooldown: 15m",
        "limits": "limits: [{scope: target, max: 3, per: 24h}]",
        "scope": "scope: target",
        "max": "max: 3",
        "per": "per: 24h",
        "failed": "failed: 2",
        "max_unhealthy": "max_unhealthy: 40%",
        "reset": "reset: manual",
        "windows": "windows: and a list of days, start, end and timezone",
        "days": "days: [mon, tue]",
        "start": 'start: "22:00"',
        "end": 'end: "05:00"',
        "timezone": "timezone: Europe/Berlin",
        "service": "service: Billing",
        "max_items": "max_items: 10",
        "block_on_alerts": """block_on_alerts: ['severity="critical", target="$target"']""",
        "notify": "notify: [ops]",
        "to": "to: [ops]",
    }
)
"""What to write for a key that is missing or empty."""


def keys_at(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that a mapping at this place of the file may have (actions have their own)."""
    shape = tuple(part for part in path if isinstance(part, str))
    models: dict[tuple[str, ...], type[Strict]] = {
        (): PolicyFileModel,
        ("policies",): PolicyModel,
        ("policies", "limits"): LimitModel,
        ("policies", "verify"): VerifyModel,
        ("policies", "windows"): WindowModel,
        ("policies", "breaker"): BreakerModel,
        ("policies", "storm"): StormModel,
        ("policies", "targets"): TargetsModel,
    }
    model = models.get(shape)
    fields = model.model_fields if model is not None else {}
    return tuple(field.alias or name for name, field in fields.items())
