"""The remedies a policy may name, and the arguments each takes in YAML.

What they do is in ``remedies``; which of them a target supports, its backend says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from pydantic import Field

from exporter.policy.fields import Duration, Strict, WorkerUrl

NOT_BUILT = "is not built yet in this version"


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


class NoArguments(Strict):
    """A remedy whose arguments are not designed in detail yet."""


@dataclass(frozen=True, slots=True)
class Action:
    """One remedy as policies see it."""

    arguments: type[Strict]
    built: bool
    for_each: frozenset[str | None]
    """The ``for_each`` kinds it can work with; None when it may go without."""
    unbuilt_arguments: frozenset[str] = frozenset()
    """Arguments of the design that are refused until they are built."""

    @property
    def takes_worker(self) -> bool:
        """Whether it works on one worker's URL, which must be known from somewhere."""
        return "url" in self.arguments.model_fields


_WORKER = frozenset({"workers", None})
_INVOCATIONS = frozenset(
    {"invocations.paused", "invocations.retrying", "invocations.zombies", "invocations.completed"}
)

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "force-redeploy": Action(ForceRedeploy, built=True, for_each=_WORKER),
        "cleanup-stale-deployments": Action(
            CleanupStaleDeployments,
            built=True,
            for_each=_WORKER,
            unbuilt_arguments=frozenset({"force_drain", "max_kills"}),
        ),
        "recover-stuck-workflow": Action(
            NoArguments, built=False, for_each=frozenset({"workflows.failed"})
        ),
        **{
            f"{verb}-invocations": Action(NoArguments, built=False, for_each=_INVOCATIONS)
            for verb in ("resume", "cancel", "kill", "purge", "restart")
        },
        "notify": Action(NoArguments, built=False, for_each=frozenset({None})),
    }
)
"""By the name that stands under ``action``."""

BUILT_ACTIONS = tuple(name for name, action in ACTIONS.items() if action.built)
