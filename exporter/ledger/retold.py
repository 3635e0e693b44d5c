"""What the entries say of rows: each row as it must be, if nobody changed it behind their back.

Pure. A column that no entry tells is not in what is returned: a renewed lease leaves no entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from exporter.ledger.chain import Entry, EntryKind
from exporter.model.operation import Outcome, Phase
from exporter.policy.actions import ACTIONS

_OPENING = (
    *("target", "remedy", "source", "actor", "policy", "revision", "mode", "arguments"),
    *("item_keys", "values_seen", "reason", "allowed", "before", "summary", "request_id"),
    *("role", "route"),
)


@dataclass(slots=True)
class Retold:
    """An operation's columns, and its items by key: position, outcome, detail, when."""

    columns: dict[str, Any] = field(default_factory=dict)
    items: dict[str, tuple[int, str | None, str, datetime | None]] = field(default_factory=dict)


def operation(entries: Iterable[Entry]) -> Retold:
    """Tell an operation from all of its entries, in order."""
    told = Retold()
    for number, entry in enumerate(entries):
        if number == 0:
            _open(told, entry)
        if (tell := _TELL.get(entry.kind)) is not None:
            tell(told, entry, entry.data)
    return told


def row(entry: Entry) -> tuple[str, dict[str, Any]] | None:
    """The table and columns of the one row that an entry makes, if it makes one."""
    body, at = entry.data, entry.at
    match entry.kind:
        case EntryKind.DECISION:
            return "decisions", {**body, "at": at}
        case EntryKind.PAUSED:
            moments = {"created_at": at, "expires_at": _moment(body["expires_at"])}
            return "pauses", {**body, **moments}
        case EntryKind.BREAKER_RESET:
            return "resets", {**body, "at": at}
        case EntryKind.IDENTITY:
            return "identities", {**body, "at": at}
        case EntryKind.KEY_CREATED:
            return "api_keys", {**body, "created_at": at}
        case EntryKind.REPORTED:
            moments = {name: _moment(body[name]) for name in ("since", "until")}
            return "reports", {**body, **moments, "at": at}
        case _:
            return None


def ending(entry: Entry) -> tuple[str, int, dict[str, Any]] | None:
    """The table, number and columns of the row that an entry ends, if it ends one."""
    match entry.kind:
        case EntryKind.UNPAUSED:
            columns = {"lifted_at": entry.at, "lifted_by": entry.data["lifted_by"]}
            return "pauses", entry.data["pause"], columns
        case EntryKind.KEY_REVOKED:
            columns = {"revoked_at": entry.at, "revoked_by": entry.data["revoked_by"]}
            return "api_keys", entry.data["key"], columns
        case EntryKind.REPORT_TOLD:
            columns = {"told_at": entry.at, "outcome": entry.data["outcome"]}
            return "reports", entry.data["report"], columns
        case _:
            return None


def _open(told: Retold, entry: Entry) -> None:
    body = entry.data
    told.columns = {name: body[name] for name in _OPENING if name in body} | {
        "id": entry.operation_id,
        "seq": entry.seq,
        "created_at": entry.at,
        "after": {},
        "partial": False,
        **dict.fromkeys(
            ("outcome", "error", "locks", "counted_at", "touched_at", "acted_at", "finished_at")
        ),
        **dict.fromkeys(("approved_by", "approved_at", "relapsed_at", "relapsed_seq")),
    }
    if "asked_at" in body:
        told.columns["asked_at"] = _moment(body["asked_at"])
    told.items = {key: (n, None, "", None) for n, key in enumerate(body["item_keys"])}


def _proposed(told: Retold, _entry: Entry, body: Mapping[str, Any]) -> None:
    told.columns |= {"phase": Phase.PROPOSED, "lease_until": _moment(body["expires_at"])}
    if "owner" in body:  # entries of earlier versions do not tell it
        told.columns["owner"] = body["owner"]


