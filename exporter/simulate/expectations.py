"""From what a test expects, as it is written, to what is compared; what is wrong is noted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from exporter.model.duration import format_duration
from exporter.model.hold import HoldReason
from exporter.model.operation import Outcome
from exporter.policy.document import Path as Place
from exporter.policy.policy import Policy
from exporter.policy.words import listing
from exporter.policy.written import Written
from exporter.simulate.hints import instead, one_of
from exporter.simulate.scenario import ExpectedDecision, ExpectedOperation, State
from exporter.simulate.shapes import DecisionModel, OperationModel
from exporter.simulate.spread import spread

WORDS = ("clear", "act", *HoldReason)
"""How a decision may be called."""


class Expectations:
    """Reads what one test expects, against the policies and the states that it has.

    ``states`` None: something is wrong with them, so that nobody knows the items.
    """

    def __init__(
        self,
        written: Written,
        policies: Sequence[Policy],
        states: Sequence[State] | None,
        *,
        start: datetime,
        length: timedelta,
    ) -> None:
        self._written = written
        self._policies = {policy.name: policy for policy in policies}
        self._states = states
        self._start = start
        self._length = length

    def operation(self, one: OperationModel, path: Place) -> ExpectedOperation:
        """One operation that must begin."""
        about = tuple(self._policies.values())
        if one.policy is not None:
            self._known(one.policy, (*path, "policy"))
            about = tuple(p for p in about if p.name == one.policy)
        outcome = None
        if one.outcome is not None and one_of(
            self._written, one.outcome, Outcome, (*path, "outcome")
        ):
            outcome = Outcome(one.outcome)
        return ExpectedOperation(
            at=self._since_start(one.at, (*path, "at")),
            place=self._written.place(path),
            policy=one.policy,
            does=one.does,
            items=None if one.items is None else self._items(one.items, about, (*path, "items")),
            outcome=outcome,
        )

    def decision(self, one: DecisionModel, path: Place) -> ExpectedDecision:
        """How one thing must stand at a moment."""
        one_of(self._written, one.decision, WORDS, (*path, "decision"))
        name = one.policy or next(iter(self._policies), "")
        if one.policy is not None:
            self._known(one.policy, (*path, "policy"))
        elif len(self._policies) > 1:
            self._written.add(
                path, f"says not which policy; write policy: {listing(self._policies)}"
            )
        if one.item is not None:
            about = tuple(p for p in self._policies.values() if p.name == name)
            self._listed(one.item, about, (*path, "item"))
        at = self._since_start(one.at, (*path, "at"))
        return ExpectedDecision(at, self._written.place(path), name, one.item, one.decision)

    def _since_start(self, at: timedelta | datetime, path: Place) -> timedelta:
        since = at if isinstance(at, timedelta) else at - self._start
        if since < timedelta(0):
            first = self._start.isoformat()
            self._written.add(path, f"is before the test begins; write {first} or later")
        elif since > self._length:
            last = format_duration(self._length, 4)
            self._written.add(path, f"is after the last step; write {last} or less")
        return since

    def _items(
        self, written: Sequence[str], about: Sequence[Policy], path: Place
    ) -> tuple[str, ...]:
        items: list[str] = []
        for number, text in enumerate(written):
            try:
                keys = spread(text)
            except ValueError as error:
                self._written.add((*path, number), str(error))
                continue
            for key in keys:
                if not self._listed(key, about, (*path, number)):
                    break
            items += keys
        return tuple(items)

    def _listed(self, item: str, about: Sequence[Policy], path: Place) -> bool:
        """Whether some step lists it: a misspelt item would never be anything but clear."""
        if not about or self._states is None:
            return True
        kinds = [policy.for_each for policy in about if policy.for_each]
        keys = {
            key for state in self._states for kind in kinds for key in state.items.get(kind) or ()
        }
        if item in keys:
            return True
        if not kinds:
            hint = "; leave item out, the policy has no for_each"
        elif not keys:
            hint = f"; write it below items: {kinds[0]}: in a step"
        else:
            hint = instead(item, sorted(keys)[:10])
        self._written.add(path, f"{item!r} is in no step{hint}")
        return False

    def _known(self, name: str, path: Place) -> None:
        one_of(self._written, name, self._policies, path)
