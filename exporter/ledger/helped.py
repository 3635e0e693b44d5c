"""The newest operation that was seen to help each item, in memory. A part of ``standing``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, select

from exporter.ledger.rows import Row
from exporter.ledger.tables import entries, operation_items, operations
from exporter.ledger.texts import item_key
from exporter.model.operation import HELPED, NOT_DONE, Outcome
from exporter.model.relapse import Helped

Parts = Mapping[str, frozenset[str]]
"""Of operations that helped only partly: the keys of the items they did help."""


class HelpedItems:
    """By target and remedy; taking an operation in twice changes nothing."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[str, str], dict[str, tuple[int, Helped]]] = defaultdict(dict)

    def put(self, row: Row, parts: Parts) -> None:
        """Take in an operation that was no rehearsal, if it helped."""
        if row["outcome"] not in HELPED:
            return
        known = self._of[row["target"], row["remedy"]]
        policy = row["policy"] if row["source"] == "policy" else None
        helped = Helped(row["id"], policy, row["finished_at"], row["relapsed_at"] is not None)
        partly = row["outcome"] == Outcome.PARTIAL
        for key in parts.get(row["id"], ()) if partly else row["item_keys"]:
            if key not in known or known[key][0] <= row["seq"]:
                known[key] = row["seq"], helped

    def get(self, target: str, remedy: str, item: str) -> Helped | None:
        """The newest operation, a person's included, that helped the item."""
        found = self._of.get((target, remedy), {}).get(item_key(item))
        return found[1] if found else None


def read_parts(connection: Connection, seq: int | None) -> Parts:
    """Read what ``put`` needs to know, of operations that changed since an entry (None: of all).

    One with an error was stopped before anybody looked whether it had helped.
    """
    items = operation_items.c
    query = (
        select(items.operation_id, items.key)
        .join(operations, operations.c.id == items.operation_id)
        .where(operations.c.outcome == str(Outcome.PARTIAL), operations.c.error.is_(None))
        .where(items.outcome.is_not(None), items.outcome.not_in(NOT_DONE))
    )
    if seq is not None:
        touched = select(entries.c.operation_id).where(entries.c.seq > seq)
        query = query.where(items.operation_id.in_(touched))
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for operation_id, key in connection.execute(query):
        parts[operation_id].add(key)
    return {operation_id: frozenset(keys) for operation_id, keys in parts.items()}
