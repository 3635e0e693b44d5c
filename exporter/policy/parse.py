"""From a document to policies: every problem with its place, then frozen policies.

Each part is checked by itself, so that one mistake does not hide another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from exporter.model.operation import Window
from exporter.model.variables import ITEM_KINDS
from exporter.policy.actions import ACTIONS
from exporter.policy.blockers import Blocker, read_blocker
from exporter.policy.cel import Condition, compile_condition
from exporter.policy.cel_errors import ConditionError
from exporter.policy.complaints import spell
from exporter.policy.crosschecks import (
    check_for_each,
    check_limits,
    check_mode,
    check_tells_only,
)
from exporter.policy.document import Document, Mark, Path
from exporter.policy.make import make_policy
from exporter.policy.matchers import MatcherError
from exporter.policy.policy import Policy
from exporter.policy.schema import PolicyFileModel
from exporter.policy.words import did_you_mean, listing
from exporter.policy.written import Written


@dataclass(slots=True)
class Parsed:
    """What one file gave."""

    policies: list[Policy] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse(document: Document, file: str, limits: tuple[Window, ...] = ()) -> Parsed:
    """Check a document and make its policies; ``limits`` are the ones over everything."""
    return _Parser(document, file, limits).parse()


class _Parser:
    def __init__(self, document: Document, file: str, limits: tuple[Window, ...]) -> None:
        self._document = document
        self._written = Written(document, file)
        self._limits = limits

    def parse(self) -> Parsed:
        data = self._document.data
        result = Parsed()
        if data is None or data in ({"policies": None}, {"policies": []}):
            result.notes.append(f"{self._written.file}: has no policies")
        elif not isinstance(data, dict):
            message = "a policy file is a mapping; write policies: and a list below it"
            self._written.add((), message, mark=Mark(1, 1))
        elif "tests" in data:
            message = "is a file of tests; leave it out here, restate-medic policy test plays it"
            self._written.add((), message, mark=Mark(1, 1))
        else:
            result.policies = self._file_of(data)
        result.problems = self._written.lines()
        return result

    def _file_of(self, data: dict[str, Any]) -> list[Policy]:
        model: PolicyFileModel | None = None
        try:
            model = PolicyFileModel.model_validate(data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._written.problems.append(spell(detail, self._document))
        self._empty_values()
        rows = data.get("policies")
        policies = []
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            if isinstance(row, dict):
                path: Path = ("policies", index)
                condition, arguments = self._condition(row, path), self._arguments(row, path)
                blockers = self._blockers(row, path)
                check_limits(self._written, row, path)
                if model is not None and condition is not None and arguments is not None:
                    policies.append(
                        make_policy(
                            model.policies[index],
                            condition,
                            arguments,
                            blockers,
                            written=self._written,
                            path=path,
                            limits=self._limits,
                        )
                    )
        return policies

    def _empty_values(self) -> None:
        """A key without a value is a mistake: ``targets:`` alone must not mean all of them."""
        said = {problem.path for problem in self._written.problems}
        for path, node in self._document.scalars.items():
            takes_none = len(path) == 4 and path[2] == "action"  # noqa: PLR2004 - its arguments
            if str(node.tag).endswith(":null") and path not in said and not takes_none:
                self._written.add_key(path, "is empty; write a value, or leave it out")

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
                self._written.add(inner, complaint.message, mark=mark)
            return None

    def _blockers(self, row: dict[str, Any], path: Path) -> tuple[Blocker, ...]:
        """Those that could be read: of a list that is wrong elsewhere no policy is made."""
        entries = row.get("block_on_alerts")
        blockers = []
        for number, text in enumerate(entries if isinstance(entries, list) else ()):
            inner = (*path, "block_on_alerts", number)
            try:
                blockers += [read_blocker(text)] if isinstance(text, str) else []
            except MatcherError as error:
                mark = self._document.inside(inner, error.offset)
                self._written.add(inner, str(error), mark=mark)
        return tuple(blockers)

    def _arguments(self, row: dict[str, Any], path: Path) -> dict[str, Any] | None:
        written = row.get("action")
        if not isinstance(written, dict) or len(written) != 1:
            return None
        name, given = next(iter(written.items()))
        inner = (*path, "action", name)
        action = ACTIONS.get(name)
        if action is None:
            hint = did_you_mean(name, ACTIONS) or f"; write {listing(ACTIONS)}"
            self._written.add_key(inner, f"{name!r} is not an action{hint}")
            return None
        check_for_each(self._written, row, path, name)
        if not action.mends:
            check_tells_only(self._written, row, path, name)
        if not isinstance(given, (dict, type(None))):
            return None
        try:
            model = action.arguments.model_validate(given or {})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._written.problems.append(spell(detail, self._document, inner))
            return None
        arguments = model.model_dump(exclude_none=True)
        check_mode(self._written, row, path, name, arguments)
        return arguments
