"""Keys in the ledger: only a hash of each, who made and who ended it, in the chain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from exporter.ledger.chain import verify
from exporter.ledger.keys import digest_of, new_key
from exporter.ledger.store import Store
from exporter.ledger.tables import metadata
from exporter.model.errors import NameTakenError
from exporter.model.keys import ApiKey, Role
from tests.contract.ledger.making import LEASE, at, by_person, plan_for


@pytest.fixture(autouse=True)
def chain_holds(store: Store) -> object:
    """After every test the whole chain is intact."""
    yield
    assert verify(store.chain(), store.head()) is None


def made(store: Store, name: str = "ci", role: Role = Role.OPERATOR, seconds: float = 0) -> ApiKey:
    return store.add_key(name, role, digest=digest_of(new_key()), actor="mira", now=at(seconds))


def test_a_key_is_long_random_and_never_the_same() -> None:
    """256 bits, recognisable by its prefix, fit for a header."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("rm_") and len(key) == 46 and key.isascii() for key in keys)


def test_only_the_hash_of_a_key_is_stored(store: Store, engine: Engine) -> None:
    """No column of no table has it; the chain tells who made it, for what."""
    key = new_key()
    store.add_key("ci", Role.OPERATOR, digest=digest_of(key), actor="mira", now=at(0))
    with engine.connect() as connection:
        stored = "\n".join(
            str(tuple(row))
            for table in metadata.sorted_tables
            for row in connection.execute(select(table))
        )
    assert key not in stored
    assert key.removeprefix("rm_") not in stored
    assert digest_of(key) in stored
    (entry,) = store.chain()
    assert (entry.kind, entry.operation_id) == ("key_created", None)
    assert entry.data["name"] == "ci"
    assert (entry.data["role"], entry.data["created_by"]) == ("operator", "mira")


def test_a_revoked_key_stays_known_and_its_name_becomes_free(store: Store) -> None:
    """Whoever reads old rows can still see whose key it was."""
    first = made(store)
    gone = store.revoke_key("ci", actor="jo", now=at(1))
    assert gone == replace(first, revoked_at=at(1), revoked_by="jo")
    second = made(store, seconds=2)
    assert store.api_keys() == (gone, second)
    assert [one.valid for one in store.api_keys()] == [False, True]
    assert [e.kind for e in store.chain()] == ["key_created", "key_revoked", "key_created"]


def test_a_name_in_use_is_refused_and_nothing_changes(store: Store) -> None:
    """The name stands for who acted, so two valid keys never share one."""
    only = made(store)
    with pytest.raises(NameTakenError, match="ci"):
        made(store, role=Role.VIEWER)
    assert store.api_keys() == (only,)


def test_revoking_what_is_not_there_leaves_no_trace(store: Store) -> None:
    """Neither twice nor a name that never was."""
    made(store)
    assert store.revoke_key("nobody", actor="jo", now=at(1)) is None
    assert store.revoke_key("ci", actor="jo", now=at(2)) is not None
    assert store.revoke_key("ci", actor="jo", now=at(3)) is None
    assert len(store.chain()) == 2


def test_an_operation_keeps_role_route_and_when_it_was_asked_for(store: Store) -> None:
    """In the row and in the chain; a refused attempt and a read, too."""
    asked = replace(
        by_person(), source="api", role="operator", route="force-redeploy", asked_at=at(0)
    )
    row = store.reserve(asked, plan_for(asked), owner="me", lease=LEASE, now=at(5))
    refused = store.refuse(asked, reason="not-latest", message="no", now=at(6))
    answered = store.record_answered(replace(asked, remedy="doctor"), now=at(7))
    assert store.entries(row.id)[0].data["asked"] == {"url": "http://w:9080/"}
    for one in (row, refused, answered):
        stored = store.operation(one.id)
        assert stored == one
        assert (one.role, one.route, one.asked_at) == ("operator", "force-redeploy", at(0))
        body = store.entries(one.id)[0].data
        assert (body["role"], body["route"]) == ("operator", "force-redeploy")
        assert body["asked_at"].startswith("2026-03-01T03:00:00")
