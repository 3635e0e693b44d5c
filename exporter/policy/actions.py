"""The remedies a policy may name, and the arguments each takes in YAML.

What they do is in ``remedies``; which of them a target supports, its backend says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from exporter.model.decision import Mode
from exporter.model.hold import HoldReason
from exporter.model.variables import ITEM_KINDS
from exporter.model.views import Cause
from exporter.policy.fields import ANY, Duration, Names, Services, Strict, WorkerUrl


class ForceRedeploy(Strict):
    """Register a worker again, so that Restate sees what it serves now."""

    url: WorkerUrl | None = Field(
        default=None,
        description="The worker; without it the item's under for_each, or the target's only one.",
    )
    stable_for: Duration = Field(
        default=timedelta(seconds=30),
        description="Two dry-run discoveries this far apart must agree.",
    )


class CleanupStaleDeployments(Strict):
    """Delete drained deployments that are the latest for nothing."""

    url: WorkerUrl | None = Field(
        default=None,
        description="The worker whose deployment stays; without it the item's, or the only one.",
    )
    drained_for: Duration = Field(
        default=timedelta(hours=24),
        description="Only deployments that have been seen drained for this long.",
    )
    max_items: int = Field(
        default=10, ge=1, le=1000, description="Delete at most this many in one operation."
    )
    force_drain: bool | None = Field(
        default=None,
        description="Kill what is pinned to a dead endpoint, so that it drains; approve at most.",
    )
    max_kills: int | None = Field(
        default=None, ge=1, le=1000, description="With force_drain: kill at most this many."
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.force_drain and self.max_kills is None:
            raise ValueError("force_drain kills invocations; write max_kills beside it")
        return self


_SERVICES = Field(
    description="Only of this service, or of these; any leaves each action to a person (approve)."
)
_MAX_ITEMS = Field(
    ge=1, le=100, description="At most this many in one operation, those that waited longest first."
)
_ACCEPT_RISK = Field(
    default=False,
    description="Without it the policy may only propose: what this does cannot be taken back.",
)


class RecoverStuckWorkflow(Strict):
    """Purge the failed run of a workflow key and what it left, so that the key can run again."""

    service: Services = _SERVICES
    causes: list[Cause] = Field(
        default=["error"],
        min_length=1,
        description="Why the run failed. Killed and cancelled ones are somebody's decision.",
    )
    max_items: int = Field(
        default=1, ge=1, le=100, description="At most this many keys in one operation."
    )


class ResumeInvocations(Strict):
    """Resume what is paused because its retries were used up: one first, then the others."""

    service: Services = _SERVICES
    max_items: int = _MAX_ITEMS
    deployment: Literal["keep", "latest"] = Field(
        default="keep",
        description="Go on with the code it began with, or with the latest, which must fit.",
    )


class CancelInvocations(Strict):
    """Ask invocations to end; their code may compensate."""

    service: Services = _SERVICES
    max_items: int = _MAX_ITEMS


class KillInvocations(Strict):
    """End invocations and their children at once, without compensation."""

    service: Services = _SERVICES
    max_items: int = _MAX_ITEMS
    accept_risk: bool = _ACCEPT_RISK


class PurgeInvocations(Strict):
    """Forget completed invocations, and with a workflow's run its state."""

    service: Services = _SERVICES
    max_items: int = _MAX_ITEMS
    accept_risk: bool = _ACCEPT_RISK


class RestartInvocations(Strict):
    """Run completed invocations again from their start, as new ones."""

    service: Services = _SERVICES
    max_items: int = _MAX_ITEMS
    accept_risk: bool = _ACCEPT_RISK


class Notify(Strict):
    """Tell people, and touch nothing. All that holds it back is its cooldown, on each target."""

    to: Names | None = Field(
        default=None, description="The notifiers to tell; without it all that are configured."
    )
    message: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="What to say beside what the condition saw: where to look, what to do.",
    )
    max_items: int = Field(
        default=20, ge=1, le=100, description="With for_each: name at most this many items."
    )


