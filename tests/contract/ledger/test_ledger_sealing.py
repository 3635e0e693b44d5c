"""With a key, not even who owns the database can write the ledger anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select, update

from exporter.ledger.chain import Entry, Flaw, Head, digest
from exporter.ledger.engine import connect, ledger_url, make_folder
from exporter.ledger.gateway import Ledger
from exporter.ledger.integrity import Inspection, inspect
from exporter.ledger.schema import prepare
from exporter.ledger.sealing import NO_KEYS, ChainKey, ChainKeys
from exporter.ledger.store import Store
from exporter.ledger.tables import decisions, entries, head
from exporter.model.decision import Decision, Mode, Result, Subject
from exporter.model.errors import LedgerUnavailableError
from exporter.model.hold import HoldReason
from tests.contract.ledger.making import at

FIRST, SECOND = ChainKey(b"a" * 32), ChainKey(b"b" * 32)
ONE, BOTH, OTHER = ChainKeys(FIRST), ChainKeys(SECOND, (FIRST,)), ChainKeys(SECOND)
LENGTH = 8
_FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def note(store: Store, count: int, begin: int = 0) -> None:
    """So many entries of decisions."""
    for number in range(begin, begin + count):
        reason = HoldReason.PENDING if number % 2 == 0 else HoldReason.COOLDOWN
        decision = Decision(Subject("heal", "prod"), Result.HOLD, reason, mode=Mode.ENFORCE)
        assert store.note_changes([decision], now=at(number))


class Site:
    """One database, and whoever opens it with one key or another."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self.url, self._runner = url, runner
        self.whole: tuple[Entry, ...] = ()
        self._engines: list[Engine] = []
        prepare(self.engine())

    def engine(self, keys: ChainKeys = NO_KEYS) -> Engine:
        made = connect(ledger_url(self.url), lock_wait=timedelta(seconds=30), keys=keys)
        self._engines.append(made)
        return made

    def store(self, keys: ChainKeys = NO_KEYS) -> Store:
        return Store(self.engine(keys))

    def check(self, keys: ChainKeys, known: Head | None = None) -> Inspection:
        async def look() -> Inspection:
            ledger = Ledger(self.url, keys=keys)
            try:
                return await inspect(ledger, known=known, page=3)
            finally:
                await ledger.close()

        return self._runner.run(look())

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()


@pytest.fixture
def site(url: str) -> Iterator[Site]:
    make_folder(ledger_url(url))
    with asyncio.Runner() as runner:
        made = Site(url, runner)
        yield made
        made.close()


def rewrite(site: Site, change: Callable[[list[Entry]], list[Entry]], key: str | None) -> None:
    """What somebody can do who owns the database but not the key: every hash is right again.

    The rows beside the chain are made to fit, too.
    """
    engine = site.engine()
    with engine.begin() as connection:
        rows = connection.execute(select(entries).order_by(entries.c.seq)).mappings()
        before, written = Head(), list[Entry]()
        for entry in change([Entry(**row) for row in rows]):
            one = replace(entry, seq=before.seq + 1, prev_hash=before.hash)
            one = replace(one, hash=digest(one))
            written.append(one)
            before = Head(one.seq, one.hash)
        connection.execute(delete(decisions))
        connection.execute(delete(entries))
        connection.execute(insert(entries), [asdict(entry) for entry in written])
        for entry in written:
            if entry.kind == "decision":
                row = {**entry.data, "seq": entry.seq, "at": entry.at}
                connection.execute(insert(decisions), row)
        connection.execute(update(head).values(seq=before.seq, hash=before.hash, key=key))


def flaw_of(found: Inspection) -> Flaw:
    assert found.flaw is not None
    return found.flaw


def test_a_new_ledger_begins_with_its_key(site: Site) -> None:
    """The first entry names it, and every one has it, that of the head too."""
    store = site.store(ONE)
    note(store, LENGTH)
    first, *rest = store.chain()
    assert (first.kind, first.data) == ("keyed", {"key": FIRST.id, "before": None})
    assert all(entry.hash == FIRST.digest(entry) != digest(entry) for entry in (first, *rest))
    assert site.check(ONE) == Inspection(store.head(), None, FIRST.id, 1)
    assert b"a" * 32 not in json.dumps([entry.body for entry in store.chain()]).encode()
    assert "aaaa" not in repr(ONE)


@_FEW
@given(data=st.data())
def test_whoever_writes_the_whole_chain_anew_is_found(site: Site, data: st.DataObject) -> None:
    """With every hash right by itself and every row to match; whether the key is named or not."""
    if not site.whole:
        note(site.store(ONE), LENGTH)
        site.whole = site.store().chain()
    whole = site.whole
    named = data.draw(st.booleans(), label="the keyed entry stays")
    position = data.draw(st.integers(1, len(whole) - 1), label="where")
    act = data.draw(st.sampled_from(["none", "drop", "swap", "alter", "cut", "insert"]))
    head_key = data.draw(st.sampled_from([None, FIRST.id]))

    def change(_there: list[Entry]) -> list[Entry]:
        made = list(whole)
        if act == "drop":
            del made[position]
        elif act == "swap":
            made[position], made[-1] = made[-1], made[position]
        elif act == "alter":
            body = made[position].data | {"detail": "forged"}
            made[position] = replace(made[position], body=json.dumps(body, sort_keys=True))
        elif act == "cut":
            made = made[: position + 1]
        elif act == "insert":
            made.insert(position, made[-1])
        return made if named else [entry for entry in made if entry.kind != "keyed"]

    rewrite(site, change, head_key)
    assert site.check(ONE).flaw is not None


