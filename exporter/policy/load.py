"""Loads policy files: the only place in this package that reads any.

Every problem of every file is collected before anything is refused, one line each.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.model.errors import ConfigurationError
from exporter.model.operation import Window
from exporter.model.target import Target
from exporter.policy.conflicts import problems_against
from exporter.policy.document import Document, DocumentError, read_document
from exporter.policy.parse import Parsed, parse
from exporter.policy.policy import Policy
from exporter.policy.served import Served
from exporter.policy.written import line

MAX_BYTES = 128_000
_SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files gave, with everything that is wrong with them, and what is merely odd."""

    policies: tuple[Policy, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...]


def load_policies(
    patterns: Iterable[str | Path], *, limits: tuple[Window, ...] = (), base: Path | None = None
) -> tuple[Policy, ...]:
    """Load policies in file order. ConfigurationError lists every problem of every file."""
    loaded = read_policies(patterns, limits=limits, base=base)
    if loaded.problems:
        raise ConfigurationError(list(loaded.problems))
    return loaded.policies


def read_policies(
    patterns: Iterable[str | Path], *, limits: tuple[Window, ...] = (), base: Path | None = None
) -> Loaded:
    """Load what can be loaded. Patterns are files, folders of YAML files, or globs from ``base``.

    ``limits`` are the ones over everything; each policy's budget ends with them.
    """
    policies: list[Policy] = []
    problems: list[str] = []
    notes: list[str] = []
    files: dict[Path, str] = {}
    for pattern in patterns:
        found, problem = _expand(str(pattern), base or Path())
        files |= {path: name for path, name in found.items() if path not in files}
        if problem:
            problems.append(problem)
    for path, name in files.items():
        parsed = _read(path, name, limits)
        policies += parsed.policies
        problems += parsed.problems
        notes += parsed.notes
    problems += _duplicates(policies)
    return Loaded(tuple(policies), tuple(problems), tuple(notes), tuple(files.values()))


def reread(texts: Iterable[str], *, limits: tuple[Window, ...] = ()) -> tuple[Policy, ...]:
    """Policies from how they were written (``Policy.text``), in this order.

    ConfigurationError when this version does not understand one of them any more.
    """
    rows = [json.loads(text) for text in texts]
    parsed = parse(Document("", {"policies": rows}), "history", limits)
    if parsed.problems:
        raise ConfigurationError(parsed.problems)
    return tuple(parsed.policies)


def check_against(
    policies: Iterable[Policy],
    targets: Iterable[Target],
    served: Mapping[str, Served],
    notifiers: Collection[str] = (),
    *,
    alertmanager: bool = True,
) -> None:
    """Check what only the configuration can tell; ``served`` is what each target's backend can do.

    ConfigurationError lists every problem.
    """
    problems = problems_against(
        tuple(policies), tuple(targets), served, notifiers, alertmanager=alertmanager
    )
    if problems:
        raise ConfigurationError(problems)


def _expand(pattern: str, base: Path) -> tuple[dict[Path, str], str | None]:
    """The files of one pattern, each with the name it goes by in messages."""
    path = base / pattern
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES and p.is_file())
        return {p.absolute(): _name(p, base) for p in inside}, None
    if path.exists() or not glob.has_magic(pattern):
        return {path.absolute(): _name(path, base)}, None
    found = sorted(p for p in map(Path, glob.glob(str(path), recursive=True)) if p.is_file())  # noqa: PTH207 - absolute patterns too
    problem = None if found else f"{pattern}: matches no file; mend the pattern or add policies"
    return {p.absolute(): _name(p, base) for p in found}, problem


def _name(path: Path, base: Path) -> str:
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _read(path: Path, name: str, limits: tuple[Window, ...]) -> Parsed:
    def refused(what: str) -> Parsed:
        return Parsed(problems=[f"{name}:1:1: {what}"])

    if path.exists() and not path.is_file():
        return refused("is not a file; write the path of a YAML file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return refused(f"cannot be read: {error.strerror or error}; check the path and its rights")
    if len(data) > MAX_BYTES:
        return refused(f"is larger than {MAX_BYTES} bytes; write several files")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return Parsed(problems=[f"{name}:{number}:{column}: is not UTF-8; save it as UTF-8"])
    try:
        document = read_document(text)
    except DocumentError as error:
        return Parsed(problems=[line(name, error.problem)])
    return parse(document, name, limits)


def _duplicates(policies: list[Policy]) -> list[str]:
    first: dict[str, Policy] = {}
    problems = []
    for policy in policies:
        before = first.setdefault(policy.name, policy)
        if before is not policy:
            problems.append(
                f"{policy.at('name')}: {policy.name!r} is already a policy at "
                f"{before.at('name')}; give one of them another name"
            )
    return problems
