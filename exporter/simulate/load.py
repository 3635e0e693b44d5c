"""Reads files of policy tests: every problem with its place, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.model.component import Component, Reason
from exporter.model.decision import Mode
from exporter.model.duration import parse_duration
from exporter.model.hold import HoldReason
from exporter.model.operation import Outcome
from exporter.model.variables import ITEM_KINDS, VARIABLES, ValueType, Variable
from exporter.policy.complaints import spell
from exporter.policy.document import Document, DocumentError, Mark, read_document
from exporter.policy.document import Path as Place
from exporter.policy.load import read_policies
from exporter.policy.policy import Policy
from exporter.policy.words import did_you_mean, listing
from exporter.policy.written import Written, line
from exporter.simulate.scenario import (
    MONDAY,
    ExpectedDecision,
    ExpectedOperation,
    Scenario,
    State,
)
from exporter.simulate.shapes import (
    EXAMPLES_OF_KEYS,
    DecisionModel,
    OperationModel,
    StepModel,
    TestFileModel,
    TestModel,
    keys_at,
)

MAX_BYTES = 1_000_000
MAX_ROUNDS = 100_000
"""Of one test: a week of rounds a minute is 10,080."""
_WORDS = ("clear", "act", *HoldReason)
_SPOKEN = {f"{c}.{word}" for c in Component for word in ("status", "reason", "age")}
_ITS_KEY = {"workers": "item.url", "deployments": "item.id"}
_KINDS: Mapping[ValueType, tuple[type | tuple[type, ...], str]] = {
    ValueType.STRING: (str, 'text, such as "yes"'),
    ValueType.INT: (int, "a whole number"),
    ValueType.BOOL: (bool, "true or false"),
    ValueType.DURATION: (str, "a duration such as 10m"),
    ValueType.STRINGS: (list, "a list of text, such as [Billing]"),
}


@dataclass(slots=True)
class Tests:
    """What a file gave."""

    __test__ = False

    scenarios: list[Scenario] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_tests(path: Path, name: str) -> Tests:
    """Read a file, and the policies that it names. It is called ``name`` in what is told."""
    try:
        text = path.read_bytes()[: MAX_BYTES + 1].decode("utf-8")
    except OSError as error:
        why = error.strerror or error
        return Tests(problems=[f"{name}:1:1: cannot be read: {why}; check the path and its rights"])
    except UnicodeDecodeError:
        return Tests(problems=[f"{name}:1:1: is not UTF-8; save it as UTF-8"])
    if len(text) > MAX_BYTES:
        return Tests(problems=[f"{name}:1:1: is larger than {MAX_BYTES} bytes; write several"])
    try:
        document = read_document(text)
    except DocumentError as error:
        return Tests(problems=[line(name, error.problem)])
    return _File(document, name, path.parent).read()


class _File:
    def __init__(self, document: Document, name: str, folder: Path) -> None:
        self._document = document
        self._written = Written(document, name)
        self._name = name
        self._folder = folder

    def read(self) -> Tests:
        model = self._model()
        if model is None or self._written.problems:
            return Tests(problems=self._written.lines())
        loaded = read_policies(model.policies, base=self._folder)
        for problem in loaded.problems:
            self._written.add(("policies",), problem)
        scenarios = [
            one
            for number, test in enumerate(model.tests)
            if (one := self._scenario(model, test, loaded.policies, ("tests", number)))
        ]
        if self._written.problems:
            return Tests(problems=self._written.lines())
        return Tests(scenarios)

    def _model(self) -> TestFileModel | None:
        data = self._document.data
        if not isinstance(data, dict):
            message = "a file of tests is a mapping; write policies: and tests:"
            self._written.add((), message, mark=Mark(1, 1))
            return None
        try:
            return TestFileModel.model_validate(data)
        except ValidationError as error:
            self._written.problems += [
                spell(one, self._document, keys=keys_at, examples=EXAMPLES_OF_KEYS)
                for one in error.errors(include_url=False)
            ]
            return None

    def _scenario(
        self, model: TestFileModel, test: TestModel, policies: tuple[Policy, ...], path: Place
    ) -> Scenario | None:
        states = tuple(self._states(test, path))
        length = sum((step.for_ for step in test.steps), timedelta(0))
        if length / model.interval > MAX_ROUNDS:
            message = f"has more than {MAX_ROUNDS} rounds; write a longer interval"
            self._written.add((*path, "steps"), message)
        mode = None if test.mode is None else Mode(test.mode)
        inner = (*path, "expect")
        operations = test.expect.operations
        return Scenario(
            name=test.name,
            file=self._name,
            place=self._written.place(path),
            target=test.target.name,
            labels=test.target.labels,
            policies=tuple(p if mode is None else replace(p, mode=mode) for p in policies),
            start=test.start or MONDAY,
            interval=model.interval,
            length=length,
            states=states,
            operations=None
            if operations is None
            else tuple(
                self._operation(one, policies, (*inner, "operations", number))
                for number, one in enumerate(operations)
            ),
            operations_place=self._written.place((*inner, "operations")),
            decisions=tuple(
                self._decision(one, policies, length, (*inner, "decisions", number))
                for number, one in enumerate(test.expect.decisions)
            ),
        )

    def _states(self, test: TestModel, path: Place) -> Iterator[State]:
        state, began = State(timedelta(0)), timedelta(0)
        for number, step in enumerate(test.steps):
            state = self._after(state, step, began, (*path, "steps", number))
            yield state
            began += step.for_

    def _after(self, before: State, step: StepModel, began: timedelta, path: Place) -> State:
        known = {variable.name: variable for variable in VARIABLES}
        values = self._aged(before.values, began - before.began)
        for name, value in step.values.items():
            inner = (*path, "values", name)
            values.pop(name, None)
            if name in _SPOKEN or name.startswith("target."):
                message = "is not set here; write components: or target:"
                self._written.add_key(inner, message)
            elif name not in known:
                self._unknown(inner, name, known, "a variable")
            elif value is not None:
                values |= self._value(known[name], value, inner)
        items = {
            kind: rows and {key: self._aged(row, began - before.began) for key, row in rows.items()}
            for kind, rows in before.items.items()
        }
        for kind, written in step.items.items():
            items |= self._items(kind, written, (*path, "items", kind))
        alerts = before.alerts if step.alerts is None else step.alerts
        others = step.others
        return State(
            began=began,
            values=values,
            items=items,
            failing=self._failing(before, step, path),
            alerts=None if alerts is None or alerts == "unknown" else tuple(alerts),
            others=before.others if others is None else (others.targets, others.affected),
            paused=before.paused if step.paused is None else step.paused,
        )

    def _aged(self, values: Mapping[str, Any], by: timedelta) -> dict[str, Any]:
        return {n: v + by if isinstance(v, timedelta) else v for n, v in values.items()}

    def _items(
        self, kind: str, written: Mapping[str, Mapping[str, Any]] | None, path: Place
    ) -> dict[str, Mapping[str, Mapping[str, Any]] | None]:
        if kind not in ITEM_KINDS:
            self._unknown(path, kind, ITEM_KINDS, "a kind of items")
            return {}
        if written is None:
            return {kind: None}
        fields = {one.name.removeprefix("item."): one for one in ITEM_KINDS[kind].fields}
        rows: dict[str, Mapping[str, Any]] = {}
        for key, given in written.items():
            row = dict(_by_key(kind, key))
            for name, value in given.items():
                inner = (*path, key, name)
                if name not in fields:
                    self._unknown(inner, name, fields, f"known of {kind}")
                elif value is not None:
                    row |= self._value(fields[name], value, inner)
            rows[key] = row
        return {kind: rows}

    def _value(self, variable: Variable, value: object, path: Place) -> dict[str, Any]:
        kind, mend = _KINDS[variable.type]
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if fits and isinstance(value, list):
            fits = all(isinstance(one, str) for one in value)
        if not fits:
            self._written.add(path, f"{value!r} is not what {variable.name} is; write {mend}")
            return {}
        if variable.type is ValueType.DURATION:
            try:
                return {variable.name: parse_duration(value)}
            except ValueError as error:
                self._written.add(path, str(error))
                return {}
        return {variable.name: value}

    def _failing(
        self, before: State, step: StepModel, path: Place
    ) -> Mapping[Component, Reason | None]:
        failing = dict(before.failing)
        for name, word in step.components.items():
            inner = (*path, "components", name)
            if name not in list(Component):
                self._unknown(inner, name, Component, "a component")
                continue
            failing.pop(Component(name), None)
            if word == "unknown":
                failing[Component(name)] = None
            elif word in list(Reason):
                failing[Component(name)] = Reason(word)
            elif word != "ok":
                known = ("ok", "unknown", *Reason)
                hint = did_you_mean(word, known) or f"; write {listing(known)}"
                self._written.add(inner, f"{word!r} is not how a component can be{hint}")
        return failing

    def _operation(
        self, one: OperationModel, policies: tuple[Policy, ...], path: Place
    ) -> ExpectedOperation:
        if one.policy is not None:
            self._policy(one.policy, policies, (*path, "policy"))
        outcome = None
        if one.outcome is not None and self._one_of(one.outcome, Outcome, (*path, "outcome")):
            outcome = Outcome(one.outcome)
        return ExpectedOperation(
            at=one.at,
            place=self._written.place(path),
            policy=one.policy,
            does=one.does,
            items=None if one.items is None else tuple(one.items),
            outcome=outcome,
        )

    def _decision(
        self, one: DecisionModel, policies: tuple[Policy, ...], length: timedelta, path: Place
    ) -> ExpectedDecision:
        self._one_of(one.decision, _WORDS, (*path, "decision"))
        if one.at > length:
            self._written.add((*path, "at"), "is after the last step; write an earlier time")
        policy = one.policy or (policies[0].name if len(policies) == 1 else "")
        if one.policy is not None:
            self._policy(one.policy, policies, (*path, "policy"))
        elif not policy and policies:
            names = listing(p.name for p in policies)
            self._written.add(path, f"says not which policy; write policy: {names}")
        return ExpectedDecision(one.at, self._written.place(path), policy, one.item, one.decision)

    def _policy(self, name: str, policies: tuple[Policy, ...], path: Place) -> None:
        self._one_of(name, [policy.name for policy in policies], path)

    def _one_of(self, word: str, known: Any, path: Place) -> bool:  # noqa: ANN401 - words
        words = [str(one) for one in known]
        if word not in words:
            hint = did_you_mean(word, words) or f"; write {listing(words)}"
            self._written.add(path, f"{word!r} is not known here{hint}")
        return word in words

    def _unknown(self, path: Place, name: str, known: Any, what: str) -> None:  # noqa: ANN401
        words = [str(one) for one in known]
        hint = did_you_mean(name, words) or f"; write {listing(words)}"
        self._written.add_key(path, f"{name!r} is not {what}{hint}")


def _by_key(kind: str, key: str) -> Mapping[str, Any]:
    """What an item's key says of it."""
    if kind == "workflows.failed":
        service, _, rest = key.partition("/")
        return {"item.service": service, "item.key": rest}
    return {_ITS_KEY.get(kind, "item.id"): key}
