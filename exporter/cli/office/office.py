"""What commands ask for, whoever carries it out. Answers are the bodies that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from exporter.model.errors import ConfigurationError
from exporter.model.operation import Outcome, Phase
from exporter.model.orders import BreakerName, PauseScope
from exporter.wire.acts import PlanBody
from exporter.wire.operation import OperationBody, OperationDetail
from exporter.wire.orders import BreakerBody, PauseBody


@dataclass(frozen=True, slots=True)
class Where:
    """Whom a command talks to: the daemon at ``url``, or without one the configuration's ledger."""

    config_file: Path | None = None
    url: str | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        """ConfigurationError for a key that would be shown to nobody."""
        if self.key_file is not None and self.url is None:
            raise ConfigurationError(["--key-file is for a daemon: name it with --url"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A remedy that a person asks for. Without a target it is the only one there is."""

    target: str | None
    remedy: str
    arguments: Mapping[str, Any]
    reason: str
    allow: frozenset[str]


class Deeds(Protocol):
    """Shows plans and carries them out."""

    async def plan(self, deed: Deed) -> PlanBody:
        """What would be done. RefusedError says why nothing would."""
        ...

    async def carry_out(self, deed: Deed, plan_id: str | None) -> OperationBody:
        """Do it, and return the closed operation. With a plan's id only exactly that plan."""
        ...

    async def under_way(self, deed: Deed) -> str:
        """How far what runs on the target has come, in a few words; empty when nothing does."""
        ...


class Orders(Protocol):
    """Gives orders that outlive the command, and lists what there is."""

    async def pauses(self) -> tuple[PauseBody, ...]:
        """Those in force, oldest first."""
        ...

    async def pause(
        self, scope: PauseScope, name: str, *, reason: str, lasts: timedelta | None
    ) -> PauseBody:
        """Let policies rest."""
        ...

    async def lift(self, pause_id: int) -> PauseBody:
        """Lift one pause. NotFoundError."""
        ...

    async def lift_all(self, scope: PauseScope, name: str) -> tuple[PauseBody, ...]:
        """Lift every pause of this scope and name. NotFoundError."""
        ...

    async def waiting(self) -> tuple[OperationBody, ...]:
        """The plans that wait for a person or for the daemon, oldest first."""
        ...

    async def operation(self, name: str) -> OperationDetail:
        """One operation by its id, or how it begins. NotFoundError, AmbiguousError."""
        ...

    async def operations(
        self,
        *,
        target: str | None,
        policy: str | None,
        remedy: str | None,
        outcome: Outcome | None,
        phase: Phase | None = None,
        limit: int,
    ) -> tuple[OperationBody, ...]:
        """Newest first."""
        ...

    async def approve(self, name: str, *, reason: str) -> OperationBody:
        """Say yes to a plan. RefusedError when it waits no more."""
        ...

    async def reject(self, name: str, *, reason: str) -> OperationBody:
        """Say no to a plan. RefusedError when it waits no more."""
        ...

    async def breakers(self) -> tuple[BreakerBody, ...]:
        """Those that are open."""
        ...

    async def reset(self, breaker: BreakerName, *, reason: str) -> bool:
        """Close a breaker. False when nothing had failed."""
        ...
