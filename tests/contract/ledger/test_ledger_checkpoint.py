"""What retention removed may be gone, and nothing else: whoever cuts by hand is found out."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from exporter.ledger.chain import Entry, Head, digest
from exporter.ledger.gateway import Ledger
from exporter.ledger.sealing import NO_KEYS, ChainKey, ChainKeys
from exporter.ledger.store import Store
from exporter.ledger.texts import canonical
from exporter.model.decision import Decision, Result, Subject
from exporter.model.hold import HoldReason
from exporter.model.identity import Identity
from exporter.model.operation import Outcome
from tests.contract.ledger.aging import Time, hold, prune, told_time
from tests.contract.ledger.making import LEASE, by_policy, plan_for
from tests.contract.ledger.test_ledger_tampering import Scene

DAY = timedelta(days=1)
_TABLES = ("operations", "operation_items", "decisions", "identities", "entries")


@dataclass
class Old(Scene):
    """A ledger that is old enough for retention, which has not come yet."""

    store: Store
    time: Time
    heads: list[Head] = field(default_factory=list)

    def prune(self) -> None:
        self.heads.append(self.store.head())
        assert sum(1 for _ in prune(self.store, self.store._engine, self.time.at)) > 1  # noqa: SLF001 - its engine has the key

    def there(self) -> dict[str, list[dict[str, Any]]]:
        return {table: self.rows(table) for table in _TABLES}

    def flaw(self, known: Head | None = None) -> str:
        found = self.check(known).flaw
        return "" if found is None else found.sentence

    def newest(self) -> Entry:
        return [entry for entry in self.store.chain() if entry.kind == "pruned"][-1]

    def drop(self, seqs: Collection[int], operations: Collection[str] = ()) -> None:
        """Remove entries with all that they made, as carefully as retention does."""
        for table, rows in self.there().items():
            for row in rows:
                name = row.get("operation_id", row.get("id"))
                if name in operations or (row.get("seq") in seqs and table != "operations"):
                    self.delete(table, row)

    def end_with(self, entry: Entry) -> None:
        """Make this the last entry, with the hash that anybody can give it."""
        made = replace(entry, hash=digest(entry))
        (row,) = [row for row in self.rows("entries") if row["seq"] == entry.seq]
        for column in ("body", "prev_hash", "hash"):
            self.set("entries", row, column, getattr(made, column))
        (end,) = self.rows("head")
        self.set("head", end, "hash", made.hash)


@pytest.fixture(params=[False, True], ids=["plain", "keyed"])
def old(url: str, engine: Engine, request: pytest.FixtureRequest) -> Iterator[Old]:
    keys = ChainKeys(ChainKey(b"a" * 32)) if request.param else NO_KEYS
    store = Store(engine.execution_options(ledger_keys=keys))
    with told_time() as time, asyncio.Runner() as runner:
        hold(store)
        store.note_identity("prod", Identity("c1", frozenset()), now=time.at)
        for number in range(6):
            request_ = by_policy(items=("a",))
            plan, at = plan_for(request_), time.pass_(timedelta(hours=1))
            one = store.reserve(request_, plan, owner="me", lease=LEASE, now=at)
            ended = Outcome.FAILED if number == 2 else Outcome.VERIFIED
            store.finish(one.id, ended, owner="me", now=at)
            for reason in (HoldReason.PENDING, None):
                result = Result.CLEAR if reason is None else Result.HOLD
                store.note_changes([Decision(Subject("heal", "prod"), result, reason)], now=at)
        time.pass_(400 * DAY)
        ledger = Ledger(url, keys=keys)
        yield Old(engine, ledger, runner, store, time)
        runner.run(ledger.close())


def test_it_says_since_when_the_chain_begins(old: Old) -> None:
    """The last of its steps counts; what is still needed is there beside it."""
    old.prune()
    found = old.check()
    assert found.flaw is None
    assert found.begins is not None
    assert (found.begins.through, found.begins.at) == (old.heads[0], old.time.at)
    left = [entry for entry in old.store.chain() if entry.seq <= old.heads[0].seq]
    kinds = ["owner", "identity", "reserved", "closed"]
    assert [entry.kind for entry in left if entry.kind != "keyed"] == kinds
    assert found.begins.kept == len(left)


def test_each_removed_row_that_comes_back_is_found(old: Old) -> None:
    """With the hash that it had, which is right: alone, and with everything that belonged to it."""
    before = old.there()
    old.prune()
    gone = {t: [row for row in before[t] if row not in rows] for t, rows in old.there().items()}
    assert all(gone[table] for table in _TABLES if table != "identities")
    for table, rows in gone.items():
        for row in rows:
            old.insert(table, row)
            assert old.flaw() != "", (table, row)
            old.delete(table, row)
    one = gone["operations"][0]
    for table, rows in gone.items():
        for row in rows:
            if one["id"] in (row.get("operation_id"), row.get("id")):
                old.insert(table, row)
    assert "are there, and retention left" in old.flaw()


def test_whatever_else_is_removed_of_the_beginning_is_missed(old: Old) -> None:
    """Every entry that was left, with its rows; and one in exchange for another that is gone."""
    removed = next(row for row in old.rows("entries") if row["kind"] == "decision")
    its_row = next(row for row in old.rows("decisions") if row["seq"] == removed["seq"])
    old.prune()
    last = old.heads[0].seq
    entries = [row for row in old.rows("entries") if row["seq"] <= last]
    for name, group in itertools.groupby(entries, key=lambda row: row["operation_id"]):
        for row in [next(group)] if name else list(group):
            before = old.there()
            old.drop({row["seq"]}, {name} if name else set())
            assert old.flaw() != "", row
            if row["kind"] == "identity":
                old.insert("entries", removed)
                old.insert("decisions", its_row)
                assert "are not those that retention left" in old.flaw()
                old.delete("decisions", its_row)
                old.delete("entries", removed)
            for table in ("operations", "entries", "operation_items", "decisions", "identities"):
                for one in before[table]:
                    if one not in old.rows(table):
                        old.insert(table, one)
    assert old.flaw() == ""


def test_a_prefix_that_was_cut_by_hand_is_found(old: Old) -> None:
    """Before retention ever came, and after it: as much as anybody likes, with all rows."""
    whole = old.there()["entries"]
    seqs = {row["seq"] for row in whole if row["seq"] <= 4}
    names = {row["operation_id"] for row in whole if row["seq"] in seqs} - {None}
    before = old.there()
    old.drop(seqs | {row["seq"] for row in whole if row["operation_id"] in names}, names)
    assert old.flaw() == "entry 1 is missing or out of order"
    for table in ("operations", "entries", "operation_items", "decisions", "identities"):
        for row in before[table]:
            if row not in old.rows(table):
                old.insert(table, row)
    old.prune()
    assert old.flaw() == ""
    first = old.heads[0].seq + 1
    assert old.newest().seq > first
    old.drop({first})
    assert old.flaw() == f"entry {first} is missing or out of order"


def test_without_its_checkpoint_what_is_gone_is_missing(old: Old) -> None:
    """Cut off with everything after it; or back to an earlier one, which left more."""
    old.prune()
    pruned = [entry for entry in old.store.chain() if entry.kind == "pruned"]
    for keep in (len(pruned) - 1, 0):
        end = pruned[keep - 1] if keep else None
        old.drop({entry.seq for entry in pruned[keep:]})
        (row,) = old.rows("head")
        last = Head(end.seq, end.hash) if end else old.heads[0]
        old.set("head", row, "seq", last.seq)
        old.set("head", row, "hash", last.hash)
        assert old.flaw() != ""


def test_a_checkpoint_that_does_not_fit_is_found(old: Old) -> None:
    """Another hash or number than what follows has; a key makes every other one impossible."""
    old.prune()
    entry = old.newest()
    fits = entry.data
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "hash": ({"hash": "0" * 64}, "does not follow the entry before it"),
        "earlier": ({"through": fits["through"] - 1}, "is missing or out of order"),
        "later": ({"through": fits["through"] + 1}, "entries up to"),
        "fewer": ({"kept": fits["kept"] | {"entries": 0}}, "and retention left 0"),
        "others": ({"kept": fits["kept"] | {"digest": "0" * 64}}, "are not those that retention"),
    }
    for change, sentence in changes.values():
        old.end_with(replace(entry, body=canonical(fits | change)))
        assert sentence in old.flaw()
    old.end_with(replace(entry, body=json.dumps({"through": "x"})))
    assert "cannot be read" in old.flaw()
    old.end_with(entry)
    keyed = bool(old.ledger.keys.current)
    assert ("without the key" in old.flaw()) is keyed


def test_a_head_from_before_it_proves_nothing_any_more(old: Old) -> None:
    """That is said, not passed over; the one at which it ended, and any later one, still does."""
    early = next(Head(e.seq, e.hash) for e in old.store.chain() if e.kind == "decision")
    old.prune()
    assert "it proves nothing any more" in old.flaw(early)
    end = old.heads[0]
    assert old.flaw(end) == ""
    assert "written anew" in old.flaw(replace(end, hash="0" * 64))
    assert old.flaw(old.store.head()) == ""


def test_it_is_pruned_again_and_again(old: Old) -> None:
    """What was left the first time goes once nothing rests on it, the old checkpoints, too."""
    old.prune()
    old.time.pass_(400 * DAY)
    store, at = old.store, old.time.at
    store.note_identity("prod", Identity("c2", frozenset()), now=at)
    waits = Decision(Subject("heal", "prod"), Result.HOLD, HoldReason.PENDING)
    store.note_changes([waits], now=at)
    old.prune()
    found = old.check()
    assert found.flaw is None
    left = [e.kind for e in store.chain() if found.begins and e.seq <= found.begins.through.seq]
    assert "identity" not in left
    assert left.count("pruned") == 1, "the last one, until the next time"
