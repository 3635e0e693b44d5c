"""YAML text to plain data that knows where each part stands. Takes text, reads no files.

Anchors and aliases work, within a bound; tags, merge keys and duplicate keys are refused. YAML 1.2
throughout: ``22:00`` and ``yes`` are text.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Path = tuple[str | int, ...]
MAX_VALUES = 20_000
"""Values in one document, each alias counted with all it stands for."""

_TAG = "tag:yaml.org,2002:"
_FOLD = "\a"
"""How the round-trip parser marks where a folded text had its line ends."""
_BLOCK = ("|", ">")
_MESSAGE_END = re.compile(r"\s*\n.*", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the text; both numbers count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong, where, with what to write instead."""

    mark: Mark
    path: Path
    message: str


class DocumentError(Exception):
    """The text is no usable YAML: there is no data at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class Document:
    """Plain data (mappings, lists, text, numbers) with the place of every key and value."""

    text: str
    data: Any = None
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    scalars: dict[Path, ScalarNode] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, path: Path) -> Mark:
        """Where a value stands, or the nearest one around it that was written."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, Mark(1, 1))

    def key_mark(self, path: Path) -> Mark:
        """Where a key stands; for what has no key, its value."""
        return self.keys.get(path) or self.mark(path)

    def inside(self, path: Path, offset: int) -> Mark:
        """Where a character of a text value stands in the file, whatever its quoting and folding.

        Non-blank characters keep their order in every style, so they are counted off.
        """
        node = self.scalars.get(path)
        if node is None or not node.value.strip():
            return self.mark(path)
        value = node.value.replace(_FOLD, "")
        offset = min(offset, len(value))
        at_end = not value[offset:].strip()
        before = len("".join(value[:offset].split()))
        places = _visible(self.text, node, before + 1)
        if at_end or len(places) <= before:
            return _mark_at(self.text, places[-1] + 1)
        return _mark_at(self.text, places[before])


def read_document(text: str) -> Document:
    """Parse one YAML document. DocumentError when there is none to speak of.

    What can be said about a document that parses (duplicate keys, tags) is in its ``problems``.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    document = Document(text)
    try:
        root = YAML(typ="rt").compose(io.StringIO(text))
        if root is not None:
            document.data = _Builder(document).build(root, (), ())
    except MarkedYAMLError as error:
        raise DocumentError(_syntax(error)) from error
    except ReaderError as error:
        mark = _mark_at(text, error.position)
        message = "holds a character that YAML does not allow; remove it"
        raise DocumentError(Problem(mark, (), message)) from error
    except RecursionError as error:
        raise DocumentError(Problem(Mark(1, 1), (), "is nested too deeply")) from error
    except DocumentError:
        raise
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # The parser trips over some malformed inputs with errors of its own making.
        raise DocumentError(Problem(Mark(1, 1), (), f"is not YAML: {error}")) from error
    return document


class _Builder:
    """Walks the nodes once, noting places; aliases are followed, and counted."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def build(self, node: Node, path: Path, around: tuple[Node, ...]) -> Any:  # noqa: ANN401 - YAML
        self._count += 1
        mark = _mark_of(node)
        if any(node is outer for outer in around):
            raise DocumentError(Problem(mark, path, "contains itself; write it without the alias"))
        if self._count > MAX_VALUES:
            message = f"holds more than {MAX_VALUES} values, aliases expanded; write fewer"
            raise DocumentError(Problem(mark, path, message))
        self._document.values[path] = mark
        inner = (*around, node)
        if isinstance(node, MappingNode) and str(node.tag) == f"{_TAG}map":
            return self._mapping(node, path, inner)
        if isinstance(node, SequenceNode) and str(node.tag) == f"{_TAG}seq":
            return [self.build(n, (*path, i), inner) for i, n in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            self._document.scalars[path] = node
            return self._scalar(node, path, mark)
        self._problem(mark, path, f"has the tag {node.tag}; leave the tag out")
        return None

    def _mapping(self, node: MappingNode, path: Path, around: tuple[Node, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            mark = _mark_of(key)
            if str(key.tag) != f"{_TAG}str":
                merge = str(key.tag) == f"{_TAG}merge"
                mend = "<< is not supported; write the keys out" if merge else "a key must be text"
                self._problem(mark, path, mend)
                continue
            name = key.value.replace(_FOLD, "")
            inner = (*path, name)
            if name in result:
                first = self._document.keys[inner]
                message = f"is written twice, first in line {first.line}; keep one"
                self._problem(mark, inner, message)
                continue
            self._document.keys[inner] = mark
            result[name] = self.build(value, inner, around)
        return result

    def _scalar(self, node: ScalarNode, path: Path, mark: Mark) -> Any:  # noqa: ANN401 - YAML
        text = node.value.replace(_FOLD, "")
        try:
            match str(node.tag).removeprefix(_TAG):
                case "null":
                    return None
                case "bool":
                    return text.lower() in {"true", "yes", "on"}
                case "int":
                    digits = text.replace("_", "")
                    return int(digits, 0 if digits.lstrip("+-")[1:2].isalpha() else 10)
                case "float":
                    return float(re.sub(r"_|\.(?=inf|nan)", "", text.lower()))
                case "str" | "timestamp":
                    return text
        except ValueError:
            return text
        self._problem(mark, path, f"has the tag {node.tag}; leave the tag out")
        return None

    def _problem(self, mark: Mark, path: Path, message: str) -> None:
        self._document.problems.append(Problem(mark, path, message))


def _syntax(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = _MESSAGE_END.sub("", str(error.problem or error.context or "cannot be read"))
    if "found another document" in what:
        what = "found another document; write one document in a file"
    if "'\\t'" in what:
        what = "found a tab; write spaces to indent"
    where = Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark(1, 1)
    return Problem(where, (), f"is not YAML: {what}")


def _mark_of(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _mark_at(text: str, index: int) -> Mark:
    return Mark(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _index_of(text: str, mark: Mark) -> int:
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: mark.line - 1]) + mark.column - 1


def _visible(text: str, node: ScalarNode, count: int) -> list[int]:
    """The places of the first ``count`` characters of a text value that are not blank."""
    at = _index_of(text, _mark_of(node))
    if node.style in _BLOCK:
        at = text.find("\n", at) + 1
    elif node.style in {'"', "'"}:
        at += 1
    places: list[int] = []
    while at < len(text) and len(places) < count:
        character, width = text[at], 1
        if node.style == "'" and text.startswith("''", at):
            width = 2
        elif node.style == '"' and character == "\\":
            character, width = _escaped(text, at)
        if character.strip():
            places.append(at)
        at += width
    return places or [at]


def _escaped(text: str, at: int) -> tuple[str, int]:
    """What an escape in a double-quoted text stands for (a blank or not), and its width."""
    kind = text[at + 1 : at + 2]
    width = {"x": 4, "u": 6, "U": 10}.get(kind, 2)
    return (" " if kind in set("ntrvfN_LP \t\n") else "x"), width
