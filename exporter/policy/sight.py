"""What conditions can see of a target: the values that are known, bound once for all of them.

The words of a component without a fresh reading are left out although findings have them:
``status == "unreachable"`` must not turn false, and so look healed, because nobody looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.model.component import Component, Status
from exporter.model.findings import Findings, Item
from exporter.policy.cel import REACHABLE, Condition, Outcome, bind, evaluate, evaluate_bound
from exporter.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class View:
    """The known values of a target, or of one item on it."""

    values: Mapping[str, Any]
    bound: Any
    """The same as CEL takes them. Lives for one round only: evaluations allocate in it."""

    def seen_by(self, condition: Condition) -> dict[str, Any]:
        """The values of a condition's own variables, those that are known."""
        values = self.values
        return {name: values[name] for name in condition.names if name in values}

    def judge(self, condition: Condition) -> Outcome:
        """Decide the condition on these values."""
        return evaluate_bound(condition, self.values, self.bound)


class Sight:
    """The views of one target's findings, each made when it is first asked for.

    Binding costs as much as there is to bind, so they show only what these conditions name.
    """

    def __init__(self, findings: Findings, conditions: Iterable[Condition]) -> None:
        self._findings = findings
        self._names = {name for condition in conditions for name in condition.names}
        self._values = self._named(known_values(findings))
        self._views: dict[tuple[str, str] | None, View] = {}

    def view(self, item: Item | None = None) -> View:
        """The view of the target, or of one item with the target behind it."""
        key = None if item is None else (item.kind, item.key)
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = self._make(item)
        return found

    def _make(self, item: Item | None) -> View:
        if item is None:
            return View(self._values, bind(None, self._values))
        values = self._values | self._named(_known_of(item, self._findings))
        return View(values, bind(item.kind, values))

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[name] for name in self._names if name in values}


def see(condition: Condition, findings: Findings, item: Item | None = None) -> dict[str, Any]:
    """The values of a condition's variables that are known now, for one look."""
    values = known_values(findings)
    if item is not None:
        values = {**values, **_known_of(item, findings)}
    return {name: values[name] for name in condition.names if name in values}


def holds(condition: Condition, findings: Findings, item: Item | None = None) -> Outcome:
    """Decide a condition once: true, false, unknown or failed."""
    return evaluate(condition, see(condition, findings, item))


def known_values(findings: Findings) -> Mapping[str, Any]:
    """The target's values without the words of components that have no fresh reading."""
    unsure = {
        f"{component}.{word}"
        for component, state in findings.components.items()
        if state.status is Status.UNKNOWN
        for word in ("status", "reason")
    }
    if not unsure:
        return findings.values
    return {name: value for name, value in findings.values.items() if name not in unsure}


def _known_of(item: Item, findings: Findings) -> Mapping[str, Any]:
    """The item's values; whether it is reachable only when discoveries are known at all."""
    drift = findings.components.get(Component.DRIFT)
    if REACHABLE not in item.values or (drift is not None and drift.status is Status.OK):
        return item.values
    return {name: value for name, value in item.values.items() if name != REACHABLE}


def still_wrong(policy: Policy, findings: Findings, item_key: str | None) -> bool:
    """Whether the condition holds or cannot be decided: what verification waits to see end.

    An item that has left a known list is not wrong any more.
    """
    if policy.for_each is None:
        return holds(policy.condition, findings) is not False
    if findings.items.get(policy.for_each) is None:
        return True
    item = item_of(policy, findings, item_key)
    if item is None:
        return False
    return holds(policy.condition, findings, item) is not False


def item_of(policy: Policy, findings: Findings, key: str | None) -> Item | None:
    """The item of the policy's kind with this key, if it is listed now."""
    items = findings.items.get(policy.for_each) if policy.for_each and key is not None else None
    return next((item for item in items or () if item.key == key), None)
