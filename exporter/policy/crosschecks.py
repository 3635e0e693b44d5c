"""What the parts of one written policy must not say together.

They read the document as it was written, so that a mistake in one part hides none in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.model.decision import Mode
from exporter.model.variables import ITEM_KINDS
from exporter.policy.actions import ACTIONS, NEEDS_MENDING, highest_mode
from exporter.policy.document import Path
from exporter.policy.fields import FOREVER
from exporter.policy.schema import EXAMPLES
from exporter.policy.words import listing
from exporter.policy.written import Written

_ONCE = "{scope: item, max: 1, per: forever}"


def check_mode(
    written: Written, row: dict[str, Any], path: Path, name: str, arguments: Mapping[str, Any]
) -> None:
    """No more mode than the action may have with these arguments."""
    most, mend = highest_mode(name, arguments)
    mode = row.get("mode")
    if isinstance(mode, str) and mode in set(Mode) and Mode(mode).rank > most.rank:
        inner = (*path, "mode")
        message = f"{mode} is more than {name} may have like this, which is {most} at most"
        mend = f"; {mend}, or write {most}" if mend else f"; write {most}"
        written.add(inner, message + mend)


def check_tells_only(written: Written, row: dict[str, Any], path: Path, name: str) -> None:
    """What mends nothing has nothing to limit, verify or approve."""
    for key in NEEDS_MENDING:
        if key in row:
            message = f"{name} mends nothing, so {key} says nothing about it; leave {key} out"
            written.add_key((*path, key), message)
    if row.get("mode") == Mode.APPROVE:
        inner = (*path, "mode")
        message = f"{name} changes nothing that a person could approve; write observe or enforce"
        written.add(inner, message)


def check_for_each(written: Written, row: dict[str, Any], path: Path, name: str) -> None:
    """The action works on these items, and no argument says what they say."""
    for_each, action = row.get("for_each"), ACTIONS[name]
    kinds = listing(sorted(k for k in action.for_each if k))
    inner = (*path, "for_each")
    if for_each in ITEM_KINDS and for_each not in action.for_each:
        or_none = ", or leave for_each out" if None in action.for_each else ""
        message = f"{name} cannot work on {for_each}; write {kinds}{or_none}"
        written.add(inner, message)
    elif for_each is None and None not in action.for_each:
        message = f"is missing: {name} works on items; write for_each: {kinds}"
        written.add(inner, message)
    given = row["action"][name]
    if for_each == "workers" and isinstance(given, Mapping) and given.get("url") is not None:
        inner = (*path, "action", name, "url")
        message = "for_each: workers gives the URL of each item; leave url or for_each out"
        written.add_key(inner, message)


def check_limits(written: Written, row: dict[str, Any], path: Path) -> None:
    """A mending policy has a limit, each scope has a meaning, nothing is repeated for ever."""
    limits, actions = row.get("limits"), row.get("action")
    mends = not isinstance(actions, dict) or all(ACTIONS[a].mends for a in actions if a in ACTIONS)
    if "limits" not in row and mends:
        inner = (*path, "limits")
        message = f"is missing; write {EXAMPLES['limits']}"
        written.add(inner, message)
    for index, limit in enumerate(limits if isinstance(limits, list) else ()):
        scope_item = isinstance(limit, dict) and limit.get("scope") == "item"
        if scope_item and row.get("for_each") is None:
            inner = (*path, "limits", index, "scope")
            message = "'item' needs for_each; write target or policy, or add for_each"
            written.add(inner, message)
    given = row.get("action")
    for name in given if isinstance(given, dict) and isinstance(limits, list) else ():
        stays = name in ACTIONS and ACTIONS[name].item_stays
        if stays and not any(_once_for_ever(limit) for limit in limits or ()):
            message = f"{name} would do the same again and again; add {_ONCE}"
            written.add((*path, "limits"), message)


def _once_for_ever(limit: object) -> bool:
    if not isinstance(limit, dict):
        return False
    wanted = {"scope": "item", "per": FOREVER}
    return limit.items() >= wanted.items() and limit.get("max") in (0, 1)
