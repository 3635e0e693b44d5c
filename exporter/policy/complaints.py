"""From the schema's validation errors to sentences with a place and a mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from exporter.policy.actions import ACTIONS
from exporter.policy.document import Document, Path, Problem
from exporter.policy.schema import EXAMPLES, keys_at
from exporter.policy.words import did_you_mean, listing

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
    type(None): "empty",
}


def where(path: Path) -> str:
    """A path as people write it: ``policies[0].limits[1].scope``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def spell(
    error: ErrorDetails,
    document: Document,
    prefix: Path = (),
    *,
    keys: Callable[[Path], tuple[str, ...]] = keys_at,
    examples: Mapping[str, str] = EXAMPLES,
) -> Problem:
    """Say one validation error: where it stands, what is wrong, what to write instead.

    ``keys`` tells those that a mapping may have, ``examples`` what to write for one of them.
    """
    path = _written(prefix + tuple(error["loc"]), document)
    if error["type"] == "extra_forbidden":
        return Problem(document.key_mark(path), path, _unknown_key(path, keys))
    if error["type"] == "missing":
        name = str(error["loc"][-1])
        mend = f"; write {examples[name]}" if name in examples else ""
        path = (*prefix, *error["loc"])
        return Problem(document.mark(path), path, f"is missing{mend}")
    return Problem(document.mark(path), path, _message(error, path, examples))


def _written(path: Path, document: Document) -> Path:
    """The part of a validator's path that is in the file: it adds names of its own at the end."""
    while path and path not in document.values and path not in document.keys:
        path = path[:-1]
    return path


def _unknown_key(path: Path, keys: Callable[[Path], tuple[str, ...]]) -> str:
    name, around = str(path[-1]), path[:-1]
    if len(around) >= 2 and around[-2] == "action":  # noqa: PLR2004 - action, its name
        action = ACTIONS[str(around[-1])]
        known = tuple(action.arguments.model_fields)
        return f"{name!r} is not an argument of {around[-1]}{_instead(name, known)}"
    return f"{name!r} is not a key here{_instead(name, keys(around))}"


def _instead(name: str, known: tuple[str, ...]) -> str:
    return did_you_mean(name, known) or (f"; write {listing(known)}" if known else "")


def _message(  # noqa: C901, PLR0912 - a line a kind
    error: ErrorDetails, path: Path, examples: Mapping[str, str]
) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    given, name = error["input"], str(path[-1]) if path else "file"

    def example(otherwise: str) -> str:
        return f"write {examples[name]}" if name in examples else otherwise

    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            expected = str(context["expected"]).replace("'", "")
            return f"{given!r} is not a {name}; write {expected}"
        case "string_type":
            return f"must be text, not {_kind(given)}; {example('write it in quotes')}"
        case "bool_type":
            return f"must be true or false, not {_kind(given)}"
        case "int_type" | "int_from_float":
            return f"must be a whole number, not {_kind(given)}; {example('write a number')}"
        case "greater_than_equal":
            return f"{given} is too small; write {context['ge']} or more"
        case "less_than_equal":
            return f"{given} is too large; write {context['le']} or less"
        case "list_type":
            return f"must be a list, not {_kind(given)}; {example('write - before each')}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping, not {_kind(given)}; {example('write key: value')}"
        case "too_short" | "string_too_short":
            return f"is empty; {example('write at least one')}"
        case "too_long" if name == "action":
            return "has more than one action; write one, and a policy for each other"
        case "string_pattern_mismatch" | "string_too_long" if name == "name":
            return f"{given!r} is not a name; write letters, digits, '-', '_' and '.', 63 at most"
        case _:
            return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _kind(value: object) -> str:
    kind = _KINDS.get(type(value), "that")
    return f"{kind} ({value!r})" if isinstance(value, (bool, int, float, str)) else kind
