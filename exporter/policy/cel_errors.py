"""From the CEL compiler's complaints to sentences: where, what, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from exporter.model.errors import MedicError
from exporter.model.variables import ITEM_KINDS, VARIABLES
from exporter.policy.words import did_you_mean, listing

_LINE = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*?)(?: \[[A-Z_]+\])?$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']+)' applied to '\((.*)\)'")
_TOKEN = re.compile(
    r"(?:mismatched|extraneous) input '(.+?)' expecting|recognition error at: '(.+)'"
)
_DURATION = "google.protobuf.Duration"
_FUNCTIONS = (
    *("all", "bool", "contains", "double", "duration", "endsWith", "exists", "exists_one"),
    *("filter", "has", "int", "map", "matches", "size", "startsWith", "string", "timestamp"),
)
_WRITTEN = {"and": "&&", "or": "||", "not": "!", "=": "==", "&": "&&", "|": "||", "#": "//"}

_QUOTED = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
_LITERAL = re.compile(
    rf"//[^\n]*|(?P<call>\b(?:duration|timestamp)|\.matches)\s*\(\s*(?P<text>{_QUOTED})\s*\)|{_QUOTED}"
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong with a condition. ``offset`` counts characters from its beginning."""

    offset: int
    message: str


class ConditionError(MedicError):
    """A condition cannot be used: mend every complaint."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("; ".join(c.message for c in complaints))
        self.complaints = complaints


def explain(source: str, text: str, for_each: str | None) -> list[Complaint]:
    """Turn the compiler's output into complaints; only the first syntax error, the rest follow."""
    if not source.strip():
        return [Complaint(0, "is empty; write a condition such as size(services.missing) > 0")]
    starts = _line_starts(source)
    complaints: list[Complaint] = []
    for line, column, message in _LINE.findall(text):
        offset = min(starts[min(int(line), len(starts)) - 1] + int(column) - 1, len(source))
        if message.startswith("Syntax error"):
            return [Complaint(offset, _syntax(source, offset, message))]
        if found := _UNDECLARED.match(message):
            name = found[1]
            start = source.rfind(name, 0, offset + len(name))
            complaints.append(
                Complaint(max(start, 0), _undeclared(source, max(start, 0), name, for_each))
            )
        elif found := _OVERLOAD.match(message):
            complaints.append(Complaint(offset, _overload(found[1], found[2])))
        else:
            complaints.append(Complaint(offset, message))
    if not complaints:
        reason = text.splitlines()[0].partition(": ")[2] or text.strip()
        complaints.append(Complaint(0, f"cannot be compiled: {reason}; write it simpler"))
    return complaints


def bad_literals(source: str, error_of: Callable[[str], str | None]) -> list[Complaint]:
    """Constants that compile but could only ever fail, such as ``duration("7d")``."""
    complaints = []
    for found in _LITERAL.finditer(source):
        call, text = found["call"], found["text"]
        if call is None:
            continue
        alone = f'"".matches({text})' if call == ".matches" else f"{call}({text})"
        if error_of(alone) is None:
            continue
        mend = {
            "duration": 'write hours, minutes and seconds, such as duration("168h") for 7 days',
            "timestamp": 'write it as timestamp("2026-01-31T12:00:00Z")',
        }.get(call, "write a regular expression as RE2 reads it")
        what = {"duration": "duration", "timestamp": "timestamp"}.get(call, "regular expression")
        complaints.append(Complaint(found.start("text"), f"{text} is no CEL {what}; {mend}"))
    return complaints


def _undeclared(source: str, start: int, name: str, for_each: str | None) -> str:
    if source[start + len(name) :].lstrip().startswith("("):
        return f"{name!r} is not a function{did_you_mean(name, _FUNCTIONS)}"
    if name == "item" or name.startswith("item."):
        return _undeclared_item(name, for_each)
    names = [v.name for v in VARIABLES]
    if below := [n for n in names if n.startswith(f"{name}.")]:
        return f"{name!r} alone is not a variable; write {listing(below)}"
    return f"{name!r} is not a variable{_instead(name, names)}"


def _undeclared_item(name: str, for_each: str | None) -> str:
    if for_each is not None:
        fields = [v.name for v in ITEM_KINDS[for_each].fields]
        hint = _instead(name, fields)
        return f"{name!r} is not a value of the items of for_each: {for_each}{hint}"
    kinds = [k.name for k in ITEM_KINDS.values() if any(v.name == name for v in k.fields)]
    return f"{name!r} needs for_each; add for_each: {' or '.join(kinds or ITEM_KINDS)}"


def _instead(name: str, names: list[str]) -> str:
    """What to write for a wrong name: the nearest in its family, else what there is."""
    family, _, field = name.partition(".")
    fields = [n.removeprefix(f"{family}.") for n in names if n.startswith(f"{family}.")]
    if not fields:
        families = dict.fromkeys(f"{n.partition('.')[0]}.…" for n in names)
        return did_you_mean(name, names) or f"; write {listing(families)}"
    if close := get_close_matches(field, fields, n=1, cutoff=0.6):
        return f"; did you mean '{family}.{close[0]}'?"
    return f"; write {listing(f'{family}.{f}' for f in fields)}"


def _overload(function: str, types: str) -> str:
    given = types.replace(_DURATION, "duration")
    kinds = set(re.split(r", (?![^(]*\))", given))
    operator = function.strip("_").replace("_", " ")
    if kinds == {"int", "double"}:
        mend = "write a whole number, or double(…) around the int"
    elif "duration" in kinds and kinds & {"int", "string", "double"}:
        mend = 'write the other side as duration("5m")'
    elif "list(string)" in kinds and kinds & {"int", "double"}:
        mend = "compare size(…) of the list"
    elif kinds in ({"string", "int"}, {"string", "bool"}):
        mend = "put quotes around text, and none around numbers, true and false"
    else:
        mend = "write operands of the types it takes"
    return f"{operator!r} does not go with ({given}); {mend}"


def _syntax(source: str, offset: int, message: str) -> str:
    if "token recognition error at: '\"" in message or "token recognition error at: ''" in message:
        return "a text is not closed; write its second quote"
    found = _TOKEN.search(message)
    token = (found[1] or found[2]).strip() if found else ""
    if token == "<EOF>":  # noqa: S105 - the grammar's word for the end
        return "the condition ends too early; complete it"
    for written in (token, token[:1], source[offset : offset + 1]):
        if written in _WRITTEN:
            return f"{written!r} is not CEL; write {_WRITTEN[written]}"
    return f"{token!r} is not expected here" if token else message.removeprefix("Syntax error: ")


def _line_starts(source: str) -> list[int]:
    return [0, *(m.end() for m in re.finditer(r"\n", source))]
