"""From the steps of a test to what is so in each of them: what a step does not say stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from exporter.model.component import Component, Reason
from exporter.model.duration import parse_duration
from exporter.model.variables import ITEM_KINDS, VARIABLES, ValueType, Variable
from exporter.policy.document import Path as Place
from exporter.policy.written import Written
from exporter.simulate.hints import instead, unknown_key
from exporter.simulate.scenario import State
from exporter.simulate.shapes import StepModel
from exporter.simulate.spread import spread

_SPOKEN = {f"{c}.{word}" for c in Component for word in ("status", "reason", "age")}
SETTABLE = tuple(
    one for one in VARIABLES if one.name not in _SPOKEN and not one.name.startswith("target.")
)
"""The variables that a step may give a value; ``target`` and ``components`` give the others."""
_KNOWN = {variable.name: variable for variable in SETTABLE}
_ITS_KEY = {"workers": "item.url", "deployments": "item.id"}
_KINDS: Mapping[ValueType, tuple[type, str]] = {
    ValueType.STRING: (str, 'text, such as "yes"'),
    ValueType.INT: (int, "a whole number"),
    ValueType.BOOL: (bool, "true or false"),
    ValueType.DURATION: (str, "a duration such as 10m"),
    ValueType.STRINGS: (list, "a list of text, such as [Billing]"),
}
_MAX_STEPS = 10_000
"""Of one test, repetitions written out."""


class Steps:
    """The states of one test, and how long they last; what is wrong is noted."""

    def __init__(self, written: Written, steps: Sequence[StepModel], path: Place) -> None:
        self._written = written
        self.length = timedelta(0)
        self.states: tuple[State, ...] = tuple(self._states(steps, path))

    def _states(self, steps: Sequence[StepModel], path: Place) -> Iterator[State]:
        state = State(timedelta(0))
        for number, (step, inner) in enumerate(self._laid_out(steps, path)):
            if number >= _MAX_STEPS:
                self._written.add(path, f"are more than {_MAX_STEPS}; write fewer repetitions")
                return
            state = self._after(state, step, self.length, inner)
            yield state
            self.length += step.for_ or timedelta(0)

    def _laid_out(
        self, steps: Sequence[StepModel], path: Place
    ) -> Iterator[tuple[StepModel, Place]]:
        """The steps with all repetitions written out."""
        for number, step in enumerate(steps):
            inner = (*path, number)
            if step.repeat is None:
                if step.for_ is None:
                    self._written.add(inner, "says not how long; write for: 5m")
                if step.steps:
                    message = "needs how often; write repeat: 10 beside it"
                    self._written.add_key((*inner, "steps"), message)
                yield step, inner
                continue
            if not step.steps:
                message = "says not what; write steps: and a list of for, values and items"
                self._written.add_key((*inner, "repeat"), message)
            if others := step.model_fields_set - {"repeat", "steps"}:
                name = min(others).removesuffix("_")
                message = "does not go with repeat; write it in one of its steps"
                self._written.add_key((*inner, name), message)
            for _ in range(step.repeat):
                yield from self._laid_out(step.steps, (*inner, "steps"))

    def _after(self, before: State, step: StepModel, began: timedelta, path: Place) -> State:
        by = began - before.began
        alerts = before.alerts if step.alerts is None else step.alerts
        others = step.others
        if others is not None and others.affected > others.targets:
            message = f"is more than there are targets; write {others.targets} or less"
            self._written.add((*path, "others", "affected"), message)
        return State(
            began=began,
            values=self._values(before, step, by, path),
            items=self._all_items(before, step, by, path),
            failing=self._failing(before, step, path),
            alerts=None if alerts is None or alerts == "unknown" else tuple(alerts),
            others=before.others if others is None else (others.targets, others.affected),
            paused=before.paused if step.paused is None else step.paused,
        )

    def _values(self, before: State, step: StepModel, by: timedelta, path: Place) -> dict[str, Any]:
        values = _aged(before.values, by)
        for name, value in step.values.items():
            inner = (*path, "values", name)
            values.pop(name, None)
            if name.startswith("target."):
                self._written.add_key(inner, "is not set here; write target: beside steps:")
            elif name in _SPOKEN:
                message = f"is not set here; write components: {{{name.split('.')[0]}: timeout}}"
                self._written.add_key(inner, message)
            elif name not in _KNOWN:
                unknown_key(self._written, inner, name, _KNOWN, "a variable")
            elif value is not None:
                values |= self._value(_KNOWN[name], value, inner)
        return values

    def _all_items(
        self, before: State, step: StepModel, by: timedelta, path: Place
    ) -> dict[str, Mapping[str, Mapping[str, Any]] | None]:
        items = {
            kind: rows and {key: _aged(row, by) for key, row in rows.items()}
            for kind, rows in before.items.items()
        }
        for kind, written in step.items.items():
            inner = (*path, "items", kind)
            if kind not in ITEM_KINDS:
                unknown_key(self._written, inner, kind, ITEM_KINDS, "a kind of items")
            else:
                items[kind] = None if written is None else self._rows(kind, written, inner)
        return items

    def _rows(
        self, kind: str, written: Mapping[str, Mapping[str, Any]], path: Place
    ) -> dict[str, Mapping[str, Any]]:
        rows: dict[str, Mapping[str, Any]] = {}
        for key, given in written.items():
            row = self._row(kind, given, (*path, key))
            try:
                keys = spread(key)
            except ValueError as error:
                self._written.add_key((*path, key), str(error))
                continue
            for one in keys:
                if one in rows:
                    self._written.add_key((*path, key), f"names {one!r} again; write it once")
                rows[one] = {**_by_key(kind, one), **row}
        return rows

    def _row(self, kind: str, given: Mapping[str, Any], path: Place) -> dict[str, Any]:
        fields = {one.name.removeprefix("item."): one for one in ITEM_KINDS[kind].fields}
        row: dict[str, Any] = {}
        for name, value in given.items():
            inner = (*path, name)
            if name not in fields:
                unknown_key(self._written, inner, name, fields, f"known of {kind}")
            elif value is not None:
                row |= self._value(fields[name], value, inner)
        return row

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
                unknown_key(self._written, inner, name, Component, "a component")
                continue
            failing.pop(Component(name), None)
            if word == "unknown":
                failing[Component(name)] = None
            elif word in list(Reason):
                failing[Component(name)] = Reason(word)
            elif word != "ok":
                hint = instead(word, ("ok", "unknown", *Reason))
                self._written.add(inner, f"{word!r} is not how a component can be{hint}")
        return failing


def _aged(values: Mapping[str, Any], by: timedelta) -> dict[str, Any]:
    return {n: v + by if isinstance(v, timedelta) else v for n, v in values.items()}


def _by_key(kind: str, key: str) -> Mapping[str, Any]:
    """What an item's key says of it."""
    if kind == "workflows.failed":
        service, _, rest = key.partition("/")
        return {"item.service": service, "item.key": rest}
    return {_ITS_KEY.get(kind, "item.id"): key}
