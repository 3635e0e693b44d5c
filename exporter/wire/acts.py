"""A remedy that a person asks for, whichever one: what is sent, and the plan that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from exporter.model.operation import Plan
from exporter.model.redact import sanitise
from exporter.wire.body import Answer, Asked
from exporter.wire.operator import PlainName, RecoverOverride, RedeployOverride, ServiceUrl, Why

MOST_IDS = 1000
"""Invocations that one call may name."""
Override = (
    RedeployOverride | RecoverOverride | Literal["paused-by-person", "zombie", "journal-mismatch"]
)
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")]
_Ids = Annotated[list[_Id], Field(min_length=1, max_length=MOST_IDS, description="Invocations.")]


class Redeploy(Asked):
    """Without a URL it is the target's only worker."""

    url: ServiceUrl | None = None


class Cleanup(Asked):
    """Without a URL the deployment to keep is that of the target's only worker."""

    url: ServiceUrl | None = None
    max_items: Annotated[int, Field(ge=1, le=10_000)] = 10
    force_drain: bool = False
    max_kills: Annotated[int | None, Field(ge=1, le=10_000)] = None


class Recover(Asked):
    """A workflow and its key."""

    service_name: PlainName
    service_key: PlainName


class Resume(Asked):
    """Where they go on: ``keep``, ``latest``, or a deployment's id."""

    ids: _Ids
    deployment: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")] = "keep"


class Some(Asked):
    """The invocations that are meant, and no others."""

    ids: _Ids


class _Act(Asked):
    allow: Annotated[
        list[Override],
        Field(max_length=8, description="What would hurt and is wanted all the same."),
    ] = Field(default=[])
    reason: Why = None
    plan: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{16}$",
            description="The `id` of the plan that was shown: another one is refused.",
        ),
    ] = None


class RedeployAct(_Act):
    """Register a worker again."""

    remedy: Literal["force-redeploy"]
    arguments: Redeploy = Redeploy()


class CleanupAct(_Act):
    """Delete deployments that are the latest for nothing and have no work left."""

    remedy: Literal["cleanup-stale-deployments"]
    arguments: Cleanup = Cleanup()


class RecoverAct(_Act):
    """Free the key of a workflow whose run failed."""

    remedy: Literal["recover-stuck-workflow"]
    arguments: Recover


class ResumeAct(_Act):
    """Try paused invocations again."""

    remedy: Literal["resume-invocations"]
    arguments: Resume


class InvocationsAct(_Act):
    """End, forget or repeat invocations."""

    remedy: Literal[
        "cancel-invocations", "kill-invocations", "purge-invocations", "restart-invocations"
    ]
    arguments: Some


ActBody = Annotated[
    RedeployAct | CleanupAct | RecoverAct | ResumeAct | InvocationsAct,
    Field(discriminator="remedy"),
]


class PlanBody(Answer):
    """What would be done. ``id`` stands for exactly this."""

    id: str
    remedy: str
    target: str
    summary: str
    arguments: dict[str, Any]
    steps: list[str]
    items: list[str]
    before: dict[str, Any]
    allowed: list[str]


def arguments_of(body: ActBody) -> dict[str, Any]:
    """The arguments as the remedy takes them; what was not said is left to it."""
    given = body.arguments
    if isinstance(given, Recover):
        return {"serviceName": given.service_name, "serviceKey": given.service_key}
    said = given.model_dump(exclude_none=True)
    if isinstance(given, Cleanup) and not given.force_drain:
        said.pop("force_drain")
        said.pop("max_kills", None)
    return said


def act_json(remedy: str, arguments: Mapping[str, Any], **more: object) -> dict[str, Any]:
    """The body that asks for a remedy with these arguments: what ``arguments_of`` reads."""
    words = {"max_items": "maxItems", "force_drain": "forceDrain", "max_kills": "maxKills"}
    given = {words.get(name, name): value for name, value in arguments.items()}
    return {"remedy": remedy, "arguments": given, **{k: v for k, v in more.items() if v}}


def plan_body(plan: Plan) -> PlanBody:
    """A plan as it is shown, without secrets."""
    shown: dict[str, Any] = sanitise(
        {
            "remedy": plan.remedy,
            "target": plan.target,
            "summary": plan.summary,
            "arguments": plan.arguments,
            "steps": plan.steps,
            "items": plan.items,
            "before": plan.before,
            "allowed": plan.allowed,
        }
    )
    return PlanBody(id=plan.digest, **shown)
