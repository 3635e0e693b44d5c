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
from exporter.policy.fields import Duration, Period, Strict
from exporter.policy.words import did_you_mean, listing

UNBUILT_KEYS = frozenset({"storm", "breaker", "windows", "block_on_alerts", "notify"})
"""Keys of a policy that are designed, but refused until they are built."""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=253)]
_Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=63)
]
_Mode = Literal["off", "observe", "enforce"]


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
        description="off; observe: rehearse only; enforce: act. The lower of it and max_mode wins.",
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
    limits: list[LimitModel] = Field(min_length=1, description="All of them must have room.")
    verify: VerifyModel = Field(default_factory=VerifyModel)


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
        "service": "service: Billing",
        "max_items": "max_items: 10",
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
        ("policies", "targets"): TargetsModel,
    }
    model = models.get(shape)
    fields = model.model_fields if model is not None else {}
    return tuple(field.alias or name for name, field in fields.items())
