"""Reads files of policy tests: every problem with its place, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from exporter.model.decision import Mode
from exporter.policy.actions import highest_mode
from exporter.policy.complaints import spell
from exporter.policy.document import Document, DocumentError, Mark, read_document
from exporter.policy.document import Path as Place
from exporter.policy.load import read_policies
from exporter.policy.policy import Policy
from exporter.policy.written import Written, line
from exporter.simulate.expectations import Expectations
from exporter.simulate.scenario import MONDAY, Scenario
from exporter.simulate.shapes import EXAMPLES_OF_KEYS, TestFileModel, TestModel, keys_at
from exporter.simulate.steps import Steps

MAX_BYTES = 1_000_000
MAX_ROUNDS = 100_000
"""Of one test: a week of rounds a minute is 10,080."""


@dataclass(slots=True)
class Tests:
    """What a file gave."""

    __test__ = False

    scenarios: list[Scenario] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_tests(path: Path, name: str) -> Tests:
    """Read a file, and the policies that it names. It is called ``name`` in what is told."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = error.strerror or error
        return Tests(problems=[f"{name}:1:1: cannot be read: {why}; check the path and its rights"])
    if len(content) > MAX_BYTES:
        return Tests(problems=[f"{name}:1:1: is larger than {MAX_BYTES} bytes; write several"])
    try:
        document = read_document(content.decode("utf-8"))
    except UnicodeDecodeError:
        return Tests(problems=[f"{name}:1:1: is not UTF-8; save it as UTF-8"])
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
        if loaded.problems:
            return Tests(problems=self._written.lines())
        scenarios = [
            self._scenario(model, test, loaded.policies, ("tests", number))
            for number, test in enumerate(model.tests)
        ]
        if self._written.problems:
            return Tests(problems=self._written.lines())
        return Tests(scenarios)

    def _model(self) -> TestFileModel | None:
        data = self._document.data
        self._no_empty_values()
        if not isinstance(data, dict):
            message = "a file of tests is a mapping; write policies: and tests:"
            self._written.add((), message, mark=Mark(1, 1))
            return None
        if "tests" not in data and _of_policies(data.get("policies")):
            message = "is a file of policies; name the file that tests them, with tests: in it"
            self._written.add((), message, mark=Mark(1, 1))
            return None
        try:
            return TestFileModel.model_validate(data)
        except ValidationError as error:
            said = {problem.path for problem in self._written.problems}
            spelled = (
                spell(one, self._document, keys=keys_at, examples=EXAMPLES_OF_KEYS)
                for one in error.errors(include_url=False)
            )
            self._written.problems += [one for one in spelled if one.path not in said]
            return None

    def _no_empty_values(self) -> None:
        """A key without a value is a mistake, but for what is unknown: none must not mean any."""
        for path, node in self._document.scalars.items():
            unknown = path[3:4] != () and {"values", "items"} & set(path[3:])
            if str(node.tag).endswith(":null") and not unknown and path:
                mend = "write [] for none" if path[-1] == "operations" else "write a value"
                self._written.add_key(path, f"is empty; {mend}, or leave it out")

    def _scenario(
        self, model: TestFileModel, test: TestModel, policies: tuple[Policy, ...], path: Place
    ) -> Scenario:
        before = len(self._written.problems)
        steps = Steps(self._written, test.steps, (*path, "steps"))
        interval = test.interval or model.interval
        if steps.length / interval > MAX_ROUNDS:
            message = f"has more than {MAX_ROUNDS} rounds; write a longer interval"
            self._written.add((*path, "steps"), message)
        mode = None if test.mode is None else Mode(test.mode)
        if mode is not None:
            self._may_be(mode, policies, (*path, "mode"))
        start = test.start or MONDAY
        inner = (*path, "expect")
        expected = test.expect
        if not expected.decisions and expected.operations is None:
            self._written.add(inner, "expects nothing; write operations: [] when none may begin")
        right = len(self._written.problems) == before
        states = steps.states if right else None
        read = Expectations(self._written, policies, states, start=start, length=steps.length)
        return Scenario(
            name=test.name,
            file=self._name,
            place=self._written.place(path),
            target=test.target.name,
            labels=test.target.labels,
            policies=tuple(p if mode is None else replace(p, mode=mode) for p in policies),
            start=start,
            interval=interval,
            length=steps.length,
            states=steps.states,
            operations=None
            if expected.operations is None
            else tuple(
                read.operation(one, (*inner, "operations", number))
                for number, one in enumerate(expected.operations)
            ),
            operations_place=self._written.place((*inner, "operations")),
            decisions=tuple(
                read.decision(one, (*inner, "decisions", number))
                for number, one in enumerate(expected.decisions)
            ),
        )

    def _may_be(self, mode: Mode, policies: tuple[Policy, ...], path: Place) -> None:
        """A test must not play what the daemon would refuse to load."""
        for policy in policies:
            most, mend = highest_mode(policy.action, policy.arguments)
            if mode is Mode.APPROVE and not policy.mends:
                message = f"{policy.name} changes nothing that a person could approve"
                self._written.add(path, f"{message}; write observe or enforce")
            elif mode.rank > most.rank:
                message = f"{mode} is more than {policy.name} may have, which is {most} at most"
                hint = f"; {mend} in the policy, or write {most}" if mend else f"; write {most}"
                self._written.add(path, message + hint)


def _of_policies(rows: object) -> bool:
    """Whether these are policies and not names of their files."""
    return isinstance(rows, list) and any(isinstance(row, dict) for row in rows)