def _approved(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    told.columns |= {
        "approved_by": body["approved_by"],
        "approved_at": entry.at,
        "lease_until": _moment(body["until"]),
    }


def _reserved(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    told.columns |= {"phase": Phase.RESERVED, "owner": body["owner"], "touched_at": entry.at}
    told.columns.pop("lease_until", None)  # renewed without a word from now on
    mends = _mends(told)
    told.columns["counted_at"] = entry.at if mends else None
    told.columns["locks"] = told.columns["target"] if mends else None


def _observed(told: Retold, entry: Entry, _body: Mapping[str, Any]) -> None:
    _end(told, entry, Outcome.OBSERVED)
    touched = entry.at if told.columns["source"] == "policy" else None
    told.columns["touched_at"] = touched
    mends = _mends(told)
    told.columns["counted_at"] = touched if mends else None


def _refused(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    _end(told, entry, Outcome.REFUSED)
    told.columns["error"] = body["error"]


def _answered(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    _end(told, entry, Outcome.ANSWERED)
    told.columns["after"] = body["after"]


def _acting(told: Retold, entry: Entry, _body: Mapping[str, Any]) -> None:
    told.columns["phase"] = Phase.ACTING
    _touch(told, entry.at)


def _verifying(told: Retold, _entry: Entry, _body: Mapping[str, Any]) -> None:
    told.columns["phase"] = Phase.VERIFYING


def _item(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    _settle(told, entry, body["key"], body["outcome"], body["detail"])
    _touch(told, entry.at)


def _acted(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    for key, outcome, detail in body["items"]:
        _settle(told, entry, key, outcome, detail)
    told.columns |= {"phase": Phase.ACTED, "acted_at": entry.at}
    told.columns |= {"after": body["after"], "partial": body["partial"]}
    _touch(told, entry.at)


def _taken_over(told: Retold, _entry: Entry, body: Mapping[str, Any]) -> None:
    told.columns["owner"] = body["owner"]


def _closed(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    if body.get("counted") is False:
        told.columns |= {"counted_at": None, "touched_at": None}
    elif told.columns.get("phase") == Phase.ACTING:
        _touch(told, entry.at)
    told.columns |= {name: body[name] for name in ("after", "error") if name in body}
    _end(told, entry, body["outcome"])


def _interrupted(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    silent = body["silent_since"]
    if body["phase"] == Phase.ACTING:
        _touch(told, datetime.fromisoformat(silent))
    error = f"its owner {body['owner']} was silent since its lease ended at {silent}"
    told.columns["error"] = error
    _end(told, entry, Outcome.INTERRUPTED)


def _relapsed(told: Retold, entry: Entry, body: Mapping[str, Any]) -> None:
    told.columns |= {"relapsed_at": _moment(body["seen_at"]), "relapsed_seq": entry.seq}


def _end(told: Retold, entry: Entry, outcome: str) -> None:
    if "phase" not in told.columns:
        told.columns |= {"owner": None, "lease_until": None}  # it never was anybody's
    told.columns |= {"phase": Phase.CLOSED, "outcome": outcome}
    told.columns |= {"finished_at": entry.at, "locks": None}


def _touch(told: Retold, at: datetime) -> None:
    told.columns["touched_at"] = max(told.columns["touched_at"], at)


def _settle(told: Retold, entry: Entry, key: str, outcome: str, detail: str) -> None:
    position = told.items[key][0] if key in told.items else len(told.columns["item_keys"])
    told.items[key] = (position, outcome, detail, entry.at)


def _mends(told: Retold) -> bool:
    """Whether its remedy writes to Restate; one that is not known any more did."""
    action = ACTIONS.get(told.columns["remedy"])
    return action is None or action.mends


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


_Tell = Callable[[Retold, Entry, Mapping[str, Any]], None]
_TELL: Mapping[str, _Tell] = MappingProxyType(
    {
        EntryKind.PROPOSED: _proposed,
        EntryKind.APPROVED: _approved,
        EntryKind.RESERVED: _reserved,
        EntryKind.OBSERVED: _observed,
        EntryKind.REFUSED: _refused,
        EntryKind.ANSWERED: _answered,
        EntryKind.ACTING: _acting,
        EntryKind.VERIFYING: _verifying,
        EntryKind.ITEM: _item,
        EntryKind.ACTED: _acted,
        EntryKind.TAKEN_OVER: _taken_over,
        EntryKind.CLOSED: _closed,
        EntryKind.INTERRUPTED: _interrupted,
        EntryKind.RELAPSED: _relapsed,
    }
)
