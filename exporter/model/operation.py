"""One audited attempt, from the request to its outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from exporter.model.decision import Mode

Source = Literal["policy", "api", "cli"]


class Phase(StrEnum):
    """How far an open operation is. ``proposed`` waits for approval and locks nothing."""

    PROPOSED = "proposed"
    RESERVED = "reserved"
    ACTING = "acting"
    ACTED = "acted"
    VERIFYING = "verifying"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How an operation ended."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    PARTIAL = "partial"
    NOTHING_TO_DO = "nothing_to_do"
    REFUSED = "refused"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"
    INTERRUPTED = "interrupted"
    OBSERVED = "observed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over the ledger: at most ``max`` operations within ``per``.

    ``per`` is None for ever. ``scope`` says what the operations are counted by.
    """

    scope: Literal["item", "target", "policy", "global"]
    max: int
    per: timedelta | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a policy's operation must fit in, checked again in the transaction that reserves it."""

    cooldown: timedelta
    windows: tuple[Window, ...] = ()
    own_cooldown: bool = False
    """Whether only this policy's operations on the target start the cooldown, not its remedy's."""


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Which policy, and which text of it (a short hash of its canonical form)."""

    name: str
    revision: str


def lock_of(target: str, *, mends: bool, policy: str | None) -> str:
    """The target; of what only tells people about it, that one policy on the target."""
    return target if mends or policy is None else f"{target}/{policy}"


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants a remedy on a target: a policy's decision, or a person's command."""

    target: str
    remedy: str
    arguments: Mapping[str, Any]
    source: Source
    actor: str
    """``policy:NAME``, a key's name, or the operating system's user."""
    mode: Mode = Mode.ENFORCE
    policy: PolicyRef | None = None
    items: tuple[str, ...] = ()
    """Keys of the items it was decided for, oldest first; empty without ``for_each``."""
    item_values: Mapping[str, Any] = field(default_factory=dict)
    """The item's own values (``item.url`` ...), for remedies that take their object from it."""
    each_item: tuple[Mapping[str, Any], ...] = ()
    """The values of every item, in the order of ``items``: an operation may hold several."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the condition saw."""
    reason: str = ""
    """Why, in a person's words (``--reason``, ``X-Reason``)."""
    allow: frozenset[str] = frozenset()
    """Named overrides of refusals, recorded. Never set by a policy."""
    budget: Budget | None = None
    """A policy's limits. A person's operation has none."""
    request_id: str | None = None
    proposal: str | None = None
    """The operation that a person approved, which this is to carry out."""
    role: str | None = None
    """Of the key that a person came with, at that time."""
    route: str | None = None
    """The route of the HTTP interface that they came through."""
    asked_at: datetime | None = None
    """When they asked; the operation itself begins once its preflight is through."""
    true_since: datetime | None = None
    """Since when a policy's condition has been true: where the time to heal begins."""
    mends: bool = True
    """Whether it may write to Restate: then it locks the target, and limits count it."""

    @property
    def by_person(self) -> bool:
        """Whether a person asked: the same preflight, lock and ledger, but no policy budget."""
        return self.source != "policy"

    @property
    def lock(self) -> str:
        """What no two operations may hold at once (``lock_of``)."""
        policy = self.policy.name if self.policy else None
        return lock_of(self.target, mends=self.mends, policy=policy)


@dataclass(frozen=True, slots=True)
class Fence:
    """Who acts for a shard of the targets, and since which change of hands."""

    shard: str
    holder: str
    epoch: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item of a request that its plan leaves alone: the bounded word, and a sentence."""

    key: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A remedy with its exact arguments and what it rests on. JSON throughout.

    A URL in it may carry user info, which Restate needs: who shows or stores a plan sanitises it.
    """

    remedy: str
    target: str
    summary: str
    """One sentence: what will be done."""
    arguments: Mapping[str, Any]
    """The exact arguments, resolved: the URL, the ids."""
    rests_on: Mapping[str, Any] = field(default_factory=dict)
    """Facts that are read again right before each write; a difference refuses."""
    items: tuple[str, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    """What was there before."""
    steps: tuple[str, ...] = ()
    """The writes, in order, as a person would read them."""
    allowed: tuple[str, ...] = ()
    """Overrides that were needed and given."""
    left_out: tuple[LeftOut, ...] = ()
    """Items of the request that are not in ``items``; each waits as after a refusal of its own."""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits for what a person says yes to, and where."""
        said = [self.target, self.remedy, dict(self.arguments), self.steps, self.allowed]
        text = json.dumps(said, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


HELPED = frozenset({Outcome.VERIFIED, Outcome.PARTIAL})
"""Outcomes of what was seen to help; a ``partial`` one with an error was stopped before that."""
NOT_DONE = frozenset({"skipped", "failed", "indeterminate"})
"""What an item's outcome is called when what was wanted was not done, or nobody knows."""


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one item of an operation."""

    key: str
    outcome: str
    detail: str = ""

    @property
    def done(self) -> bool:
        """Whether what was wanted was done."""
        return self.outcome not in NOT_DONE


@dataclass(frozen=True, slots=True)
class ActResult:
    """What a remedy's writes did. ``nothing_to_do`` when none was needed."""

    after: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[ItemOutcome, ...] = ()
    nothing_to_do: bool = False
    partial: bool = False
    failed: str = ""
    """Why it counts as failed although it came to its end: a sentence."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the ledger's ``operations``."""

    id: str
    target: str
    remedy: str
    source: Source
    actor: str
    mode: Mode
    phase: Phase
    created_at: datetime
    arguments: Mapping[str, Any]
    policy: PolicyRef | None = None
    items: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    allowed: tuple[str, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    owner: str | None = None
    lease_until: datetime | None = None
    acted_at: datetime | None = None
    """When its last write was done; verification reads only what began after this."""
    partial: bool = False
    """Whether its writes left some items out (``ActResult.partial``), for whoever verifies it."""
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    error: str | None = None
    request_id: str | None = None
    approved_by: str | None = None
    """Who said yes to it, if it waited for a person."""
    approved_at: datetime | None = None
    relapsed_at: datetime | None = None
    """When a later reading showed that its success did not last; its outcome stays what it was."""
    role: str | None = None
    route: str | None = None
    asked_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.outcome is None


@dataclass(frozen=True, slots=True)
class Usage:
    """The moments of earlier operations that a policy's budget counts, and the last of its remedy.

    Moments are aware UTC, each tuple oldest first. Only operations of the same mode are in it:
    rehearsals have budgets of their own.
    """

    item: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)
    """By item key, for (target, remedy)."""
    target: tuple[datetime, ...] = ()
    """For (target, remedy), every policy's."""
    policy: tuple[datetime, ...] = ()
    """For this policy, every target's."""
    everything: tuple[datetime, ...] = ()
    last: datetime | None = None
    """The last operation of this remedy on this target, a person's included: the cooldown."""
    own: datetime | None = None
    """The last operation of this policy on this target, for a cooldown of its own."""
