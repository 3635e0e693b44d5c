"""Targets from files beside the configuration, as Prometheus finds them with ``file_sd``.

Each file is a YAML or JSON list of targets, written as those of ``targets:``. Whoever writes such
files should replace them in one step (write another and rename it): what is read half-written is
refused, and the configuration in use stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from exporter.model.errors import ConfigurationError
from exporter.policy.document import Document, Mark
from exporter.settings.complaints import SECTIONS, spell
from exporter.settings.files import UnreadableError, expand, line, read, with_secrets
from exporter.settings.targets import TargetSettings, refuse_same

_TARGETS = TypeAdapter(tuple[TargetSettings, ...])
_SECTIONS: Mapping[str, type[BaseModel]] = {**SECTIONS, "": TargetSettings}


@dataclass(frozen=True, slots=True)
class Filed:
    """The targets of one file, in its order."""

    file: Path
    document: Document
    targets: tuple[TargetSettings, ...]


def read_target_files(
    patterns: Iterable[str], base: Path, *, place: Callable[[int, str], str]
) -> tuple[Filed, ...]:
    """Read every file, each once. ConfigurationError lists the problems of all of them.

    ``place`` says where the pattern of this number stands; of a file that cannot be read that is
    the only place there is.
    """
    filed: dict[Path, Filed] = {}
    problems: list[str] = []
    for number, pattern in enumerate(patterns):
        for file in expand([pattern], base):
            try:
                if file not in filed:
                    filed[file] = _filed(file)
            except UnreadableError as error:
                problems.append(place(number, str(error)))
            except ConfigurationError as error:
                problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return tuple(filed.values())


def refuse_duplicates(own: tuple[TargetSettings, ...], filed: Iterable[Filed]) -> None:
    """Two targets may not share a name or a Restate, whichever files they are in.

    ``own``, of the configuration itself, do not. ConfigurationError names the place of the second.
    """
    places = list(_places(filed))
    targets = [*own, *(place.filed.targets[place.number] for place in places)]
    try:
        refuse_same(targets)
    except ValidationError as error:
        lines = []
        for one in error.errors():
            number, *rest = one["loc"]
            place = places[int(number) - len(own)]
            one["loc"] = (place.number, *rest)
            lines.append(_spelled(one, place.filed.file, place.filed.document))
        raise ConfigurationError(lines) from error


@dataclass(frozen=True, slots=True)
class _Place:
    filed: Filed
    number: int


def _places(filed: Iterable[Filed]) -> Iterator[_Place]:
    for one in filed:
        for number in range(len(one.targets)):
            yield _Place(one, number)


def _filed(file: Path) -> Filed:
    document = read(file)
    problems = [line(file, p.mark, p.message) for p in document.problems]
    if not isinstance(document.data, list):
        mend = "must be a list of targets; write - {name: …, ingress_url: …, admin_url: …}, or []"
        problems.append(line(file, Mark(1, 1), mend))
    if problems:
        raise ConfigurationError(problems)
    data = [with_secrets(file.absolute().parent, target) for target in document.data]
    try:
        return Filed(file, document, _TARGETS.validate_python(data))
    except ValidationError as error:
        lines = [_spelled(one, file, document) for one in error.errors()]
        raise ConfigurationError(lines) from error


def _spelled(error: ErrorDetails, file: Path, document: Document) -> str:
    return spell(error, file, document, {}, sections=_SECTIONS, layered=False)