@dataclass(frozen=True, slots=True)
class Action:
    """One remedy as policies see it."""

    arguments: type[Strict]
    for_each: frozenset[str | None]
    """The ``for_each`` kinds it can work with; None when it may go without."""
    several: bool = False
    """Whether one operation may hold several items of ``for_each``, up to ``max_items``."""
    mends: bool = True
    """Whether it writes to Restate. What does not locks no target and spends no limit."""

    item_stays: bool = False
    """Whether what it acted on stays as it was: no later reading tells that it is done. Then the
    condition is not asked again, and only a limit keeps it from being done twice."""

    @property
    def waives(self) -> frozenset[HoldReason]:
        """The gates that only keep Restate from harm, for what does it none."""
        return _NOTHING if self.mends else _KEEP_FROM_HARM

    @property
    def takes_worker(self) -> bool:
        """Whether it works on one worker's URL, which must be known from somewhere."""
        return "url" in self.arguments.model_fields


NEEDS_MENDING = ("limits", "storm", "breaker", "verify", "notify", "block_on_alerts")
"""Keys of a policy that say nothing about an action that mends nothing."""
_KEEP_FROM_HARM = frozenset(
    {
        HoldReason.MANUAL_HOLD,
        HoldReason.IDENTITY_CHANGED,
        HoldReason.FROZEN,
        HoldReason.BREAKER_OPEN,
        HoldReason.STORM,
        HoldReason.ALERTS_UNKNOWN,
        HoldReason.ALERT_FIRING,
        HoldReason.SILENCED,
        HoldReason.LIMIT_ITEM,
        HoldReason.LIMIT_TARGET,
        HoldReason.LIMIT_POLICY,
        HoldReason.LIMIT_GLOBAL,
    }
)
_NOTHING: frozenset[HoldReason] = frozenset()
_WORKER = frozenset({"workers", None})
_ACTIVE = frozenset({"invocations.paused", "invocations.retrying", "invocations.zombies"})
_COMPLETED = frozenset({"invocations.completed"})

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "force-redeploy": Action(ForceRedeploy, for_each=_WORKER),
        "cleanup-stale-deployments": Action(
            CleanupStaleDeployments,
            for_each=_WORKER,
        ),
        "recover-stuck-workflow": Action(
            RecoverStuckWorkflow,
            for_each=frozenset({"workflows.failed"}),
            several=True,
        ),
        "resume-invocations": Action(
            ResumeInvocations,
            for_each=frozenset({"invocations.paused"}),
            several=True,
        ),
        "cancel-invocations": Action(CancelInvocations, for_each=_ACTIVE, several=True),
        "kill-invocations": Action(KillInvocations, for_each=_ACTIVE, several=True),
        "purge-invocations": Action(PurgeInvocations, for_each=_COMPLETED, several=True),
        "restart-invocations": Action(
            RestartInvocations, for_each=_COMPLETED, several=True, item_stays=True
        ),
        "notify": Action(
            Notify,
            for_each=frozenset({None, *ITEM_KINDS}),
            several=True,
            mends=False,
        ),
    }
)
"""By the name that stands under ``action``."""


def highest_mode(name: str, arguments: Mapping[str, Any]) -> tuple[Mode, str]:
    """How far a policy with this action may go, and what to write to let it go further.

    What ends work for good, and what is aimed at no service in particular, a person approves.
    """
    if "accept_risk" in ACTIONS[name].arguments.model_fields and not arguments.get("accept_risk"):
        return Mode.APPROVE, "add accept_risk: true"
    if arguments.get("force_drain"):
        return Mode.APPROVE, "leave force_drain out"
    if arguments.get("service") == (ANY,):
        return Mode.APPROVE, "name the services"
    return Mode.ENFORCE, ""
