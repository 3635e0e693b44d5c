"""A loaded policy: checked, compiled and frozen. ``load`` makes them; ``decide`` follows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from exporter.model.decision import Mode
from exporter.model.findings import Item
from exporter.model.hold import HoldReason
from exporter.model.operation import Budget, PolicyRef, lock_of
from exporter.model.target import Target
from exporter.policy.actions import ACTIONS
from exporter.policy.blockers import Blocker
from exporter.policy.breaker import Breaker
from exporter.policy.cel import Condition
from exporter.policy.fields import ANY
from exporter.policy.storm import Storm
from exporter.policy.windows import DayWindow

_LOWER = MappingProxyType({(a, b): min(a, b, key=lambda m: m.rank) for a in Mode for b in Mode})
"""The lower of two modes."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which targets a policy is about: every given part must match, none given means all."""

    names: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, target: Target) -> bool:
        """Whether the target has one of the names and all of the labels."""
        if self.names and target.name not in self.names:
            return False
        return not self.labels or all(
            target.labels.get(name) == value for name, value in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class Verify:
    """By when the repair must show, and for how long it must then hold."""

    within: timedelta = timedelta(minutes=10)
    healthy_for: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy as decided on. Two are equal when they say the same, wherever they stand."""

    name: str
    mode: Mode
    condition: Condition
    action: str
    """The remedy's name."""
    arguments: Mapping[str, Any]
    """The remedy's validated arguments, only those that have a value; durations as timedelta."""
    budget: Budget
    """The cooldown and every limit, the ones over everything included."""
    selector: Selector = Selector()
    for_each: str | None = None
    for_: timedelta = timedelta(0)
    verify: Verify = Verify()
    storm: Storm = field(default_factory=Storm)
    breaker: Breaker = field(default_factory=Breaker)
    windows: tuple[DayWindow, ...] = ()
    """It acts only within one of these; none: always."""
    block_on_alerts: tuple[Blocker, ...] = ()
    """It does not act while an alert fires that fits one of these."""
    notify: tuple[str, ...] = ()
    """The notifiers that are told how each of its operations ended."""
    revision: str = ""
    """Short SHA-256 of what it says, without comments, layout and place."""
    text: str = field(default="", compare=False, repr=False)
    """How it is written, as JSON text, so that it can be read again (``load.reread``)."""
    place: str = field(default="", compare=False)
    """Where it begins: ``file:line:column``."""
    places: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )
    """Where its parts are, by dotted path such as ``verify.within``."""

    def matches(self, target: Target) -> bool:
        """Whether this policy is about the target."""
        return self.selector.matches(target)

    def at(self, path: str) -> str:
        """``file:line:column`` of a part, or of the nearest part around it that was written."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path.rpartition(".")[0]
        return self.place

    def concerns(self, item: Item) -> bool:
        """Whether an item is among what the action names: its services, its causes."""
        named, causes = self.arguments.get("service"), self.arguments.get("causes")
        if named is not None and named != (ANY,) and item.values.get("item.service") not in named:
            return False
        return causes is None or item.values.get("item.cause") in causes

    @property
    def together(self) -> int:
        """How many ready items of a target one operation may hold."""
        if self.for_each is None or not ACTIONS[self.action].several:
            return 1
        return int(self.arguments.get("max_items", 1))

    @property
    def mends(self) -> bool:
        """Whether its action writes to Restate, or only tells people."""
        return ACTIONS[self.action].mends

    @property
    def waives(self) -> frozenset[HoldReason]:
        """The gates that its action need not pass."""
        return ACTIONS[self.action].waives

    def mode_under(self, most: Mode) -> Mode:
        """The lower of its mode and ``max_mode``. Nobody needs to approve what mends nothing."""
        mode = _LOWER[self.mode, most]
        return Mode.ENFORCE if mode is Mode.APPROVE and not self.mends else mode

    def lock_on(self, target: str) -> str:
        """What its operation on the target locks."""
        return lock_of(target, mends=self.mends, policy=self.name)

    @property
    def ref(self) -> PolicyRef:
        """Its name and revision, for the ledger."""
        return PolicyRef(self.name, self.revision)