def test_without_a_key_the_same_goes_unnoticed(site: Site) -> None:
    """Which is why there are keys."""
    note(site.store(), LENGTH)
    rewrite(site, lambda there: there[2:], None)
    assert site.check(NO_KEYS).flaw is None


def test_nobody_goes_on_without_the_key(site: Site) -> None:
    """A process without it, or with another, writes nothing and says what to do."""
    note(site.store(ONE), LENGTH)
    before = site.store().head()
    for keys, mend in ((NO_KEYS, "give it in storage.hmac_key"), (OTHER, "storage.old_hmac_keys")):
        with pytest.raises(LedgerUnavailableError, match=mend):
            note(site.store(keys), 1, LENGTH)
    assert site.store().head() == before


def test_a_chain_written_anew_without_a_key_is_not_gone_on_with(site: Site) -> None:
    """What was forged while nobody looked gets no key by itself."""
    note(site.store(ONE), LENGTH)
    rewrite(site, lambda there: [e for e in there if e.kind != "keyed"], None)
    with pytest.raises(LedgerUnavailableError, match="run restate-medic audit seal once"):
        note(site.store(ONE), 1, LENGTH)


def test_an_entry_without_the_key_after_ones_that_have_it_is_found(site: Site) -> None:
    """Somebody appended what fits, but for the key."""
    note(site.store(ONE), LENGTH)
    with site.engine().begin() as connection:
        connection.execute(update(head).values(key=None))
    note(site.store(), 1, LENGTH)
    found = flaw_of(site.check(ONE))
    assert found.sentence == (
        f"entry {LENGTH + 2} was written without the key that entries before it have"
    )


def test_a_ledger_that_had_no_key_is_sealed_once(site: Site) -> None:
    """The entries before are checked as they were, and cannot be changed any more either."""
    note(site.store(), LENGTH)
    assert "none of the 8 entries has a key" in flaw_of(site.check(ONE)).sentence
    assert not flaw_of(site.check(ONE)).certain  # it may never have been sealed
    store = site.store(ONE)
    assert store.seal() is True
    assert store.seal() is False
    note(store, 2, LENGTH)
    assert site.check(ONE) == Inspection(store.head(), None, FIRST.id, LENGTH + 1)
    rewrite(site, lambda there: there[1:], FIRST.id)
    assert site.check(ONE).flaw is not None


def test_a_key_is_rotated_and_the_one_before_checks_what_it_wrote(site: Site) -> None:
    """The entry that says so has the new key, and the chain covers what is before it."""
    note(site.store(ONE), LENGTH)
    store = site.store(BOTH)
    note(store, 2, LENGTH)
    assert site.check(BOTH) == Inspection(store.head(), None, SECOND.id, 1)
    keyed = [entry.data for entry in store.chain() if entry.kind == "keyed"]
    assert keyed[1] == {"key": SECOND.id, "before": FIRST.id}
    without = flaw_of(site.check(OTHER))
    assert without.seq == 1
    assert f"have key {FIRST.id}" in without.sentence
    assert "storage.old_hmac_keys" in without.sentence
    assert "no key is configured" in flaw_of(site.check(NO_KEYS)).sentence
    assert str(flaw_of(site.check(NO_KEYS))).startswith("nobody can tell whether the ledger was ")
    with pytest.raises(LedgerUnavailableError):
        note(site.store(ONE), 1, LENGTH + 2)


def test_an_old_key_cannot_bring_back_an_old_ledger(site: Site) -> None:
    """Cut off where it was rotated, all hashes are right; the key of today is missing."""
    note(site.store(ONE), LENGTH)
    end = site.store().head()
    note(site.store(BOTH), 2, LENGTH)
    with site.engine().begin() as connection:
        connection.execute(delete(decisions).where(decisions.c.seq > end.seq))
        connection.execute(delete(entries).where(entries.c.seq > end.seq))
        connection.execute(update(head).values(seq=end.seq, hash=end.hash, key=FIRST.id))
    assert site.check(ONE).flaw is None
    assert "which is an old one" in flaw_of(site.check(BOTH)).sentence


@pytest.mark.parametrize("key", [None, SECOND.id])
def test_the_heads_key_is_what_the_chain_says(site: Site, key: str | None) -> None:
    """It is what keeps others from writing without it."""
    note(site.store(ONE), LENGTH)
    with site.engine().begin() as connection:
        connection.execute(update(head).values(key=key))
    assert "the head's key" in flaw_of(site.check(ONE)).sentence


def test_ids_of_keys_tell_keys_apart() -> None:
    """And are the same wherever the key is."""
    assert FIRST.id == ChainKey(b"a" * 32).id != SECOND.id
    assert len(FIRST.id) == 16
    assert BOTH.find(FIRST.id) == FIRST
    assert BOTH.find("0" * 16) is None
