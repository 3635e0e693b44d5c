"""From a document to policies: every problem with its place, then frozen policies.

Each part is checked by itself, so that one mistake does not hide another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from fractions import Fraction
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from exporter.model.decision import Mode
from exporter.model.operation import Budget, Window
from exporter.model.redact import redact_text
from exporter.model.variables import ITEM_KINDS
from exporter.policy.actions import (
    ACTIONS,
    NEEDS_MENDING,
    highest_mode,
)
from exporter.policy.blockers import Blocker, read_blocker
from exporter.policy.breaker import Breaker
from exporter.policy.cel import Condition, compile_condition
from exporter.policy.cel_errors import ConditionError
from exporter.policy.complaints import spell, where
from exporter.policy.document import Document, Mark, Path, Problem
from exporter.policy.fields import FOREVER, MIDNIGHT
from exporter.policy.matchers import MatcherError
from exporter.policy.policy import Policy, Selector, Verify
from exporter.policy.schema import (
    EXAMPLES,
    BreakerModel,
    PolicyFileModel,
    PolicyModel,
    StormModel,
    WindowModel,
)
from exporter.policy.storm import Storm
from exporter.policy.windows import DAYS, DayWindow
from exporter.policy.words import did_you_mean, listing

_ONCE = "{scope: item, max: 1, per: forever}"
MAX_PROBLEMS = 100
"""In one file; what lies beyond is counted."""


@dataclass(slots=True)
class Parsed:
    """What one file gave."""

    policies: list[Policy] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse(document: Document, file: str, limits: tuple[Window, ...] = ()) -> Parsed:
    """Check a document and make its policies; ``limits`` are the ones over everything."""
    return _Parser(document, file, limits).parse()


def line(file: str, problem: Problem) -> str:
    """One line for a person: place, path, what is wrong and the mend; free of secrets."""
    path = where(problem.path)
    about = f"{path}: " if path else ""
    place = f"{file}:{problem.mark.line}:{problem.mark.column}"
    return f"{place}: {redact_text(about + ' '.join(problem.message.split()))}"


class _Parser:
    def __init__(self, document: Document, file: str, limits: tuple[Window, ...]) -> None:
        self._document = document
        self._file = file
        self._limits = limits
        self._problems = list(document.problems)

    def parse(self) -> Parsed:
        data = self._document.data
        result = Parsed()
        if data is None or data in ({"policies": None}, {"policies": []}):
            result.notes.append(f"{self._file}: has no policies")
        elif not isinstance(data, dict):
            message = "a policy file is a mapping; write policies: and a list below it"
            self._add(Mark(1, 1), (), message)
        else:
            result.policies = self._file_of(data)
        problems = sorted(set(self._problems))
        result.problems = [line(self._file, p) for p in problems[:MAX_PROBLEMS]]
        if rest := problems[MAX_PROBLEMS:]:
            more = Problem(rest[0].mark, (), f"{len(rest)} more problems from here on")
            result.problems.append(line(self._file, more))
        return result

    def _file_of(self, data: dict[str, Any]) -> list[Policy]:
        model: PolicyFileModel | None = None
        try:
            model = PolicyFileModel.model_validate(data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._problems.append(spell(detail, self._document))
        self._empty_values()
        rows = data.get("policies")
        policies = []
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            if isinstance(row, dict):
                path: Path = ("policies", index)
                condition, arguments = self._condition(row, path), self._arguments(row, path)
                self._check_limits(row, path)
                blockers = self._blockers(row, path)
                if model is not None and condition is not None and arguments is not None:
                    policy = self._policy(model.policies[index], condition, arguments, path)
                    policies.append(replace(policy, block_on_alerts=blockers))
        return policies

    def _empty_values(self) -> None:
        """A key without a value is a mistake: ``targets:`` alone must not mean all of them."""
        said = {problem.path for problem in self._problems}
        for path, node in self._document.scalars.items():
            takes_none = len(path) == 4 and path[2] == "action"  # noqa: PLR2004 - its arguments
            if str(node.tag).endswith(":null") and path not in said and not takes_none:
                self._add_key(path, "is empty; write a value, or leave it out")

    def _condition(self, row: dict[str, Any], path: Path) -> Condition | None:
        source, for_each = row.get("when"), row.get("for_each")
        known = for_each is None or (isinstance(for_each, str) and for_each in ITEM_KINDS)
        if not isinstance(source, str) or not known:
            return None
        inner = (*path, "when")
        try:
            return compile_condition(source, for_each)
        except ConditionError as error:
            for complaint in error.complaints:
                mark = self._document.inside(inner, complaint.offset)
                self._add(mark, inner, complaint.message)
            return None

    def _arguments(self, row: dict[str, Any], path: Path) -> dict[str, Any] | None:
        written = row.get("action")
        if not isinstance(written, dict) or len(written) != 1:
            return None
        name, given = next(iter(written.items()))
        inner = (*path, "action", name)
        action = ACTIONS.get(name)
        if action is None:
            hint = did_you_mean(name, ACTIONS) or f"; write {listing(ACTIONS)}"
            self._add_key(inner, f"{name!r} is not an action{hint}")
            return None
        self._check_for_each(row, path, name)
        if not action.mends:
            self._check_tells_only(row, path, name)
        if not isinstance(given, (dict, type(None))):
            return None
        try:
            model = action.arguments.model_validate(given or {})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._problems.append(spell(detail, self._document, inner))
            return None
        arguments = model.model_dump(exclude_none=True)
        self._check_mode(row, path, name, arguments)
        return arguments

    def _check_mode(
        self, row: dict[str, Any], path: Path, name: str, arguments: Mapping[str, Any]
    ) -> None:
        most, mend = highest_mode(name, arguments)
        mode = row.get("mode")
        if isinstance(mode, str) and mode in set(Mode) and Mode(mode).rank > most.rank:
            inner = (*path, "mode")
            message = f"{mode} is more than {name} may have like this, which is {most} at most"
            mend = f"; {mend}, or write {most}" if mend else f"; write {most}"
            self._add(self._document.mark(inner), inner, message + mend)

    def _check_tells_only(self, row: dict[str, Any], path: Path, name: str) -> None:
        for key in NEEDS_MENDING:
            if key in row:
                message = f"{name} mends nothing, so {key} says nothing about it; leave {key} out"
                self._add_key((*path, key), message)
        if row.get("mode") == Mode.APPROVE:
            inner = (*path, "mode")
            message = (
                f"{name} changes nothing that a person could approve; write observe or enforce"
            )
            self._add(self._document.mark(inner), inner, message)

    def _check_for_each(self, row: dict[str, Any], path: Path, name: str) -> None:
        for_each, action = row.get("for_each"), ACTIONS[name]
        kinds = listing(sorted(k for k in action.for_each if k))
        inner = (*path, "for_each")
        if for_each in ITEM_KINDS and for_each not in action.for_each:
            or_none = ", or leave for_each out" if None in action.for_each else ""
            message = f"{name} cannot work on {for_each}; write {kinds}{or_none}"
            self._add(self._document.mark(inner), inner, message)
        elif for_each is None and None not in action.for_each:
            message = f"is missing: {name} works on items; write for_each: {kinds}"
            self._add(self._document.mark(inner), inner, message)
        given = row["action"][name]
        if for_each == "workers" and isinstance(given, Mapping) and given.get("url") is not None:
            inner = (*path, "action", name, "url")
            message = "for_each: workers gives the URL of each item; leave url or for_each out"
            self._add_key(inner, message)

    def _check_limits(self, row: dict[str, Any], path: Path) -> None:
        limits, actions = row.get("limits"), row.get("action")
        mends = not isinstance(actions, dict) or all(
            ACTIONS[a].mends for a in actions if a in ACTIONS
        )
        if "limits" not in row and mends:
            inner = (*path, "limits")
            message = f"is missing; write {EXAMPLES['limits']}"
            self._add(self._document.mark(inner), inner, message)
        for index, limit in enumerate(limits if isinstance(limits, list) else ()):
            scope_item = isinstance(limit, dict) and limit.get("scope") == "item"
            if scope_item and row.get("for_each") is None:
                inner = (*path, "limits", index, "scope")
                message = "'item' needs for_each; write target or policy, or add for_each"
                self._add(self._document.mark(inner), inner, message)
        written = row.get("action")
        for name in written if isinstance(written, dict) and isinstance(limits, list) else ():
            stays = name in ACTIONS and ACTIONS[name].item_stays
            if stays and not any(_once_for_ever(limit) for limit in limits or ()):
                message = f"{name} would do the same again and again; add {_ONCE}"
                self._add(self._document.mark((*path, "limits")), (*path, "limits"), message)

    def _blockers(self, row: dict[str, Any], path: Path) -> tuple[Blocker, ...]:
        written = row.get("block_on_alerts")
        blockers = []
        for index, text in enumerate(written if isinstance(written, list) else ()):
            inner = (*path, "block_on_alerts", index)
            try:
                blockers += [read_blocker(text)] if isinstance(text, str) else []
            except MatcherError as error:
                self._add(self._document.inside(inner, error.offset), inner, str(error))
        return tuple(blockers)

    def _policy(
        self, model: PolicyModel, condition: Condition, arguments: dict[str, Any], path: Path
    ) -> Policy:
        windows = tuple(Window(w.scope, w.max, w.per) for w in model.limits or ())
        budget = Budget(model.cooldown, windows + self._limits)
        action, targets = next(iter(model.action)), model.targets
        if not ACTIONS[action].mends:
            budget = Budget(model.cooldown, own_cooldown=True)
        return Policy(
            name=model.name,
            mode=Mode(model.mode),
            selector=Selector(
                tuple(targets.names or ()) if targets else (),
                MappingProxyType(dict(targets.labels or {}) if targets else {}),
            ),
            for_each=model.for_each,
            condition=condition,
            for_=model.for_ or timedelta(0),
            action=action,
            arguments=MappingProxyType(arguments),
            budget=budget,
            verify=Verify(model.verify.within, model.verify.healthy_for),
            storm=_storm(model.storm),
            breaker=_breaker(model.breaker),
            windows=tuple(_window(w) for w in model.windows or ()),
            notify=tuple(model.notify or ()),
            revision=revision(model, arguments),
            place=self._text(self._document.mark(path)),
            places=MappingProxyType(self._places(path, next(iter(model.action)), arguments)),
        )

    def _places(self, path: Path, action: str, arguments: Iterable[str]) -> dict[str, str]:
        """The places of the parts that are checked later, against targets."""
        parts: list[Path] = [("name",), ("targets",), ("targets", "names"), ("targets", "labels")]
        parts += [("mode",), ("for_each",), ("when",), ("verify",), ("verify", "within")]
        parts += [("block_on_alerts",), ("notify",), ("action",), *(("action", action, name) for name in arguments)]
        document = self._document
        return {
            ".".join(map(str, part)): self._text(document.mark((*path, *part)))
            for part in parts
            if (*path, *part) in document.values
        }

    def _text(self, mark: Mark) -> str:
        return f"{self._file}:{mark.line}:{mark.column}"

    def _add(self, mark: Mark, path: Path, message: str) -> None:
        self._problems.append(Problem(mark, path, message))

    def _add_key(self, path: Path, message: str) -> None:
        self._add(self._document.key_mark(path), path, message)


def _once_for_ever(limit: object) -> bool:
    if not isinstance(limit, dict):
        return False
    wanted = {"scope": "item", "per": FOREVER}
    return limit.items() >= wanted.items() and limit.get("max") in (0, 1)


def _storm(model: StormModel) -> Storm:
    share = Fraction(model.max_unhealthy.removesuffix("%")) / 100
    return Storm(share, model.at_least, model.at_most, model.max_items)


def _breaker(model: BreakerModel) -> Breaker:
    reset = model.reset if isinstance(model.reset, timedelta) else None
    return Breaker(model.failed, model.per, reset)


def _window(model: WindowModel) -> DayWindow:
    return DayWindow(
        days=frozenset(DAYS.index(day) for day in model.days),
        start=time.fromisoformat(model.start),
        end=None if model.end == MIDNIGHT else time.fromisoformat(model.end),
        zone=ZoneInfo(model.timezone),
    )


def revision(model: PolicyModel, arguments: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change exactly when the policy says something else."""
    says = model.model_dump(by_alias=True) | {"when": model.when.strip()}
    says["action"] = {next(iter(model.action)): dict(arguments)}
    text = json.dumps(says, sort_keys=True, default=_seconds)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{value!r} has no canonical form")
